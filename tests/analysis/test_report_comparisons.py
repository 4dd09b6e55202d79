"""What an experiment's file states beforehand of its pairs: a margin, and whom to compare."""

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from study.analysis.frames import Frames
from study.analysis.parts import Sheet
from study.analysis.requests import (
    cell_pairs,
    parse_comparisons,
    parse_settings,
    usable_comparisons,
)
from study.analysis.sheets.pairs import ASKED, pairs
from study.analysis.sheets.scores import all_scores
from study.analysis.statistics.equivalence import smallest_margin, tost
from study.errors import InputError
from study.report.build import build_report
from tests import synthetic

THREE = {"activation": ["relu", "leaky_relu slope=0.01", "tanh"], "norm": ["none", "batch"]}


def pairs_sheet(directory: Path, **settings: Any) -> Sheet:
    (scores,) = all_scores(Frames.read(directory).cells)
    sheet = pairs(scores, **settings)
    assert sheet is not None
    return sheet


def values_of(path: Path) -> list[float]:
    return synthetic.metric_of(path)


@pytest.mark.parametrize(
    "wish",
    [
        {"margin": 0},
        {"margin": -0.1},
        {"margin": "0.5 points"},
        {"margin": True},
        {"margin": float("inf")},
        {"compare": {"norm": "batch"}},
        {"compare": [{"norm": "batch"}]},
        {"compare": [[{"norm": "batch"}]]},
        {"compare": [[{"norm": "batch"}, {}]]},
        {"compare": [[{"norm": "batch"}, "none"]]},
        {"compare": [[{"norm": ["batch"]}, {"norm": "none"}]]},
        {"compare": [[{1: "batch"}, {"norm": "none"}]]},
        {"margins": 0.1},
    ],
)
def test_a_wish_that_is_none_is_refused_in_one_line(wish: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="report") as error:
        parse_settings(wish)
    assert "\n" not in str(error.value)


def test_a_wish_is_read_as_it_is_written() -> None:
    settings = parse_settings({"margin": 0.005, "compare": [[{"lr": 0.1}, {"norm": "none"}]]})
    assert settings.margin == 0.005
    assert settings.compare == (({"lr": "0.1"}, {"norm": "none"}),)
    assert parse_settings({"margin": None, "compare": None}) == parse_settings({})


def test_each_cell_is_compared_with_the_one_that_is_like_it_otherwise(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path, THREE)
    frames = Frames.read(tmp_path)
    activations = [{"activation": "relu"}, {"activation": "leaky_relu"}]
    asked = parse_comparisons([[{"norm": "batch"}, {"norm": "none"}], activations])
    usable, remarks = usable_comparisons(frames, asked)
    assert remarks == []
    for comparison, number in zip(usable, (3, 2), strict=True):
        found = cell_pairs(frames.cells, comparison)
        assert len(found) == number
        for first, second in found:
            apart = {f for f in first.factors if first.factors[f] != second.factors[f]}
            assert apart == set(comparison[0])


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ([{"nrm": "batch"}, {"norm": "none"}], "unknown factor 'nrm'"),
        ([{"norm": "batch"}, {"norm": "layer"}], "unknown level of norm 'layer'"),
        ([{"norm": "batch"}, {"norm": "batch"}], "differ in this alone"),
        ([{"norm": "batch", "lr": 0.1}, {"norm": "none"}], "chosen learning rate"),
    ],
)
def test_a_comparison_that_no_cells_decide_is_a_remark(
    tmp_path: Path, pair: list[Any], reason: str
) -> None:
    synthetic.make_study(tmp_path, THREE)
    usable, (remark,) = usable_comparisons(Frames.read(tmp_path), parse_comparisons([pair]))
    assert usable == []
    assert remark.startswith("report.compare, pair 1: ")
    assert reason in remark


def test_cells_of_different_data_are_not_compared(tmp_path: Path) -> None:
    for path in synthetic.make_study(tmp_path, {"data": ["mnist", "fashion"]}):

        def change(result: dict[str, Any]) -> None:
            result["provenance"]["data_fingerprint"] = result["factors"]["data"]

        synthetic.change_result(path, change)
    asked = parse_comparisons([[{"data": "mnist"}, {"data": "fashion"}]])
    usable, (remark,) = usable_comparisons(Frames.read(tmp_path), asked)
    assert usable == []
    assert "same data and split" in remark


def test_pairs_asked_for_come_first_and_are_a_family_of_their_own(tmp_path: Path) -> None:
    paths = synthetic.make_study(tmp_path, THREE)
    first, second = values_of(paths[0]), values_of(paths[5])
    asked = ({"activation": "relu", "norm": "none"}, {"activation": "tanh", "norm": "batch"})
    sheet, without = pairs_sheet(tmp_path, compare=[asked]), pairs_sheet(tmp_path)
    row = dict(zip(sheet.columns, sheet.rows[0], strict=True))
    assert row["factor"] == f"activation / norm {ASKED}"
    assert (row["from"], row["to"], row["the others"]) == ("relu / none", "tanh / batch", "–")
    assert float(row["p (Holm)"].lstrip("< ")) >= stats.ttest_rel(first, second).pvalue * 0.95
    assert sheet.rows[1:] == without.rows


def test_a_pair_asked_for_with_a_diverged_replica_is_counted(tmp_path: Path) -> None:
    diverged, *_ = synthetic.make_study(tmp_path, THREE)
    synthetic.change_result(diverged, synthetic.diverge(0))
    sheet = pairs_sheet(tmp_path, compare=[({"norm": "none"}, {"norm": "batch"})])
    assert sum(row[0].endswith(ASKED) for row in sheet.rows) == 2
    assert "1 of the pairs asked for share fewer than two sound seeds." in sheet.notes


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.001, 3.0])
def test_a_margin_above_the_smallest_one_shows_a_lone_pair_the_same(
    tmp_path: Path, factor: float
) -> None:
    one, other = synthetic.make_study(tmp_path, {"norm": ["none", "batch"]})
    smallest = smallest_margin(values_of(other), values_of(one))
    assert smallest is not None
    margin = factor * smallest
    sheet = pairs_sheet(tmp_path, margin=margin)
    assert sheet.columns[-2:] == ("same within", f"within {100 * margin:.2f}")
    assert sheet.rows[0][-1].startswith("same" if factor > 1 else "not shown")
    expected = tost(values_of(other), values_of(one), margin)
    assert expected is not None
    assert (expected.p < 0.05) == (factor > 1)


@pytest.mark.parametrize("num_seeds", [9, 10])
def test_ranks_are_told_from_ten_seeds_on(tmp_path: Path, num_seeds: int) -> None:
    one, other = synthetic.make_study(tmp_path, {"norm": ["none", "batch"]}, seeds=num_seeds)
    sheet = pairs_sheet(tmp_path)
    told = sheet.rows[0][sheet.columns.index("signed rank")]
    expected = stats.wilcoxon(
        [a - b for a, b in zip(values_of(one), values_of(other), strict=True)]
    )
    assert told == ("n < 10" if num_seeds < 10 else f"{expected.pvalue:.2g}")


def test_without_spread_there_is_neither_interval_nor_p(tmp_path: Path) -> None:
    one, other = synthetic.make_study(tmp_path, {"norm": ["none", "batch"]}, seeds=3)
    synthetic.change_result(one, synthetic.set_metric([0.03, 0.04, 0.05]))
    synthetic.change_result(other, synthetic.set_metric([0.01, 0.02, 0.03]))
    row = dict(
        zip((sheet := pairs_sheet(tmp_path, margin=0.05)).columns, sheet.rows[0], strict=True)
    )
    assert row["difference"] == "-2.00"
    for name in ("95 % paired", "p (Holm)", "same within", "within 5.00", "seeds to tell"):
        assert row[name] == "–"


def test_the_experiments_wishes_reach_the_report(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", THREE)
    wish = "margin: 0.001\n  compare: [[{norm: batch}, {norm: none}], [{norm: x}, {norm: none}]]"
    synthetic.write_report_wish(tmp_path / "s", wish)
    report = build_report(Frames.read(tmp_path / "s"))
    (sheet,) = (sheet for sheet in report.sheets if sheet.name == "pairs")
    assert sheet.columns[-1] == "within 0.10"
    assert sum(row[0] == f"norm {ASKED}" for row in sheet.rows) == 3
    assert any(remark.startswith("report.compare, pair 2: ") for remark in report.remarks)
