"""Cells of different data or splits are neither pooled nor compared, in whatever table."""

from pathlib import Path
from typing import Any

import pytest

from study.analysis.frames import Frames
from study.analysis.pivot import Request
from study.analysis.table import render
from study.errors import InputError
from study.report.build import build_report
from tests import synthetic
from tests.synthetic import rows_of

DATA = {"data": ["mnist", "fashion"], "norm": ["none", "batch"]}
ERRORS = {"mnist": [0.02, 0.021, 0.023], "fashion": [0.1, 0.11, 0.13]}


def two_origins(directory: Path, factors: dict[str, list[Any]] = DATA) -> None:
    """A study whose cells' first factor decides on which data they were trained."""
    first = next(iter(factors))
    for path in synthetic.make_study(directory, factors, seeds=3):

        def change(result: dict[str, Any]) -> None:
            level = str(result["factors"][first])
            result["provenance"]["data_fingerprint"] = f"{level:x>64}"
            values = ERRORS.get(level, ERRORS["mnist"])
            synthetic.set_metric(values)(result)

        synthetic.change_result(path, change)


@pytest.mark.parametrize("metric", ["test_error", "val_loss", "last_train_error"])
@pytest.mark.parametrize("factor", ["data", "data.split_seed"])
def test_errors_of_several_origins_are_not_averaged(
    tmp_path: Path, metric: str, factor: str
) -> None:
    two_origins(tmp_path, {factor: ["mnist", "fashion"], "norm": ["none", "batch"]})
    with pytest.raises(InputError, match=f"--over {factor} averages {metric}") as error:
        render(tmp_path, Request(metric=metric, over=[factor]))
    words = str(error.value)
    assert words.count("data xxxxxxxx") == 2
    assert "\n" not in words


@pytest.mark.parametrize("metric", ["wall_seconds", "chosen_lr", "best_epoch"])
def test_what_is_no_error_may_be_averaged_over_data(tmp_path: Path, metric: str) -> None:
    two_origins(tmp_path)
    rows = rows_of(tmp_path, metric=metric, over=["data"], rows="norm")
    assert all(row["mean"] for row in rows)


def test_within_one_origin_errors_are_averaged_and_marked_as_ever(tmp_path: Path) -> None:
    two_origins(tmp_path)
    rows = rows_of(tmp_path, where=["data=mnist"], rows="data", over=["norm"])
    assert float(rows[0]["mean"]) == pytest.approx(sum(ERRORS["mnist"]) / 3)
    rows = rows_of(tmp_path, rows="data", columns="norm")
    assert sum(row["best"] != "" for row in rows) == 4


@pytest.mark.parametrize("axes", [("norm", "data"), ("data", None)])
def test_a_line_of_several_origins_has_no_best(
    tmp_path: Path, axes: tuple[str, str | None]
) -> None:
    two_origins(tmp_path, DATA if axes[1] else {"data": ["mnist", "fashion"]})
    assert not any(row["best"] for row in rows_of(tmp_path, rows=axes[0], columns=axes[1]))
    text = render(tmp_path, Request(rows=axes[0], columns=axes[1]))
    assert "of several data or splits (data xxxxxxxx" in text
    assert "**" not in text
    assert "several data" not in render(tmp_path, Request(rows="data", where=["data=mnist"]))


def test_a_table_asked_for_over_several_origins_is_a_remark(tmp_path: Path) -> None:
    two_origins(tmp_path / "s")
    synthetic.write_report_wish(tmp_path / "s", "tables: ['--rows norm --over data']")
    report = build_report(Frames.read(tmp_path / "s"))
    assert report.pivots == ()
    assert any("--over data averages test_error" in remark for remark in report.remarks)
