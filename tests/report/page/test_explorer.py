import json
from pathlib import Path
from typing import Any

import pytest

from study.analysis.frames import Frames
from study.analysis.pivot import Request
from study.analysis.table import render
from study.outputs.metrics import PROBES
from study.outputs.series import read_probe
from study.report.page.explorer import explorer
from tests.synthetic import (
    change_result,
    diverge,
    fail,
    make_probes,
    make_study,
    rows_of,
    set_metric,
    write_probes,
)

FACTORS = {"activation": ["relu", "tanh"], "init": ["he_normal", "zeros"]}


def data_of(directory: Path) -> dict[str, Any]:
    return explorer(Frames.read(directory))


def metric_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(next(metric for metric in data["metrics"] if metric["name"] == name))


def in_table(directory: Path, metric: str) -> list[str]:
    """The table's entries of a study of one factor, in its order."""
    lines = render(directory, Request(metric=metric, rows="activation")).splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    return [row.split("|")[2].replace("*", "").replace("≈", "").strip() for row in rows]


@pytest.mark.parametrize("metric", ["test_error", "val_loss", "best_epoch", "chosen_lr"])
def test_texts_are_those_of_the_tables(tmp_path: Path, metric: str) -> None:
    paths = make_study(tmp_path / "s", {"activation": ["relu", "tanh", "elu", "selu"]})
    change_result(paths[1], diverge(0, 2))
    fail(paths[2])
    change_result(paths[3], set_metric([1e-7, 2e-7, None, 4e-7, 5e-7], "val_loss"))
    shown = metric_of(data_of(tmp_path / "s"), metric)
    texts = [
        " ".join([text, *marks]) for text, marks in zip(shown["texts"], shown["marks"], strict=True)
    ]
    assert texts == [" ".join(text.split()) for text in in_table(tmp_path / "s", metric)]


def test_probes_are_the_means_of_the_tables(tmp_path: Path) -> None:
    path, *_ = make_study(tmp_path / "s", {"activation": ["relu"]}, seeds=3)
    write_probes(path, make_probes(path))
    record = Frames.read(tmp_path / "s").finished[0]
    chosen = record.finished.chosen_lr

    def layers(probe: str, step: int) -> list[float]:
        numbers = read_probe(record, probe).numbers or {}
        return [
            sum(numbers[seed, chosen, step, layer] or 0 for seed in range(3)) / 3
            for layer in (1, 2, 3)
        ]

    summary = {
        moment: {"step": step, **{probe: layers(probe, step) for probe in PROBES}}
        for moment, step in (("start", 0), ("end", 100))
    }
    change_result(path, lambda result: result.update(probes=summary))
    data = data_of(tmp_path / "s")
    for probe in ("dead_fraction", "gradient_variance", "weight_norm"):
        for moment in ("start", "end"):
            name = f"{probe}@{moment}"
            [entry] = in_table(tmp_path / "s", name)
            assert metric_of(data, name)["texts"] == [entry.split(" ± ")[0]]


def test_a_cell_whose_table_has_a_median_has_no_mean_of_probes(tmp_path: Path) -> None:
    path, _ = make_study(tmp_path / "s", {"activation": ["relu", "tanh"]})
    summary = {"step": 0, "dead_fraction": [0.25, 0.75]}
    for each in (path, _):
        change_result(each, lambda result: result.update(probes={"start": summary, "end": summary}))
    change_result(path, diverge(0))
    data = data_of(tmp_path / "s")
    assert metric_of(data, "dead_fraction@end")["texts"] == ["–", "50.00"]
    assert metric_of(data, "dead_fraction@end")["marks"] == [["(1/5 diverged)"], []]
    assert metric_of(data, "dead_fraction@start")["texts"] == ["50.00", "50.00"]


def test_every_cell_is_at_its_levels(tmp_path: Path) -> None:
    make_study(tmp_path / "s", {**FACTORS, "lone": ["only"]})
    data = data_of(tmp_path / "s")
    cells = Frames.read(tmp_path / "s").cells
    assert [factor["name"] for factor in data["factors"]] == ["activation", "init"]
    for cell, shown in zip(cells, data["cells"], strict=True):
        levels = [
            factor["levels"][at] for factor, at in zip(data["factors"], shown["at"], strict=True)
        ]
        assert levels == [cell.factors["activation"], cell.factors["init"]]
        assert shown["name"] == cell.directory


def test_what_nothing_was_measured_of_is_left_out(tmp_path: Path) -> None:
    make_study(tmp_path / "s", FACTORS)
    names = [metric["name"] for metric in data_of(tmp_path / "s")["metrics"]]
    assert "pretraining_seconds" not in names
    assert "dead_fraction@end" not in names
    assert "test_error" in names


def test_numbers_are_json_and_in_the_order_of_their_cells(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS)
    change_result(paths[0], set_metric([None] * 5, "test_loss"))
    data = data_of(tmp_path / "s")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    for metric in data["metrics"]:
        assert len(metric["texts"]) == len(metric["values"]) == len(metric["marks"]) == 4
    assert metric_of(data, "test_loss")["values"][0] is None


def test_errors_of_two_tasks_are_two_metrics(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS)
    change_result(paths[-1], lambda result: result.update(task="reconstruction"))
    data = data_of(tmp_path / "s")
    first, second = (metric_of(data, f"test_error{t}") for t in ("", " (reconstruction)"))
    assert first["texts"][-1] == "–"
    assert second["texts"][:-1] == ["–"] * 3
    assert first["unit"] == "%"
    assert second["unit"] == ""
    [row] = rows_of(tmp_path / "s", where=["activation=tanh", "init=zeros"])
    assert float(row["mean"]) == pytest.approx(second["values"][-1], rel=1e-3)


def test_cells_of_other_data_are_told_apart(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS)
    change_result(paths[2], lambda result: result["provenance"].update(data_fingerprint="other"))
    fail(paths[3])
    shown = data_of(tmp_path / "s")
    assert [cell["origin"] for cell in shown["cells"]] == [0, 0, 1, None]
    assert metric_of(shown, "test_error")["of_data"]
    assert not metric_of(shown, "chosen_lr")["of_data"]
