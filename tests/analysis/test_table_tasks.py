"""Tables of reconstructions: plain squared errors, and what stands beside them."""

from pathlib import Path
from typing import Any

import pytest

from study.analysis.pivot import Request
from study.analysis.table import render
from study.errors import InputError
from study.outputs import frame
from study.outputs.metrics import METRICS
from tests.synthetic import change_result, fail, make_study, rows_of, set_metric

MNIST = {
    "pca": {"components": 30, "train_error": 14.207, "test_error": 13.866},
    "mean_image": {"train_error": 52.725, "test_error": 52.8965},
}
LINE = "PCA-30 13.87 on test (14.21 on train), mean image 52.90 on test"


def reconstruct(path: Path, errors: list[float | None], references: Any = MNIST) -> None:
    """Makes a cell one of a reconstruction with these test errors, one a seed."""
    change_result(path, lambda result: result.update(task="reconstruction", references=references))
    change_result(path, lambda result: result.update(chosen_lr=0.1, chosen_lr_at_edge=None))
    change_result(path, set_metric(errors))


def make_deep(directory: Path) -> list[Path]:
    paths = make_study(directory, {"activation": ["relu", "tanh"]}, seeds=3)
    reconstruct(paths[0], [8.0, 9.0, 10.0])
    reconstruct(paths[1], [52.0, 53.5, 52.9])
    return paths


GOLDEN = """\
Squared error summed over pixels, mean over test images (lower is better), study deep; rows: \
activation. Mean ± half-width of the 95 % t interval over 3 seeds, at each cell's chosen learning \
rate.

| activation |      test_error |
| :--------- | --------------: |
| relu       | **9.00 ± 2.48** |
| tanh       |    52.80 ± 1.88 |

- PCA-30 13.87 on test (14.21 on train), mean image 52.90 on test.
- bold: the best of its column; ≈: not distinguishable from it (the 95 % t interval of the \
difference, paired by seed, holds 0).
- test_error: squared difference of an image and its reconstruction, summed over pixels (as \
normalized), mean over the test set (read once, after training), with the weights of the best \
epoch (lowest validation error).
"""


def test_golden(tmp_path: Path) -> None:
    make_deep(tmp_path / "deep")
    assert render(tmp_path / "deep", Request()) == GOLDEN
    assert rf"{LINE}.\par" in render(tmp_path / "deep", Request(), "tex")
    assert [row["mean"] for row in rows_of(tmp_path / "deep")] == ["9", "52.8"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("writer", ["md", "csv", "tex"])
def test_every_metric_prints_and_references_stand_beside_errors(
    tmp_path: Path, metric: str, writer: str
) -> None:
    make_deep(tmp_path)
    text = render(tmp_path, Request(metric=metric), writer)
    assert metric in text.replace("\\", "")
    assert (LINE in text) == (metric.endswith("_error") and writer != "csv")
    if metric.endswith("_error") and writer != "csv":
        words = {"train": "training", "val": "validation", "test": "test"}
        split = words[metric.removeprefix("last_").removesuffix("_error")]
        last = ", last epoch" if metric.startswith("last_") else ""
        label = f"summed over pixels, mean over {split} images{last}"
        assert label in " ".join(text.split())
        assert "misclassified" not in text
        assert "classify" not in text


def test_each_data_set_and_code_has_its_line_and_says_which_it_is(tmp_path: Path) -> None:
    models = ["autoencoder", "autoencoder code=10"]
    paths = make_study(tmp_path, {"activation": ["relu", "tanh"], "model": models}, seeds=2)
    ten = {**MNIST, "pca": {"components": 10, "train_error": 26.8, "test_error": 26.3}}
    for index, path in enumerate(paths):
        reconstruct(path, [5.0, 6.0], ten if index % 2 else MNIST)
    text = render(tmp_path, Request())
    assert f"- {LINE}, for model = autoencoder.\n" in text
    assert "- PCA-10 26.30 on test (26.80 on train), mean image 52.90 on test, for model = " in text
    chosen = render(tmp_path, Request(where=["model=autoencoder"]))
    assert f"- {LINE}.\n" in chosen
    assert "PCA-10" not in chosen


def test_a_record_without_references_prints_none(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]}, seeds=2)
    change_result(path, lambda result: result.update(task="reconstruction"))
    assert "PCA" not in render(tmp_path, Request())


def test_an_error_that_is_not_finite_is_told(tmp_path: Path) -> None:
    paths = make_deep(tmp_path)
    reconstruct(paths[0], [8.0, None, 10.0])
    assert "10.00 (1/3 not finite)" in render(tmp_path, Request())


def test_errors_of_two_tasks_do_not_stand_in_one_table(tmp_path: Path) -> None:
    factors = {"model": ["mlp", "autoencoder"], "activation": ["relu", "tanh"]}
    paths = make_study(tmp_path, factors, seeds=2)
    for path in paths[2:]:
        reconstruct(path, [8.0, 9.0])
    for metric in ("test_error", "last_val_loss"):
        with pytest.raises(InputError, match="cannot stand in one table") as caught:
            render(tmp_path, Request(metric=metric))
        assert "--where 'model=autoencoder'" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "wall" in render(tmp_path, Request(metric="wall_seconds"))
    assert LINE in render(tmp_path, Request(where=["model=autoencoder"]))
    assert "Test error (%" in render(tmp_path, Request(where=["model=mlp"]))
    assert set(frame(tmp_path)["task"]) == {"classification", "reconstruction"}


def test_what_is_not_finished_has_no_task(tmp_path: Path) -> None:
    paths = make_deep(tmp_path)
    fail(paths[1])
    text = render(tmp_path, Request())
    assert "Squared error" in text
    assert "failed" in text
