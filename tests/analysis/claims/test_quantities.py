"""Quantities that no table shows: differences of metrics, probes over training, seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from study.analysis.claims.measures import check_claim
from study.analysis.claims.quantities import find_quantity
from study.analysis.claims.schema import parse_claim
from study.errors import InputError
from tests.claim_studies import at_every_rate, claim, planted, verdict, write_curves
from tests.synthetic import change_probes, change_result, make_probes, make_study, write_probes

SEEDS = range(4)
FLAT = {
    (activation, norm): [10.0 + seed for seed in SEEDS]
    for activation in ("relu", "tanh")
    for norm in ("none", "batch")
}
GAP = "test_error - train_error"


def lower_by(gap: float) -> Callable[[int, float], float]:
    """An error that is lower than a test error by so much, a little more with the seed."""
    return lambda seed, lr: (seed + 1) / 7 - gap * (1 + seed / 100)


def test_a_gap_is_taken_network_by_network(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", FLAT)
    for path, gap in zip(paths, (0.05, 0.02, 0.0, 0.0), strict=True):
        at_every_rate(path, lambda seed, lr: (seed + 1) / 7, "test_error")
        at_every_rate(path, lower_by(gap), "train_error")
    found = verdict(tmp_path / "s", of=GAP, expect="lower by 1 point")
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(3 * 1.015)
    assert found.measure.startswith("test error minus training error: norm=none minus norm=batch")


def test_a_gap_has_the_unit_of_its_metrics() -> None:
    assert find_quantity(GAP).units == find_quantity("test_error").units
    assert find_quantity(GAP).of_task("reconstruction").unit == ""
    assert find_quantity("test_loss - train_loss").unit == ""
    assert find_quantity(GAP).of_data
    assert not find_quantity("activation_variance@end - activation_variance@start").of_data


@pytest.mark.parametrize(
    ("of", "line"),
    [
        ("test_error - train_loss", "test_error is in points and train_loss in a bare number"),
        ("test_error - train_eror", "unknown quantity 'train_eror' (did you mean 'train_error'?)"),
        ("test_error - chosen_lr", "chosen_lr is one number of a cell"),
        ("epoch_second", "unknown quantity 'epoch_second' (did you mean 'epoch_seconds'?)"),
        ("dead_fraction@means", "write its moment as @start, @end or @STEP"),
        ("test_error@mean", "test_error has no moments"),
    ],
)
def test_what_is_no_quantity_is_one_line(of: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        check_claim(parse_claim(claim(of=of)))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def probed(study: Path, *, by_step: Sequence[float]) -> None:
    """Three moments, at which a probe of a seed has these numbers times 1, 1.1, 1.2, ..."""
    paths = make_study(study, {"norm": ["none", "batch"]}, seeds=4)
    steps = dict(zip(("0", "10", "100"), by_step, strict=True))
    for path in paths:
        write_probes(path, make_probes(path))

        def change(row: dict[str, Any], batch: bool = "batch" in path.name) -> None:
            number = steps[row["step"]] * (1 + int(row["seed"]) / 10)
            row.update(preactivation_p85=number / 2 if batch else number)
            row.update(input_shift="" if row["step"] == "0" else number)

        change_probes(path, change)


@pytest.mark.parametrize(("summary", "expected"), [("mean", 4.0), ("range", 6.0)])
def test_a_probe_over_training(tmp_path: Path, summary: str, expected: float) -> None:
    probed(tmp_path / "s", by_step=(1.0, 7.0, 4.0))
    of = f"preactivation_p85@{summary}"
    changes: dict[str, Any] = {"cells": {"norm": "batch"}, "expect": "lower by 1", "layer": "last"}
    found = verdict(tmp_path / "s", of=of, **changes)
    assert found.estimate == pytest.approx(expected / 2 * 1.15)
    assert found.outcome == "supported"
    assert "last layer" in found.measure
    assert "over training" in found.measure


def test_moments_at_which_a_probe_is_not_taken_do_not_count(tmp_path: Path) -> None:
    probed(tmp_path / "s", by_step=(100.0, 2.0, 4.0))
    of_one: dict[str, Any] = {"against": None, "cells": {"norm": "none"}}
    found = verdict(
        tmp_path / "s", of="input_shift@mean", predicted=0, expect="higher by 1", **of_one
    )
    assert found.estimate == pytest.approx(3 * 1.15)


def test_a_probe_that_was_never_taken_is_not_decidable(tmp_path: Path) -> None:
    planted(tmp_path / "s", FLAT)
    found = verdict(tmp_path / "s", of="weight_norm@range", expect="lower by 1")
    assert found.reason.startswith("weight_norm was not measured in mnist-mlp-relu")


def test_a_share_of_a_slope_without_bound_is_not_decidable_and_why(tmp_path: Path) -> None:
    probed(tmp_path / "s", by_step=(1.0, 2.0, 4.0))
    for path in (tmp_path / "s").iterdir():
        if path.is_dir():
            change_probes(path, lambda row: row.update(dead_fraction=""))
    for moment in ("end", "mean"):
        of: dict[str, Any] = {"of": f"dead_fraction@{moment}", "cells": {"norm": "batch"}}
        found = verdict(tmp_path / "s", expect="lower by 1 points", **of)
        assert found.outcome == "not decidable"
        assert "an activation whose slope has no bound" in found.reason


def clock(of_epoch: float, more: float) -> Callable[[int, float], float]:
    """Seconds by seed and epoch, more with the seed."""
    return lambda seed, epoch: 5 + epoch * of_epoch * (1 + seed * more)


def clocked(study: Path, *, together: bool) -> None:
    """Seconds of an epoch: 2 without BatchNorm, 3 with it, a little more with the seed."""
    for path, seconds in zip(planted(study, FLAT, rates=(0.1,)), (2, 3, 2, 3), strict=True):
        write_curves(
            path,
            {seed: [0.1] * 4 for seed in SEEDS},
            seconds=clock(seconds, 0.0 if together else 0.01),
        )


SLOWER: dict[str, Any] = {"measure": "ratio", "of": "epoch_seconds"}


def test_the_cost_of_an_epoch_needs_seeds_trained_one_by_one(tmp_path: Path) -> None:
    clocked(tmp_path / "s", together=True)
    found = verdict(tmp_path / "s", **SLOWER, expect="higher by 0.1 decades")
    assert found.outcome == "not decidable"
    assert "seeds 0 and 1" in found.reason
    assert "population.max_replicas=1" in found.reason


def test_the_cost_of_an_epoch_is_its_share_of_the_curve(tmp_path: Path) -> None:
    clocked(tmp_path / "s", together=False)
    found = verdict(tmp_path / "s", of="epoch_seconds", expect="higher by 0.5 seconds")
    assert found.estimate == pytest.approx(1.015)
    assert found.outcome == "supported"


def test_curves_without_an_epoch_are_named(tmp_path: Path) -> None:
    clocked(tmp_path / "s", together=False)
    for path in (tmp_path / "s").glob("*relu-none*"):
        write_curves(path, {})
    found = verdict(tmp_path / "s", of="epoch_seconds", expect="higher by 0.5 seconds")
    assert found.reason.endswith("curves.csv has no epoch at learning rate 0.1")


def test_a_diverged_network_has_no_gap(tmp_path: Path) -> None:
    paths = planted(tmp_path / "s", FLAT)
    change_result(paths[0], lambda result: result["replicas"][0].update(status="diverged"))
    rate = 0.01
    cells = {"norm": "batch", "activation": "relu", "lr": rate}
    found = verdict(tmp_path / "s", of=GAP, cells=cells, expect="lower by 1 point")
    assert "diverged" in found.reason
