"""Claims against what stands in a cell's own record: ridge regression, PCA, the mean image."""

from pathlib import Path
from typing import Any

import pytest

from study.analysis.claims.measures import check_claim
from study.analysis.claims.schema import parse_claim
from study.errors import InputError
from tests.claim_studies import ask, at_every_rate, claim, planted, verdict
from tests.synthetic import change_result

RIDGE = {"penalty": 10.0, "train_loss": 0.4, "train_error": 0.14, "test_loss": 0.41,
         "test_error": 0.15}  # fmt: skip
CELL = {"norm": "none", "activation": "relu"}
CLOSE: dict[str, Any] = {
    "of": "last_test_error",
    "cells": CELL,
    "against": None,
    "predicted": "references.ridge.test_error",
    "expect": "same within 0.5 points",
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four cells, the first of which comes as close to ridge regression as seeds vary."""
    seeds = {"relu": [15.0, 15.1, 14.9, 15.05], "tanh": [18.0, 18.1, 17.9, 18.05]}
    errors = {(a, norm): seeds[a] for a in seeds for norm in ("none", "batch")}
    for path in planted(tmp_path / "s", errors):
        change_result(path, lambda result: result.update(references={"ridge": RIDGE}))
        at_every_rate(path, lambda seed, lr: 0.15 + (seed - 1.5) / 1000, "last_test_error")
        at_every_rate(path, lambda seed, lr: 0.44 + (seed - 1.5) / 1000, "last_train_loss")
    return tmp_path / "s"


def test_a_network_is_compared_with_its_own_reference(study: Path) -> None:
    found = verdict(study, **CLOSE)
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(0.0, abs=1e-9)
    assert "predicted (references.ridge.test_error)" in found.measure
    apart = verdict(
        study, **{**CLOSE, "of": "last_train_loss", "expect": "higher by 0.02",
                  "predicted": "references.ridge.train_loss"},
    )  # fmt: skip
    assert apart.outcome == "supported"
    assert apart.estimate == pytest.approx(0.04)


def test_a_ratio_to_it_is_in_decades(study: Path) -> None:
    found = verdict(
        study, **{**CLOSE, "measure": "ratio", "of": "last_train_loss",
                  "expect": "same within 0.1 decades", "predicted": "references.ridge.train_loss"},
    )  # fmt: skip
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(0.0414, abs=1e-3)


def test_a_cell_without_it_is_not_decidable(study: Path) -> None:
    change_result(
        next(study.glob("*-relu-none-*")), lambda result: result["references"].pop("ridge")
    )
    found = verdict(study, **CLOSE)
    assert found.outcome == "not decidable"
    assert "has no references.ridge.test_error in its record" in found.reason


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"predicted": "references.rigde.test_error"}, "choose from: references.ridge.train_loss,"),
        ({"predicted": "references.ridge.penalty"}, "is no reference; choose from"),
        ({"predicted": "references.ridge.test_loss"}, "write of: last_test_loss"),
        ({"of": "dead_fraction@end"}, "says nothing of dead_fraction@end"),
        (
            {"predicted": "reference"},
            "is no number, and not preflight, nor such as references.ridge",
        ),
    ],
)
def test_what_is_no_reference_is_one_line(changes: dict[str, str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        check_claim(parse_claim(claim(**{**CLOSE, **changes})))


def test_a_reconstruction_is_compared_with_pca(study: Path) -> None:
    errors = {"train_error": 14.0, "test_error": 13.5}
    references = {"pca": {"components": 30, **errors}, "mean_image": errors}
    for path in study.glob("*-relu-none-*"):
        change_result(
            path, lambda result: result.update(task="reconstruction", references=references)
        )
        at_every_rate(path, lambda seed, lr: 10.0 + seed / 10, "test_error")
    (found,) = ask(
        study,
        claim(**{**CLOSE, "of": "test_error", "expect": "lower by 2",
                 "predicted": "references.pca.test_error"}),
    )  # fmt: skip
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(3.35)
