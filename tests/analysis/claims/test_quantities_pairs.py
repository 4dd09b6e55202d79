"""Claims on the line between neighbouring seeds' networks, and what their intervals allow for."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from study.analysis.claims.decision import neighbours_degrees, neighbours_factor
from study.analysis.claims.measures import check_claim
from study.analysis.claims.quantities import OF_PAIRS, find_quantity
from study.analysis.claims.schema import parse_claim
from study.errors import InputError
from study.outputs.metrics import QUANTITIES
from study.outputs.series import neighbours, read_pairs, write_pairs
from tests.claim_studies import claim, planted, verdict
from tests.synthetic import change_result

FLAT = {
    (activation, norm): [10.0 + seed for seed in range(5)]
    for activation in ("relu", "tanh")
    for norm in ("none", "batch")
}
Number = Callable[[int], float]


def write_lines(path: Path, height: Number, *, seeds: Sequence[int] = range(5)) -> None:
    """A cell whose lines rise so far above the straight one, by their first seed."""
    rows = []
    for seed, other in neighbours(seeds):
        for alpha in (0.0, 0.5, 1.0):
            loss = 1 + seed + alpha * (other - seed) + height(seed) * (alpha == 0.5)
            rows.append(
                {
                    "seed": seed,
                    "other_seed": other,
                    "lr": 0.1,
                    "alpha": alpha,
                    "train_loss": loss,
                    "train_error": 0.1,
                    "test_loss": 2 * loss,
                    "test_error": loss / 100,
                    "disagreement": alpha * height(seed) / 20,
                    "distance": alpha * (5 + height(seed)),
                    "relative_distance": alpha * height(seed),
                    "cosine": 1 - alpha * height(seed) / 10,
                }
            )
    write_pairs(path, rows)
    digest = hashlib.sha256((path / "pairs.csv").read_bytes()).hexdigest()
    change_result(path, lambda result: result["files"].update({"pairs.csv": digest}))
    change_result(path, lambda result: result.update(chosen_lr=0.1))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Of relu cells: barriers of about 2 without BatchNorm, about 1 with it."""
    paths = planted(tmp_path / "s", FLAT)
    write_lines(paths[0], lambda seed: 2 + seed / 50)
    write_lines(paths[1], lambda seed: 1 - seed / 40)
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("of", "estimate", "expect"),
    [
        ("pairs.barrier", 1.09, "lower by 0.5"),
        ("pairs.test_barrier", 2.18, "lower by 0.5"),
        ("pairs.error_barrier", 1.09, "lower by 0.5 points"),
        ("pairs.disagreement", 5.45, "lower by 1 point"),
        ("pairs.distance", 1.09, "lower by 0.5"),
        ("pairs.relative_distance", 1.09, "lower by 0.5"),
        ("pairs.cosine", 0.109, "higher by 0.05"),
    ],
)
def test_each_number_of_a_line_is_a_quantity(
    study: Path, of: str, estimate: float, expect: str
) -> None:
    found = verdict(study, of=of, expect=expect)
    assert found.reason == ""
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(estimate)
    assert found.num_seeds == 5
    assert find_quantity(of).of_data == ("distance" not in of and "cosine" not in of)


def test_every_kind_was_asked_for() -> None:
    assert list(OF_PAIRS) == [name for name in QUANTITIES if name.startswith("pairs.")]
    assert len(OF_PAIRS) == 7


def test_a_claim_may_be_on_one_cell_against_a_number(study: Path) -> None:
    found = verdict(
        study, of="pairs.barrier", cells={"norm": "none", "activation": "relu"}, against=None,
        predicted=0, expect="higher by 1",
    )  # fmt: skip
    assert found.outcome == "supported"
    assert found.estimate == pytest.approx(2.04)


def test_bounds_allow_for_pairs_that_share_a_seed(study: Path) -> None:
    """They are wider than those of as many independent numbers, by the factor."""
    found = verdict(study, of="pairs.barrier", expect="lower by 0.5")
    values = [1 + seed / 50 + seed / 40 for seed in range(5)]
    assert found.low is not None
    assert found.high is not None
    error = np.std(values, ddof=1) / np.sqrt(5)
    t = float(stdtrit(36 / 14, 0.975))
    assert found.high - found.low == pytest.approx(2 * t * error * neighbours_factor(5))


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
def test_the_factor_is_what_simulated_seeds_need(num_seeds: int) -> None:
    """Where pairs vary by their seeds alone; and none is needed where they do not at all."""
    random = np.random.default_rng(0)
    own = random.normal(size=(40_000, num_seeds))
    pairs = own + np.roll(own, -1, axis=1)
    claimed = (pairs.var(axis=1, ddof=1) / num_seeds).mean()
    needed = np.sqrt(pairs.mean(axis=1).var() / claimed)
    assert neighbours_factor(num_seeds) == pytest.approx(needed, rel=0.02)


@pytest.mark.parametrize("num_seeds", [3, 4, 5, 10])
@pytest.mark.parametrize("own", [0.0, 1.0, 30.0])
def test_intervals_of_simulated_pairs_hold_what_they_should(num_seeds: int, own: float) -> None:
    """In 95 % and in 99.5 % at least, whatever share of the variance is the seeds' own."""
    random = np.random.default_rng(0)
    seeds, noise = random.normal(size=(2, 40_000, num_seeds))
    pairs = own * (seeds + np.roll(seeds, -1, axis=1)) + noise
    error = pairs.std(axis=1, ddof=1) / np.sqrt(num_seeds) * neighbours_factor(num_seeds)
    for outside in (0.05, 0.005):
        t = float(stdtrit(neighbours_degrees(num_seeds), 1 - outside / 2))
        missed = float((abs(pairs.mean(axis=1)) > t * error).mean())
        assert missed < outside + 3 * np.sqrt(outside / 40_000)


def test_two_seeds_are_one_pair_and_decide_nothing(study: Path) -> None:
    for path in study.glob("mnist-mlp-relu-*"):
        write_lines(path, lambda seed: 1.0 + seed, seeds=[0, 1])
    found = verdict(study, of="pairs.barrier", expect="lower by 0.5")
    assert (found.outcome, found.reason) == (
        "not decidable",
        "its cells share 1 pair: an interval needs at least 3",
    )


def test_what_has_no_pairs_says_what_to_do(study: Path) -> None:
    found = verdict(
        study, of="pairs.barrier", cells={"norm": "batch", "activation": "tanh"},
        expect="lower by 0.5",
    )  # fmt: skip
    assert found.outcome == "not decidable"
    assert "train it with pairs.points=11" in found.reason


def test_pairs_that_were_altered_decide_nothing(study: Path) -> None:
    path = next(study.glob("mnist-mlp-relu-none-*")) / "pairs.csv"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4"))
    found = verdict(study, of="pairs.barrier", expect="lower by 0.5")
    assert "pairs.csv is not the file that result.json names" in found.reason


def test_another_learning_rate_has_no_pairs(study: Path) -> None:
    found = verdict(
        study, of="pairs.barrier", cells={"norm": "batch", "activation": "relu", "lr": 0.01},
        expect="lower by 0.5",
    )  # fmt: skip
    assert "is of the chosen learning rate, not of 0.01" in found.reason


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"of": "pairs.barier"}, "pairs.barier is no number of pairs; choose from: pairs.barrier,"),
        ({"of": "pairs.barrier", "layer": "2"}, "pairs.barrier has no layers"),
        ({"of": "pairs.barrier"}, "the effect is a bare number"),
    ],
)
def test_what_is_no_number_of_a_pair_is_one_line(changes: dict[str, str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        check_claim(parse_claim(claim(**changes)))


def test_rows_are_read_as_they_were_written(study: Path) -> None:
    path = next(study.glob("mnist-mlp-relu-none-*"))
    rows = read_pairs(path)
    write_pairs(path, rows)
    assert read_pairs(path) == rows
