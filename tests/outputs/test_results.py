"""The learning rate that stands for a cell."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.outputs.results import ReplicaResult, choose_lr, edge
from tests.fabricated import entry


def results(table: dict[float, list[tuple[Any, Any]]]) -> list[ReplicaResult]:
    """One replica for each (error, loss), by learning rate."""
    return [
        entry(seed, lr, *numbers)
        for lr, group in table.items()
        for seed, numbers in enumerate(group)
    ]


errors = st.integers(0, 20).map(lambda count: count / 20)
losses = st.integers(0, 4).map(float) | st.none()
tables = st.dictionaries(
    st.sampled_from([0.001, 0.01, 0.1, 1.0]),
    st.lists(st.tuples(errors, losses), min_size=2, max_size=2),
    min_size=1,
)


@given(tables, st.randoms())
def test_the_chosen_rate_is_of_the_grid_and_no_other_is_better(
    table: dict[float, list[tuple[Any, Any]]], random: Any
) -> None:
    found = results(table)
    chosen = choose_lr(found)
    mean = {lr: sum(error for error, _ in group) for lr, group in table.items()}
    assert mean[chosen] == pytest.approx(min(mean.values()))
    assert choose_lr(random.sample(found, len(found))) == chosen


def test_the_lowest_mean_error_wins_then_loss_then_the_smaller_rate() -> None:
    low, high = (0.1, 9.0), (0.3, 1.0)
    assert choose_lr(results({0.01: [high, high], 0.1: [low, high], 1.0: [high, high]})) == 0.1
    assert choose_lr(results({0.01: [(0.1, 2.0)], 0.1: [(0.1, 1.0)], 1.0: [(0.1, 3.0)]})) == 0.1
    assert choose_lr(results({1.0: [(0.1, 2.0)], 0.1: [(0.1, 2.0)]})) == 0.1


def test_diverged_replicas_count() -> None:
    found = [
        entry(0, 0.1, 0.2, status="trained"),
        entry(1, 0.1, 0.2, status="trained"),
        entry(0, 1.0, 0.01, status="trained"),
        entry(1, 1.0, 0.9, None, status="diverged"),
    ]
    assert choose_lr(found) == 0.1


def test_what_is_not_finite_loses() -> None:
    assert choose_lr(results({0.1: [(0.5, None)], 1.0: [(0.5, 3.0)]})) == 1.0
    assert choose_lr(results({0.1: [(None, 1.0)], 1.0: [(0.9, 3.0)]})) == 1.0
    assert choose_lr(results({0.1: [(0.5, None)], 1.0: [(0.5, None)]})) == 0.1


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, unique=True))
def test_the_edges_of_a_grid(rates: list[float]) -> None:
    if len(rates) == 1:
        assert edge(rates[0], rates) is None
        return
    ordered = sorted(rates)
    assert edge(ordered[0], rates) == "lowest"
    assert edge(ordered[-1], rates) == "highest"
    assert {edge(rate, rates) for rate in ordered[1:-1]} <= {None}
