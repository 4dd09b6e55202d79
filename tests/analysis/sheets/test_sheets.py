"""The analyses of a report: their rows are what the cells' numbers say."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from study.analysis.frames import Frames
from study.analysis.parts import Sheet, Verdict
from study.analysis.sheets.learning_rates import learning_rates
from study.analysis.sheets.levels import effects, levels
from study.analysis.sheets.pairs import pairs, pairs_of
from study.analysis.sheets.ranking import ranking
from study.analysis.sheets.scores import Scores, all_scores, glossary, verdict_sheet
from study.analysis.sheets.targets import target_of, time_to_target
from tests import synthetic

TWO = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}
ERRORS = {
    "relu-none": [0.030, 0.034, 0.032],
    "relu-batch": [0.020, 0.023, 0.023],
    "tanh-none": [0.050, 0.052, 0.060],
    "tanh-batch": [0.041, 0.043, 0.048],
}


def keep(path: Path, name: str, content: bytes) -> None:
    """Writes a file of a cell that its record then names."""
    (path / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    synthetic.change_result(path, lambda result: result["files"].update({name: digest}))


def planted(directory: Path, errors: dict[str, list[float]] = ERRORS) -> dict[str, Path]:
    """A study of four cells with these test errors; their directories by `activation-norm`."""
    paths = synthetic.make_study(directory, TWO, seeds=3)
    cells = dict(zip(errors, paths, strict=True))
    for name, path in cells.items():
        synthetic.change_result(path, synthetic.set_metric(errors[name]))
    return cells


def scores_of(directory: Path) -> Scores:
    (scores,) = all_scores(Frames.read(directory).cells)
    return scores


def column(sheet: Sheet | None, name: str) -> list[str]:
    assert sheet is not None
    place = sheet.columns.index(name)
    return [row[place] for row in sheet.rows]


def test_every_sheet_is_rectangular(tmp_path: Path) -> None:
    planted(tmp_path / "s")
    scores = scores_of(tmp_path / "s")
    made = [make(scores, "") for make in (ranking, effects, levels, pairs)]
    for sheet in [*made, learning_rates(scores), glossary(Frames.read(tmp_path / "s"))]:
        assert sheet is not None
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)


def test_cells_are_ranked_by_their_mean(tmp_path: Path) -> None:
    cells = planted(tmp_path / "s")
    sheet = ranking(scores_of(tmp_path / "s"))
    assert sheet.columns[1] == "activation / norm"
    order = ["relu / batch", "relu / none", "tanh / batch", "tanh / none"]
    assert column(sheet, "activation / norm") == order
    assert column(sheet, "error")[0].startswith("2.20 ± ")
    first, second = ERRORS["relu-none"], ERRORS["relu-batch"]
    interval = stats.ttest_rel(first, second).confidence_interval()
    assert (
        column(sheet, "95 % interval")[1] == f"[{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"
    )
    synthetic.change_result(cells["relu-batch"], synthetic.diverge(1))
    sheet = ranking(scores_of(tmp_path / "s"))
    assert sheet.rows[-1][:3] == ("–", "relu / batch", "median 2.30 (1/3 diverged)")
    assert column(sheet, "behind the best")[-1] == "–"


def test_pairs_differ_in_one_factor_and_have_scipys_intervals(tmp_path: Path) -> None:
    planted(tmp_path / "s")
    scores = scores_of(tmp_path / "s")
    assert len(pairs_of(scores)) == 4
    for pair in pairs_of(scores):
        a, b = pair.first.cell.factors, pair.second.cell.factors
        assert [name for name in a if a[name] != b[name]] == [pair.factor]
    sheet = pairs(scores)
    assert sheet is not None
    row = next(row for row in sheet.rows if row[:4] == ("activation", "relu", "tanh", "batch"))
    cells = dict(zip(sheet.columns, row, strict=True))
    first, second = ERRORS["tanh-batch"], ERRORS["relu-batch"]
    for name, found in (
        ("95 % paired", stats.ttest_rel(first, second).confidence_interval()),
        ("95 % Welch", stats.ttest_ind(first, second, equal_var=False).confidence_interval()),
    ):
        assert cells[name] == f"[{100 * found[0]:.2f}, {100 * found[1]:.2f}]"
    assert cells["correlation"] == f"{np.corrcoef(first, second)[0, 1]:.2f}"


def test_without_spread_there_is_neither_interval_nor_p(tmp_path: Path) -> None:
    one, other = synthetic.make_study(tmp_path, {"norm": ["none", "batch"]}, seeds=3)
    synthetic.change_result(one, synthetic.set_metric([0.03, 0.04, 0.05]))
    synthetic.change_result(other, synthetic.set_metric([0.01, 0.02, 0.03]))
    sheet = pairs(scores_of(tmp_path))
    assert column(sheet, "difference") == ["-2.00"]
    for name in ("95 % paired", "p (Holm)", "seeds to tell"):
        assert column(sheet, name) == ["–"]


def test_cells_with_diverged_replicas_are_in_no_pair(tmp_path: Path) -> None:
    cells = planted(tmp_path / "s")
    synthetic.change_result(cells["relu-none"], synthetic.diverge(0))
    found = pairs_of(scores_of(tmp_path / "s"))
    assert {pair.first.words for pair in found} == {"relu / batch", "tanh / none"}


def test_shares_of_variance_sum_to_one(tmp_path: Path) -> None:
    planted(tmp_path / "s")
    shares = column(effects(scores_of(tmp_path / "s")), "share of variance")
    assert sum(float(text.removesuffix(" %")) for text in shares) == pytest.approx(100, abs=0.3)
    assert column(effects(scores_of(tmp_path / "s")), "factor")[0] == "activation"


def test_levels_average_over_the_rest(tmp_path: Path) -> None:
    planted(tmp_path / "s")
    sheet = levels(scores_of(tmp_path / "s"))
    means = dict(zip(column(sheet, "level"), column(sheet, "mean"), strict=True))
    relu = np.mean([ERRORS["relu-none"], ERRORS["relu-batch"]])
    assert means["relu"] == f"{100 * relu:.2f}"


def set_rate(values: dict[float, float]) -> synthetic.Change:
    """A change: validation and test errors at each learning rate."""

    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            replica.update(dict.fromkeys(("val_error", "test_error"), values[replica["lr"]]))
        result["chosen_lr"] = min(values, key=lambda rate: values[rate])

    return change


def test_the_good_region_of_each_cell(tmp_path: Path) -> None:
    relu, tanh = synthetic.make_study(tmp_path / "s", {"activation": ["relu", "tanh"]})
    synthetic.change_result(relu, set_rate({0.01: 0.021, 0.1: 0.02, 1.0: 0.5}))
    synthetic.change_result(tanh, set_rate({0.01: 0.09, 0.1: 0.06, 1.0: 0.03}))
    sheet = learning_rates(scores_of(tmp_path / "s"))
    assert column(sheet, "good") == ["<0.01 to 0.1", "1 to 1>"]
    assert column(sheet, "decades") == ["1.0", "0.0"]
    assert column(sheet, "0.1") == ["2.00", "6.00"]


def curves(path: Path, errors: Sequence[Sequence[float]]) -> None:
    """Validation errors by seed and epoch, epoch 0 first, at the chosen learning rate."""
    chosen = json.loads((path / "result.json").read_text())["chosen_lr"]
    lines = ["seed,lr,epoch,train_loss,train_error,val_loss,val_error,seconds"]
    for seed, curve in enumerate(errors):
        lines += [f"{seed},{chosen},{at},,,1,{value},{at * 2}.5" for at, value in enumerate(curve)]
    keep(path, "curves.csv", ("\n".join(lines) + "\n").encode())


def test_a_target_that_is_missed_takes_forever(tmp_path: Path) -> None:
    relu, tanh = synthetic.make_study(tmp_path / "s", {"activation": ["relu", "tanh"]}, seeds=3)
    config = "batch_size: 100\ndata:\n  train_size: 1000\n"
    for path, error in ((relu, 0.04), (tanh, 0.06)):
        synthetic.change_result(path, synthetic.set_metric([error] * 3, "val_error"))
        synthetic.configure(path, config)
    curves(relu, [[0.04, 0.5, 0.04], [0.9, 0.04, 0.2], [0.9, 0.9, 0.03]])
    curves(tanh, [[0.9, 0.5, 0.04], [0.9, 0.4, 0.2], [0.9, 0.9, 0.3]])
    frames = Frames.read(tmp_path / "s")
    sheet = time_to_target(scores_of(tmp_path / "s"), frames=frames)
    assert sheet is not None
    assert sheet.rows == (
        ("5.00", "relu", "2", "20", "4.5", "3/3"),
        ("5.00", "tanh", "∞", "∞", "∞", "1/3"),
    )


def test_the_default_target_is_reached_by_about_half_of_the_cells(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s")
    validation = scores_of(tmp_path / "s").by("val_error")
    target = target_of(validation)
    assert target is not None
    reached = sum(score.mean <= target for score in validation.scores)
    assert len(validation.scores) / 2 <= reached < len(validation.scores)
    assert f"{target:.2g}" == f"{target:g}"
    frames = Frames.read(tmp_path / "s")
    assert time_to_target(scores_of(tmp_path / "s"), frames=frames) is None


def test_a_verdict_is_a_row() -> None:
    verdict = Verdict(
        "c1", "it holds", "slide 3", "undecided", "difference", "test_error", 0.5, 0.1, 0.9,
        0.03, 5, 1.0, "points", "1.2 (X 2010)", "study train experiment=x", "", (),
    )  # fmt: skip
    lost = Verdict(
        "c2", "it fails", "slide 4", "not decidable", "difference", "test_error", None, None, None,
        None, 0, 1.0, "", "", "", "no cell is finished", (),
    )  # fmt: skip
    first, second = verdict_sheet([verdict, lost]).rows
    assert first[:7] == ("c1", "it holds", "undecided", "0.5 points", "[0.1, 0.9]", "0.03", "5")
    assert second[2:6] == ("not decidable: no cell is finished", "–", "–", "–")


def test_one_seed_gives_no_interval_anywhere(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO, seeds=1)
    scores = scores_of(tmp_path / "s")
    assert pairs(scores) is None
    assert set(column(levels(scores), "95 % t")) == {"–"}
    assert set(column(ranking(scores), "p (Holm)")) == {"–"}
    assert all(math.isfinite(score.mean) for score in scores.scores)
