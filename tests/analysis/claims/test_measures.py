"""Each measure finds the effect that was planted in a synthetic study."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from study.analysis.parts import Verdict
from study.outputs.schema import seal
from tests.claim_studies import at_every_rate, good_up_to, planted, verdict, write_curves
from tests.synthetic import (
    change_probes,
    change_result,
    diverge,
    make_probes,
    make_study,
    write_probes,
)

SEEDS = range(4)
FLAT = {
    (activation, norm): [10.0 + seed for seed in SEEDS]
    for activation in ("relu", "tanh")
    for norm in ("none", "batch")
}
RATES = (0.01, 0.1, 1.0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "s"


def shifted(**by: float) -> dict[tuple[str, str], list[float]]:
    """FLAT with some cells, such as `relu_none`, higher by so much, a little more with the seed."""
    return {
        (activation, norm): [
            error + by.get(f"{activation}_{norm}", 0.0) * (1 + seed / 100)
            for seed, error in enumerate(errors)
        ]
        for (activation, norm), errors in FLAT.items()
    }


def expect_effect(found: Verdict, effect: float) -> None:
    """The effect, and support for it where the seeds differ in it."""
    assert found.estimate == pytest.approx(effect)
    assert found.outcome == "supported" or "no spread" in found.reason, found.reason


def test_a_ratio_is_in_decades(study: Path) -> None:
    planted(study, {("relu", "none"): [10.0, 20.0], ("relu", "batch"): [1.0, 2.0]})
    expect_effect(verdict(study, measure="ratio", expect="lower by 0.5 decades"), 1.0)


def test_a_ratio_needs_numbers_above_0(study: Path) -> None:
    planted(study, {("relu", "none"): [10.0, 20.0], ("relu", "batch"): [0.0, 2.0]})
    found = verdict(study, measure="ratio", expect="lower by 0.5 decades")
    assert found.outcome == "not decidable"
    assert "numbers above 0" in found.reason


def test_an_interaction_is_a_difference_of_differences(study: Path) -> None:
    planted(study, shifted(relu_none=9.0, tanh_none=2.0))
    found = verdict(
        study,
        measure="difference of differences",
        elsewhere={"activation": "tanh"},
        expect="lower by 5 points",
    )
    expect_effect(found, 7 * 1.015)
    assert len(found.cells) == 4
    assert "that with activation=relu minus that with activation=tanh" in found.measure


def test_a_range_is_taken_seed_by_seed(study: Path) -> None:
    planted(study, shifted(relu_none=9.0, tanh_batch=-2.0))
    cells = {"norm": "batch"}
    found = verdict(study, measure="range over levels", over="activation", cells=cells)
    expect_effect(found, 7 * 1.015)
    alone: dict[str, Any] = {"measure": "range over levels", "over": "activation", "against": None}
    small = verdict(study, **alone, cells=cells, expect="at least as low within 3 points")
    expect_effect(small, -2 * 1.015)
    large = verdict(study, **alone, cells={"norm": "none"}, expect="same within 3 points")
    assert large.outcome == "refuted"


def test_ranges_are_averaged_over_the_other_factors(study: Path) -> None:
    """Two ranges in opposite directions do not cancel."""
    planted(study, shifted(relu_none=8.0, tanh_batch=4.0))
    found = verdict(
        study,
        measure="range over levels",
        over="activation",
        cells={"norm": ["none", "batch"]},
        against=None,
        expect="same within 7 points",
    )
    expect_effect(found, 6 * 1.015)


def test_a_deviation_from_a_predicted_number(study: Path) -> None:
    planted(study, {("relu", "none"): [88.6, 88.7, 88.65]})
    changes: dict[str, Any] = {"against": None, "cells": {"norm": "none", "activation": "relu"}}
    found = verdict(study, predicted=88.65, expect="same within 0.5 points", **changes)
    expect_effect(found, 0.0)
    assert found.measure.startswith("test error: measured minus predicted (88.65)")


@pytest.fixture
def graded(study: Path) -> list[Path]:
    """Good up to the second learning rate without BatchNorm, up to the third with it."""
    paths = planted(study, FLAT, rates=(*RATES, 10.0))
    for path, best in zip(paths, (0.1, 1.0, 0.1, 10.0), strict=True):
        at_every_rate(path, good_up_to(best), "val_error")
    return paths


LARGEST: dict[str, Any] = {"measure": "largest learning rate", "of": "val_error", "within": 5}


def test_the_largest_good_learning_rate(study: Path, graded: list[Path]) -> None:
    expect_effect(verdict(study, **LARGEST, expect="higher by 0.5 decades"), 1.0)


def test_diverged_replicas_are_no_good_learning_rate(study: Path, graded: list[Path]) -> None:
    def lost(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            if replica["lr"] == 1.0:
                replica["status"] = "diverged"

    change_result(graded[1], lost)
    found = verdict(study, **LARGEST, expect="same within 0.5 decades")
    expect_effect(found, 0.0)


TO_TARGET: dict[str, Any] = {"of": "epochs_to_val_error", "target": 10}


def test_epochs_to_a_target(study: Path) -> None:
    paths = planted(study, FLAT)
    write_curves(paths[0], {seed: [0.9, 0.5, 0.2, 0.1, 0.1] for seed in SEEDS})
    write_curves(paths[1], {seed: [0.9, 0.1, 0.2, 0.1, 0.1] for seed in SEEDS})
    expect_effect(verdict(study, **TO_TARGET, expect="lower by 1 epoch"), 2.0)


def probed(study: Path, **numbers: float) -> list[Path]:
    """FLAT, with the gradient's variance 10 times larger in each layer than in that before."""
    paths = planted(study, FLAT)
    for path in paths:
        write_probes(path, make_probes(path))
        change_probes(path, lambda row: row.update(gradient_variance=10.0 ** int(row["layer"])))
        change_probes(path, lambda row: row.update(distinct_units=1, **numbers))
    return paths


def test_a_probe_by_layer(study: Path) -> None:
    probed(study)
    starving: dict[str, Any] = {
        "of": "gradient_variance@start",
        "layer": "slope",
        "against": None,
        "predicted": 0,
    }
    found = verdict(study, **starving, expect="higher by 0.3 decades a layer")
    expect_effect(found, 1.0)


def test_distinct_units(study: Path) -> None:
    probed(study)
    symmetric: dict[str, Any] = {"of": "distinct_units@end", "against": None, "predicted": 1}
    expect_effect(verdict(study, **symmetric, layer="max", expect="same within 0.5"), 0.0)


def test_what_diverges_later_has_not_at_the_start(study: Path) -> None:
    paths = probed(study)
    change_result(paths[1], diverge(0))
    start = verdict(study, of="dead_fraction@start", expect="same within 100 points")
    end = verdict(study, of="dead_fraction@end", expect="same within 100 points")
    assert start.outcome != "not decidable"
    assert "diverged" in end.reason


def checks(study: Path, paths: list[Path]) -> None:
    cells = [
        {
            "signature": json.loads((path / "result.json").read_text())["signature"],
            "predicted": {"gradient_variance": [10.0, 100.0, 1000.0]},
            "flags": {"predicted": ["G1"] * number},
        }
        for number, path in enumerate(paths)
    ]
    record = seal({"schema": 1, "rules": [], "cells": cells})
    (study / "preflight.json").write_text(json.dumps(record), encoding="utf-8")


def test_the_pre_flight_predicts(study: Path) -> None:
    paths = probed(study)
    predicted: dict[str, Any] = {
        "measure": "ratio",
        "of": "gradient_variance@start",
        "layer": 3,
        "against": None,
        "predicted": "preflight",
        "expect": "same within 0.1 decades",
    }
    missing = verdict(study, **predicted)
    assert missing.reason.startswith("preflight.json says nothing of")
    checks(study, paths)
    found = verdict(study, **predicted)
    expect_effect(found, 0.0)
    assert "(the pre-flight's)" in found.measure


RANKED: dict[str, Any] = {
    "measure": "rank correlation",
    "cells": {"norm": ["none", "batch"]},
    "against": None,
}


def test_a_rank_correlation_over_cells(study: Path) -> None:
    paths = planted(study, shifted(relu_none=1.0, relu_batch=2.0, tanh_none=3.0, tanh_batch=4.0))
    for place, path in enumerate(paths):
        at_every_rate(path, 3.0 - place, "test_loss")
    found = verdict(study, **RANKED, with_="test_loss", expect="lower by 0.5")
    expect_effect(found, 1.0)


def test_a_rank_correlation_with_a_factor(study: Path) -> None:
    sizes = [100, 200, 300, 1000]
    paths = make_study(study, {"data.train_size": sizes})
    for path, size in zip(paths, sizes, strict=True):
        at_every_rate(path, 1 / math.log(size), "test_error")
    changes = {**RANKED, "cells": {"model": "mlp"}, "with_": "data.train_size"}
    expect_effect(verdict(study, **changes, expect="lower by 0.9"), 1.0)
    few = {**changes, "cells": {"data.train_size": [100, 200, 300]}}
    assert "needs 4 cells" in verdict(study, **few, expect="lower by 0.9").reason


def test_one_learning_rate_in_place_of_the_chosen_one(study: Path) -> None:
    paths = planted(study, FLAT)
    for path in paths:
        at_every_rate(path, lambda seed, lr: lr / 10 + seed / 1000, "test_error")
    found = verdict(
        study, cells={"norm": "batch", "lr": 0.01}, against={"lr": 1}, expect="lower by 2 points"
    )
    expect_effect(found, 9.9)
