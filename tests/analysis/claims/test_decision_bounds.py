"""Numbers that are only bounds: an error that was not reached, the end of a grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from study.analysis.parts import Verdict
from tests.claim_studies import at_every_rate, good_up_to, planted, verdict, write_curves

SEEDS = range(4)
FLAT = {
    (activation, norm): [10.0 + seed for seed in SEEDS]
    for activation in ("relu", "tanh")
    for norm in ("none", "batch")
}
TO_TARGET: dict[str, Any] = {"of": "epochs_to_val_error", "target": 10}
LARGEST: dict[str, Any] = {"measure": "largest learning rate", "of": "val_error", "within": 5}
NUM_EPOCHS = 9
MISSED = NUM_EPOCHS + 1


def reached_at(epoch: int) -> list[float]:
    """A curve whose error first is at the target at an epoch."""
    return [0.1 if each >= epoch else 0.5 for each in range(NUM_EPOCHS + 1)]


def reaching(study: Path, without: Sequence[int], with_norm: Sequence[int], expect: str) -> Verdict:
    """The claim on cells whose seeds reach the target at these epochs, without BatchNorm and with.

    Nobody sees an epoch from MISSED on.
    """
    paths = planted(study, FLAT, rates=(0.1,))
    write_curves(paths[0], {seed: reached_at(epoch) for seed, epoch in enumerate(without)})
    write_curves(paths[1], {seed: reached_at(epoch) for seed, epoch in enumerate(with_norm)})
    return verdict(study, **TO_TARGET, expect=expect)


SLOWER = [
    # effects at least as large as 7, 8, 7, 8
    ((9, 12, 10, 30), (2, 2, 3, 2), True),
    # at most -7, -8, -7, -8
    ((2, 2, 3, 2), (9, 12, 10, 30), False),
]


@pytest.mark.parametrize(("without", "with_norm", "is_higher"), SLOWER)
@pytest.mark.parametrize(
    "expect", ["lower by 2 epochs", "at least as low within 2 epochs", "higher by 2 epochs"]
)
def test_numbers_that_are_only_bounds_decide_nothing(
    tmp_path: Path, without: Sequence[int], with_norm: Sequence[int], is_higher: bool, expect: str
) -> None:
    found = reaching(tmp_path / "s", without, with_norm, expect)
    assert (found.outcome, found.low, found.high, found.p) == ("undecided", None, None, None)
    assert abs(found.estimate or 0) == 7.5
    side = "larger" if ("higher" in expect) != is_higher else "smaller"
    cause = "an error was not reached in the epochs trained"
    assert found.reason == f"the true effect may be {side}: {cause}"


def test_with_more_epochs_the_bound_that_is_left_only_moves_out(tmp_path: Path) -> None:
    """Training longer can but raise an effect of which nothing but a lower bound is known."""
    with_norm = [2, 2, 3, 2]
    lows = []
    for end in (7, 8, MISSED):
        seen = [min(epoch, end) for epoch in (6, 7, 8, 9)]
        lows.append(reaching(tmp_path / str(end), seen, with_norm, "lower by 1 epoch").estimate)
    assert lows == sorted(lows, key=lambda low: low or 0.0)


def test_bounds_on_both_sides_say_nothing(tmp_path: Path) -> None:
    found = reaching(tmp_path / "s", (9, 12, 10, 30), (8, 9, 11, 9), "lower by 2 epochs")
    assert found.outcome == "not decidable"
    assert "are bounds only" in found.reason


def graded(study: Path, *best: float) -> None:
    """Good up to a learning rate in each of the four cells; up to a lower one in one seed."""
    paths = planted(study, FLAT, rates=(0.01, 0.1, 1.0, 10.0))
    for path, highest in zip(paths, best, strict=True):
        lower = good_up_to(highest / 10)
        usual = good_up_to(highest)
        assert callable(lower)
        assert callable(usual)

        def number(seed: int, lr: float, lower: Any = lower, usual: Any = usual) -> float:
            return float((usual if seed else lower)(seed, lr))

        at_every_rate(path, number if path is paths[1] else usual, "val_error")


@pytest.mark.parametrize(
    "best",
    [
        (0.1, 10.0, 0.1, 0.1),
        (10.0, 0.1, 0.1, 0.1),
        (0.1, 1.0, 0.1, 0.1),
    ],
)
def test_the_end_of_a_grid_is_a_bound(tmp_path: Path, best: Sequence[float]) -> None:
    graded(tmp_path / "s", *best)
    found = verdict(tmp_path / "s", **LARGEST, expect="higher by 1 decade")
    assert ("true effect" in found.reason) == (10.0 in best) == (found.low is None)


def test_where_the_lowest_rate_is_the_best_the_largest_may_be_lower(tmp_path: Path) -> None:
    """With a still lower one the best may be better, and fewer rates near it."""
    graded(tmp_path / "s", 0.1, 1.0, 0.1, 0.1)
    path = next((tmp_path / "s").glob("*relu-batch*"))
    at_every_rate(path, lambda seed, lr: 0.05 if lr == 0.01 else 0.09 + seed / 100, "val_error")
    found = verdict(tmp_path / "s", **LARGEST, expect="higher by 0.1 decades")
    assert found.outcome == "not decidable"
    usual = {0.01: 0.05, 0.1: 0.06, 1.0: 0.07, 10.0: 0.3}
    at_every_rate(path, lambda seed, lr: 0.3 if lr == 1 and not seed else usual[lr], "val_error")
    found = verdict(tmp_path / "s", **LARGEST, expect="higher by 0.1 decades")
    assert found.low is None
    assert found.reason.startswith("the true effect may be smaller")


def test_two_ends_of_a_grid_are_not_compared(tmp_path: Path) -> None:
    graded(tmp_path / "s", 10.0, 10.0, 10.0, 10.0)
    found = verdict(tmp_path / "s", **LARGEST, expect="higher by 1 decade")
    assert found.outcome == "not decidable"
    assert "are bounds only" in found.reason


def test_an_interaction_of_bounds_is_one(tmp_path: Path) -> None:
    """Larger here and smaller there leave one bound; larger in both leave none."""
    paths = planted(tmp_path / "s", FLAT, rates=(0.1,))
    interaction: dict[str, Any] = {
        **TO_TARGET,
        "measure": "difference of differences",
        "elsewhere": {"activation": "tanh"},
        "expect": "lower by 2 epochs",
    }
    for path, epochs in zip(paths, ((12, 12), (2, 3), (2, 2), (2, 2)), strict=True):
        write_curves(path, {seed: reached_at(epoch) for seed, epoch in enumerate(epochs)})
    found = verdict(tmp_path / "s", **interaction)
    assert (found.estimate, found.high) == (7.5, None)
    write_curves(paths[2], {seed: reached_at(MISSED) for seed in range(2)})
    assert verdict(tmp_path / "s", **interaction).outcome == "not decidable"
