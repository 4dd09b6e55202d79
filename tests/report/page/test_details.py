import base64
import io
import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from study.analysis.frames import Frames
from study.outputs.metrics import PROBES
from study.outputs.results import TrainedReplica
from study.outputs.schema import to_json
from study.outputs.series import read_probes, summary
from study.report.page import details as module
from study.report.page.details import (
    FILTER_BYTES,
    MOST_FILTERS,
    details,
    filter_grid,
    filters,
    reproducing_command,
    thinned,
)
from tests.fabricated import entry
from tests.figure_studies import make_full_study
from tests.page_reports import make_report
from tests.synthetic import change_probes, change_result, diverge, fail, make_study, probe_of
from tests.whole_cells import make_whole_study

FACTORS = {"activation": ["relu", "tanh"], "init": ["he_normal", "zeros"]}


def details_of(directory: Path) -> list[dict[str, Any]]:
    frames = Frames.read(directory)
    found = details(make_report(frames))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return [found.get(cell.directory, {}) for cell in frames.cells]


def test_a_whole_cell_has_everything(tmp_path: Path) -> None:
    make_whole_study(tmp_path / "s", FACTORS, epochs=5, depth=4)
    first = details_of(tmp_path / "s")[0]
    assert first["curves"]["epochs"] == [0, 1, 2, 3, 4, 5]
    assert first["curves"]["seeds"] == 3
    assert first["curves"]["train_error"][0][0] is None, "nothing is trained at epoch 0"
    mean, low, high = first["curves"]["val_error"]
    assert all(a <= b <= c for a, b, c in zip(low, mean, high, strict=True))
    assert 80 < mean[0] < 95, "errors are in percent"
    assert first["rates"]["lr"] == [0.003, 0.03, 0.3, 3.0]
    assert first["probes"]["steps"] == [0, 390]
    assert len(first["probes"]["taken"]["dead_fraction"][1]) == 4
    assert first["filters"]["of"] == 64
    assert "widths" in first["config"]
    assert len(first["replicas"]) == 12


def test_no_place_of_a_machine_is_told(tmp_path: Path) -> None:
    make_whole_study(tmp_path / "s", FACTORS)
    text = json.dumps(details_of(tmp_path / "s"))
    assert "/secret" not in text
    assert str(tmp_path) not in text
    assert '"trained_by": "study train experiment=x"' in text


def test_a_file_that_was_altered_or_is_missing_is_not_used(tmp_path: Path) -> None:
    first, second, *_ = make_whole_study(tmp_path / "s", FACTORS)
    (first / "curves.csv").write_text("seed,lr,epoch\n")
    (first / "filters.npz").unlink()
    (second / "config.yaml").write_text("model: null\n")
    found = details_of(tmp_path / "s")
    assert found[0]["curves"] is None
    assert found[0]["filters"] is None
    assert found[0]["config"]
    assert found[1]["config"] is None


def test_a_bare_record_is_enough(tmp_path: Path) -> None:
    make_study(tmp_path / "s", FACTORS)
    first = details_of(tmp_path / "s")[0]
    assert [first[key] for key in ("curves", "probes", "filters", "config")] == [None] * 4
    assert first["replicas"]


def test_where_a_replica_diverged_a_median_stands_without_a_band(tmp_path: Path) -> None:
    """As in tables and figures: a finite number of a diverged replica is in no mean."""
    path = make_full_study(tmp_path / "s", FACTORS)[0]
    change_result(path, sum_up_probes(path))
    change_result(path, diverge(1))
    change_result(path, lambda result: result["replicas"][0].update(val_error=None))
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    chosen = result["chosen_lr"]
    first = details_of(tmp_path / "s")[0]
    rates = first["rates"]
    assert rates["diverged"] == [int(lr == chosen) for lr in rates["lr"]]
    at = rates["lr"].index(chosen)
    errors = [r["val_error"] for r in result["replicas"] if r["lr"] == chosen]
    middle = sorted(math.inf if error is None else error for error in errors)[1]
    assert [column[at] for column in rates["val_error"]] == [
        pytest.approx(100 * middle, rel=1e-3),
        None,
        None,
    ]
    assert first["curves"]["diverged"] == first["probes"]["diverged"] == 1
    assert set(first["curves"]["val_error"][1]) == {None}
    end = probe_of(path, "weight_norm", 100)
    assert first["probes"]["taken"]["weight_norm"][1] == [
        pytest.approx(median(seeds), rel=1e-3) for seeds in zip(*end, strict=True)
    ]


def test_no_band_leaves_the_numbers_that_errors_can_have(tmp_path: Path) -> None:
    path = make_full_study(tmp_path / "s", {"activation": ["relu"]})[0]
    change_result(path, lambda result: result["replicas"][0].update(val_error=0.9, test_error=1.0))
    found = details_of(tmp_path / "s")[0]["rates"]
    for error in ("val_error", "test_error"):
        _, low, high = found[error]
        assert 0 == min(low) < max(high) == 100


def test_a_probe_of_which_there_is_no_number_has_no_chart(tmp_path: Path) -> None:
    """As where the slope of an activation has no bound."""
    path = make_full_study(tmp_path / "s", {"activation": ["relu2"]})[0]
    change_probes(path, lambda row: row.update(saturated_fraction="", dead_fraction=""))
    change_result(path, sum_up_probes(path))
    taken = details_of(tmp_path / "s")[0]["probes"]["taken"]
    assert taken.keys() == PROBES.keys() - {"saturated_fraction", "dead_fraction"}


def sum_up_probes(path: Path) -> Any:
    """A change: the record sums up probes.csv, as that of a trained cell does."""
    chosen = json.loads((path / "result.json").read_text(encoding="utf-8"))["chosen_lr"]
    rows = [row for row in read_probes(path) if row["lr"] == chosen]
    replicas = [
        TrainedReplica(
            entry(seed, chosen, 0.5), [], probes=[row for row in rows if row["seed"] == seed]
        )
        for seed in sorted({row["seed"] for row in rows})
    ]
    return lambda result: result.update(probes=to_json(summary(replicas)))


def test_unfinished_cells_have_none(tmp_path: Path) -> None:
    paths = make_whole_study(tmp_path / "s", FACTORS)
    fail(paths[2])
    assert details_of(tmp_path / "s")[2] == {}


def test_of_many_cells_those_of_verdicts_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DETAILED", 1)
    make_whole_study(tmp_path / "s", FACTORS)
    first, *others = details_of(tmp_path / "s")
    assert first["curves"]
    assert all("curves" not in other and other["command"] for other in others)


def test_the_command_is_typed_in_the_checkout(tmp_path: Path) -> None:
    make_study(tmp_path / "my study", {"activation": ["relu"]})
    cell = Frames.read(tmp_path / "my study").cells[0]
    command = reproducing_command(cell, "my study")
    assert command == f"study reproduce 'outputs/my study/{cell.directory}'"


def test_a_study_deeper_under_outputs_is_found_there(tmp_path: Path) -> None:
    directory = tmp_path / "outputs" / "published" / "s"
    make_study(directory, {"activation": ["relu"]})
    cell = Frames.read(directory).cells[0]
    expected = f"study reproduce outputs/published/s/{cell.directory}"
    assert reproducing_command(cell, "s") == expected


@given(st.integers(0, 500), st.integers(2, 60))
def test_thinning_keeps_order_and_ends(num: int, most: int) -> None:
    items = list(range(num))
    kept = thinned(items, most)
    assert len(kept) == min(num, most)
    assert kept == sorted(set(kept))
    assert not items or (kept[0], kept[-1]) == (items[0], items[-1])


@given(st.integers(1, 1000), st.integers(1, 200), st.floats(1, 5000))
def test_what_is_shown_fits(num_cells: int, num: int, size: float) -> None:
    rows, columns = filter_grid(num, size, FILTER_BYTES // num_cells)
    assert 1 <= rows <= columns
    assert rows * columns <= min(num, MOST_FILTERS)
    assert rows * columns == 1 or rows * columns * size * num_cells <= FILTER_BYTES


@pytest.mark.parametrize("shape", [(64, 1, 28, 28), (10, 3, 5, 5), (1, 1, 4, 3)])
def test_every_filter_is_where_it_belongs(tmp_path: Path, shape: tuple[int, int, int, int]) -> None:
    make_whole_study(tmp_path / "s", {"activation": ["relu"]}, filters=shape)
    frames = Frames.read(tmp_path / "s")
    found = filters(frames, frames.finished[0], FILTER_BYTES)
    assert found is not None
    content = base64.b64decode(found["png"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert list(picture.shape[1::-1]) == found["size"]
    images = np.load(frames.finished[0].path / "filters.npz")["filters"]
    height, width = shape[2:]
    columns = picture.shape[1] // (width + 1)
    for place in range(found["shown"]):
        top, left = place // columns * (height + 1) + 1, place % columns * (width + 1) + 1
        tile = picture[top : top + height, left : left + width]
        assert np.abs(tile - images[place].transpose(1, 2, 0)).max() <= 16


def test_filters_that_are_no_pictures_have_none(tmp_path: Path) -> None:
    make_whole_study(tmp_path / "s", {"activation": ["relu"]}, filters=(8, 2, 5, 5))
    frames = Frames.read(tmp_path / "s")
    assert filters(frames, frames.finished[0], FILTER_BYTES) is None
