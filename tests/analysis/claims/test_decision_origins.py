"""Errors on other images are neither pooled nor compared."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from study.analysis.claims import check_claims
from study.analysis.parts import Verdict
from study.config.compose import hydra_ready
from study.config.sweep import plan
from study.errors import InputError
from tests.claim_studies import at_every_rate, claim, verdict, write_curves
from tests.synthetic import change_result, configure, make_probes, make_study, write_probes

LEVELS = {"data": ["mnist", "fashion"], "norm": ["none", "batch"]}
ERRORS = {
    ("mnist", "none"): 0.10,
    ("mnist", "batch"): 0.06,
    ("fashion", "none"): 0.30,
    ("fashion", "batch"): 0.16,
}
OVER_DATA: dict[str, Any] = {"cells": {"norm": "batch"}}
ACROSS: dict[str, Any] = {
    "cells": {"norm": "batch", "data": "mnist"},
    "against": {"data": "fashion"},
}


def write_config(path: Path, **data: Any) -> None:
    """The `data` keys of a cell's configuration."""
    configure(path, yaml.safe_dump({"data": data}))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Data x norm; the cells of each data have a fingerprint of their own."""
    for path in make_study(tmp_path / "s", LEVELS, rates=(0.1, 1.0)):

        def change(result: dict[str, Any]) -> None:
            level = result["factors"]["data"]
            result["provenance"]["data_fingerprint"] = f"{level:x<64}"
            error = ERRORS[level, result["factors"]["norm"]]
            for replica in result["replicas"]:
                for key in ("test_error", "val_error", "test_loss"):
                    replica[key] = error * (1 + replica["seed"] / 100)

        change_result(path, change)
        write_curves(path, {seed: [0.9, 0.1 * seed, 0.01] for seed in range(5)})
        write_probes(path, make_probes(path))
    return tmp_path / "s"


def expect_two_origins(found: Verdict) -> None:
    assert found.outcome == "not decidable"
    assert found.reason.startswith("errors of other images are not compared: ")
    assert "has data mnistxxx" in found.reason
    assert "data fashionx" in found.reason
    assert (found.estimate, found.low, found.high, found.p) == (None,) * 4


MEASURES: dict[str, dict[str, Any]] = {
    "difference": {},
    "a loss": {"of": "test_loss", "expect": "lower by 0.1"},
    "a gap": {"of": "test_error - val_error"},
    "a predicted number": {"against": None, "predicted": 5},
    "ratio": {"measure": "ratio", "expect": "lower by 1 decade"},
    "epochs": {"of": "epochs_to_val_error", "target": 5, "expect": "lower by 1 epoch"},
    "rates": {
        "measure": "largest learning rate",
        "of": "val_error",
        "within": 90,
        "expect": "same within 1 decade",
    },
    "range": {"measure": "range over levels", "over": "data"},
    "rank correlation": {
        "measure": "rank correlation",
        "against": None,
        "cells": {"model": "mlp"},
        "with_": "dead_fraction@end",
        "expect": "lower by 0.5",
    },
    "rank correlation of a probe": {
        "measure": "rank correlation",
        "against": None,
        "cells": {"model": "mlp"},
        "of": "dead_fraction@end",
        "with_": "test_error",
        "expect": "lower by 0.5",
    },
}


@pytest.mark.parametrize("measure", MEASURES)
def test_errors_of_other_images_are_not_compared(study: Path, measure: str) -> None:
    changes = MEASURES[measure]
    expect_two_origins(verdict(study, **{**OVER_DATA, **changes}))
    if "against" not in changes and "over" not in changes:
        expect_two_origins(verdict(study, **{**ACROSS, **changes}))


@pytest.mark.parametrize("of", ["dead_fraction@end", "weight_norm@start", "diverged", "best_epoch"])
def test_what_is_read_off_no_image_kept_apart_may_be(study: Path, of: str) -> None:
    unit = {"dead_fraction@end": " points", "diverged": " points", "best_epoch": " epochs"}
    expect = f"same within 1e9{unit.get(of, '')}"
    for path in study.glob("mnist-*"):
        at_every_rate(path, lambda seed, lr: seed % 3, "best_epoch")
    found = verdict(study, **ACROSS, of=of, expect=expect)
    assert found.outcome != "not decidable", found.reason


def test_a_difference_of_differences_may_be_of_two_data(study: Path) -> None:
    interaction: dict[str, Any] = {
        "measure": "difference of differences",
        "cells": {"norm": "batch", "data": "mnist"},
        "expect": "higher by 5 points",
    }
    found = verdict(study, **interaction, elsewhere={"data": "fashion"})
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(10 * 1.02)
    across = verdict(study, **interaction, against={"data": "fashion"}, elsewhere={"norm": "none"})
    expect_two_origins(across)


def test_a_difference_of_differences_is_not_averaged_over_data(study: Path) -> None:
    for path in make_study(study.parent / "t", {**LEVELS, "init": ["a", "b"]}):
        change_result(
            path,
            lambda result: result["provenance"].update(
                data_fingerprint=f"{result['factors']['data']:x<64}"
            ),
        )
    found = verdict(
        study.parent / "t",
        measure="difference of differences",
        cells={"norm": "batch", "init": "a"},
        elsewhere={"init": "b"},
    )
    expect_two_origins(found)


def test_other_corruptions_are_other_test_images(study: Path) -> None:
    """Errors on them are no difference, but two differences may be set against each other."""
    split = {"val_size": 5000, "test_size": None, "split_seed": 0}
    shifts = {"mnist": {}, "fashion": {"test_shift": "noise", "test_shift_strength": 0.3}}
    for path in study.glob("mnist-mlp-*"):
        write_config(path, **split, **shifts[path.name.split("-")[2]])
        change_result(path, lambda result: result["provenance"].update(data_fingerprint="f" * 64))
    across = verdict(study, cells={"data": "fashion", "norm": "none"}, against={"data": "mnist"})
    assert across.outcome == "not decidable"
    assert "test_shift=noise, test_shift_strength=0.3" in across.reason
    interaction = {
        "measure": "difference of differences",
        "cells": {"norm": "batch", "data": "mnist"},
        "expect": "higher by 5 points",
    }
    assert verdict(study, **interaction, elsewhere={"data": "fashion"}).outcome == "supported"
    for path in study.glob("mnist-mlp-*"):
        unshifted = {"test_shift": "none", "test_shift_strength": None}
        write_config(path, **split, **(unshifted if "batch" in path.name else {}))
    assert verdict(study, cells={"data": "mnist", "norm": "batch"}).outcome == "supported"


@pytest.mark.parametrize("key", ["split_seed", "val_size", "test_size"])
def test_another_split_is_another_origin(study: Path, key: str) -> None:
    split = {"val_size": 5000, "test_size": None, "split_seed": 0}
    paths = {path.name.split("-")[2:4][1]: path for path in study.glob("mnist-mlp-mnist-*")}
    within = {"cells": {"norm": "batch", "data": "mnist"}}
    for path in paths.values():
        write_config(path, **split, train_size=100)
    write_config(paths["batch"], **split, train_size=200)
    assert verdict(study, **within).outcome == "supported"
    write_config(paths["batch"], **{**split, key: 7}, train_size=100)
    found = verdict(study, **within)
    assert found.outcome == "not decidable"
    assert f"{key}=7" in found.reason
    assert f"{key}={'null' if split[key] is None else split[key]}" in found.reason


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("data=mnist,fashion_mnist", "data.name=mnist and fashion_mnist"),
        ("data.split_seed=0,1", "data.split_seed=0 and 1"),
    ],
)
def test_a_launch_says_so_beforehand(sweep: str, words: str) -> None:
    with hydra_ready():
        launch = plan(["norm=none,batch", sweep, "seeds=3", "optimizer.lr=[0.1]"], multirun=True)
    pooled = claim(cells={"norm": "batch"})
    with pytest.raises(InputError) as caught:
        check_claims([pooled], launch.cells, {})
    assert str(caught.value).startswith("claim better: it sets errors of other images")
    assert words in str(caught.value)
    factor, _, levels = sweep.partition("=")
    one, other = levels.split(",")
    apart = claim(
        measure="difference of differences",
        cells={"norm": "batch", factor: one},
        elsewhere={factor: other},
    )
    probe = claim(cells={"norm": "batch"}, of="dead_fraction@end")
    assert check_claims([{**apart, "id": "apart"}, probe], launch.cells, {}) == []
