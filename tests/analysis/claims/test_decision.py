"""Verdicts on claims about synthetic studies, with effects that were planted in them."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from study.analysis.statistics.intervals import paired
from tests.claim_studies import ask, claim, planted, verdict
from tests.synthetic import change_result, diverge, fail, make_study, set_metric

NEAR = (0.0, 0.1, -0.1, 0.05, -0.05)
"""What the seeds of a cell differ by."""


def differing(effect: float, spread: float = 1.0) -> dict[tuple[str, str], list[float]]:
    """Errors by which norm=none is worse than norm=batch, for relu."""
    return {
        ("relu", "batch"): [10.0] * 5,
        ("relu", "none"): [10.0 + effect + spread * each for each in NEAR],
    }


RULES = [
    # effect of BatchNorm (positive: lower error), expectation, outcome
    (5.0, "lower by 2 points", "supported"),
    (1.0, "lower by 2 points", "refuted"),
    (-5.0, "lower by 2 points", "refuted"),
    (2.0, "lower by 2 points", "supported"),
    (1.95, "lower by 2 points", "undecided"),
    (-5.0, "higher by 2 points", "supported"),
    (5.0, "higher by 2 points", "refuted"),
    (0.0, "at least as low within 1 point", "supported"),
    (5.0, "at least as low within 1 point", "supported"),
    (-5.0, "at least as low within 1 point", "refuted"),
    (-1.0, "at least as low within 1 point", "undecided"),
    (5.0, "at least as high within 1 point", "refuted"),
    (0.0, "same within 1 point", "supported"),
    (5.0, "same within 1 point", "refuted"),
    (-5.0, "same within 1 point", "refuted"),
    (1.0, "same within 1 point", "undecided"),
]


@pytest.mark.parametrize(("effect", "expect", "outcome"), RULES)
def test_the_rules(tmp_path: Path, effect: float, expect: str, outcome: str) -> None:
    planted(tmp_path / "s", differing(effect))
    assert verdict(tmp_path / "s", expect=expect).outcome == outcome


def test_one_claim_has_the_t_interval_of_the_pairs(tmp_path: Path) -> None:
    errors = differing(4.0)
    planted(tmp_path / "s", errors)
    found = verdict(tmp_path / "s")
    expected = paired(errors["relu", "none"], errors["relu", "batch"])
    assert (found.estimate, found.low, found.high, found.p) == pytest.approx(
        (expected.mean, expected.low, expected.high, expected.p)
    )
    assert (found.num_seeds, found.smallest, found.unit) == (5, 2.0, "points")
    assert found.measure == "test error: norm=none minus norm=batch; activation=relu"
    assert len(found.cells) == 2
    assert all((tmp_path / "s" / name).is_dir() for name in found.cells)


def test_an_effect_is_counted_in_the_direction_that_is_expected(tmp_path: Path) -> None:
    planted(tmp_path / "s", differing(4.0))
    lower = verdict(tmp_path / "s", expect="lower by 2 points")
    higher = verdict(tmp_path / "s", expect="higher by 2 points")
    assert lower.estimate == pytest.approx(4)
    assert higher.estimate == pytest.approx(-4)
    assert higher.measure.startswith("test error: norm=batch minus norm=none")


def test_bounds_widen_with_the_claims_of_the_file(tmp_path: Path) -> None:
    planted(tmp_path / "s", differing(2.3, 16.0))
    alone = verdict(tmp_path / "s")
    family = ask(tmp_path / "s", *(claim(id=f"c{number}") for number in range(25)))
    assert alone.low is not None
    assert alone.p is not None
    for found in family:
        assert found.low is not None
        assert found.low < alone.low
        assert found.p is not None
        assert found.p == pytest.approx(min(1.0, 25 * alone.p))
    assert alone.outcome == "supported"
    assert {found.outcome for found in family} == {"undecided"}


@pytest.mark.parametrize("spread", [1.0, 16.0])
def test_bounds_do_not_widen_when_other_cells_are_finished(tmp_path: Path, spread: float) -> None:
    """The claims on tanh are not decidable at first."""
    paths = planted(
        tmp_path / "s",
        {
            **differing(2.3, spread),
            ("tanh", "batch"): [10.0 + each for each in NEAR],
            ("tanh", "none"): [10.0] * 5,
        },
    )
    others = [claim(id=f"c{n}", cells={"norm": "batch", "activation": "tanh"}) for n in range(9)]
    finished = ask(tmp_path / "s", claim(), *others)[0]
    fail(paths[3])
    unfinished, *lost = ask(tmp_path / "s", claim(), *others)
    assert {each.outcome for each in lost} == {"not decidable"}
    for name in ("low", "high", "p", "estimate"):
        before, after = getattr(unfinished, name), getattr(finished, name)
        assert before <= after if name == "low" else before >= after


@pytest.mark.parametrize("expect", ["lower by 2 points", "same within 6 points"])
@pytest.mark.parametrize("first", [[10.0] * 3, [10.1, 10.2, 10.3]])
def test_equal_effects_of_all_seeds_decide_nothing(
    tmp_path: Path, expect: str, first: list[float]
) -> None:
    """Nor do those that differ by rounding alone."""
    second = [number - 4.7 for number in first]
    planted(tmp_path / "s", {("relu", "none"): first, ("relu", "batch"): second})
    found = verdict(tmp_path / "s", expect=expect)
    assert found.outcome == "undecided"
    assert found.reason == (
        "all 3 seeds have the same effect: no spread, so neither interval nor p"
    )
    assert abs(found.estimate or 0) == pytest.approx(4.7)
    assert (found.low, found.high, found.p) == (None, None, None)


def test_small_numbers_have_a_spread_of_their_own(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    for path, numbers in zip(
        paths, ([5e-20, 6e-20, 5e-20, 6e-20, 5e-20], [1e-20] * 5), strict=False
    ):
        change_result(path, set_metric(numbers, "test_loss"))
    found = verdict(tmp_path / "s", of="test_loss", expect="lower by 1e-20")
    assert found.outcome == "supported"


def test_when_nothing_differs_hardly_any_file_has_a_supported_claim(tmp_path: Path) -> None:
    """Of 40 studies of pure noise at most 5 % + 3 standard errors support a claim."""
    draw, wrong = random.Random(0), 0
    for number in range(40):
        directory = tmp_path / str(number)
        cells = [(a, n) for a in ("relu", "tanh") for n in ("none", "batch")]
        noise = {cell: [draw.gauss(10, 1) for _ in range(5)] for cell in cells}
        planted(directory, noise, rates=(0.1,))
        small = {"expect": "lower by 0.000001 points"}
        found = ask(
            directory,
            claim(id="a", **small),
            claim(id="b", cells={"norm": "batch", "activation": "tanh"}, **small),
            claim(id="c", expect="higher by 0.000001 points"),
        )
        wrong += any(each.outcome == "supported" for each in found)
    assert wrong / 40 <= 0.05 + 3 * (0.05 * 0.95 / 40) ** 0.5


REASONS: dict[str, dict[str, Any]] = {
    "unknown factor 'nrm' (did you mean 'norm'?); choose from: activation, norm, lr; the same in": {
        "cells": {"nrm": "batch"},
        "against": {"nrm": "none"},
    },
    "unknown level of norm 'bach' (did you mean 'batch'?); choose from: none, batch": {
        "cells": {"norm": "bach"}
    },
    "unknown level of lr '7'; choose from: 0.01, 0.1, 1": {"cells": {"norm": "batch", "lr": 7}},
    "unknown measure 'differenc' (did you mean 'difference' or 'difference of": {
        "measure": "differenc"
    },
    "of: unknown quantity 'test_eror'": {"of": "test_eror"},
    "expect: it has no unit, but the effect is in points": {"expect": "lower by 2"},
    "no finished cell has probes": {"of": "dead_fraction@end"},
    "curves.csv is not the file that result.json names": {
        "of": "epochs_to_val_error",
        "target": 5,
        "expect": "lower by 1 epoch",
    },
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_no_cell_has_is_not_decidable_and_says_why(tmp_path: Path, reason: str) -> None:
    planted(tmp_path / "s", differing(4.0))
    found = verdict(tmp_path / "s", **REASONS[reason])
    assert found.outcome == "not decidable"
    assert reason in found.reason
    assert "\n" not in found.reason
    assert (found.estimate, found.low, found.high, found.p) == (None,) * 4


def test_an_unknown_factor_has_the_factors_that_vary_for_choice(tmp_path: Path) -> None:
    """And not all the keys that are the same in every cell."""
    same = {f"data.key{number}": [number] for number in range(20)}
    make_study(tmp_path / "s", {**same, "norm": ["none", "batch"], "init": ["a", "b"]})
    found = verdict(tmp_path / "s", cells={"model.depth": 3}, against={"model.depth": 5})
    assert found.reason.startswith("unknown factor 'model.depth'")
    assert found.reason.endswith(
        "; choose from: norm, init, lr; the same in all cells: data, model, data.key0, ..."
    )


@pytest.mark.parametrize("value", ["relu wins", {"id": "odd"}, {}, 3, None])
def test_a_ledger_with_what_is_no_claim_is_read_all_the_same(tmp_path: Path, value: Any) -> None:
    planted(tmp_path / "s", differing(4.0))
    odd, sound = ask(tmp_path / "s", value, claim())
    assert odd.outcome == "not decidable"
    assert odd.reason
    assert odd.id == ("odd" if value == {"id": "odd"} else "1")
    assert sound.outcome == "supported"


def test_cells_that_are_not_finished_are_named(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    fail(paths[0])
    found = verdict(tmp_path / "s")
    assert found.outcome == "not decidable"
    assert found.reason == f"1 of 1 cell not finished: {paths[0].name} (failed)"
    other = verdict(tmp_path / "s", cells={"norm": "batch", "activation": "tanh"})
    assert other.outcome != "not decidable"


def test_diverged_replicas_have_no_mean(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    change_result(paths[0], diverge(1, 2))
    found = verdict(tmp_path / "s")
    assert found.outcome == "not decidable"
    assert found.reason.startswith(f"2 of 5 replicas of {paths[0].name} diverged")


def test_divergence_itself_can_be_claimed(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    change_result(paths[0], diverge(0, 1, 2, 3))
    found = verdict(tmp_path / "s", of="diverged", expect="lower by 50 points")
    assert (found.outcome, found.estimate) == ("supported", 80)


def test_an_interval_needs_two_seeds(tmp_path: Path) -> None:
    planted(tmp_path / "s", {("relu", "none"): [15.0], ("relu", "batch"): [10.0]})
    found = verdict(tmp_path / "s")
    assert found.outcome == "not decidable"
    assert found.reason == "its cells share 1 seed: an interval needs at least 2"


def test_only_seeds_that_all_cells_have_count(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))

    def drop(result: dict[str, Any]) -> None:
        result["replicas"] = [each for each in result["replicas"] if each["seed"] > 1]

    change_result(paths[1], drop)
    assert verdict(tmp_path / "s").num_seeds == 3


def test_a_number_that_is_not_finite_is_named(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    change_result(paths[1], set_metric([None, 1.0, 1.0, 1.0, 1.0], "test_loss"))
    found = verdict(tmp_path / "s", of="test_loss", expect="lower by 2")
    assert found.reason == f"test_loss is not finite in {paths[1].name}, seed 0"


def test_cells_without_a_counterpart_are_not_averaged(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", differing(4.0))
    both = {"cells": {"norm": "batch"}}
    assert verdict(tmp_path / "s", **both).outcome != "not decidable"
    ledger = ask(tmp_path / "s", claim(**both), cells=_entries(tmp_path / "s")[:-1])
    assert ledger[0].outcome == "not decidable"
    assert ledger[0].reason.startswith(f"{paths[2].name} has no counterpart on the other side")


def test_several_cells_are_averaged_pair_by_pair(tmp_path: Path) -> None:
    planted(
        tmp_path / "s",
        {
            **differing(4.0),
            ("tanh", "batch"): [20.0] * 5,
            ("tanh", "none"): [22.0 + each for each in NEAR],
        },
    )
    found = verdict(tmp_path / "s", cells={"norm": "batch"})
    assert found.estimate == pytest.approx(3)
    assert len(found.cells) == 4


def test_a_level_may_go_by_its_first_word(tmp_path: Path) -> None:
    levels = ["relu", "leaky_relu slope=0.01", "elu alpha=1", "elu alpha=2"]
    make_study(tmp_path / "s", {"activation": levels})
    by_name = {"cells": {"activation": "leaky_relu"}, "against": {"activation": "relu"}}
    assert verdict(tmp_path / "s", **by_name).measure.endswith("activation=leaky_relu slope=0.01")
    of_two = {"cells": {"activation": "elu"}, "against": {"activation": "relu"}}
    assert "'elu' is several levels of activation" in verdict(tmp_path / "s", **of_two).reason


def _entries(directory: Path) -> list[Any]:
    return list(json.loads((directory / "study.json").read_text(encoding="utf-8"))["cells"])
