"""Learning-rate schedules: laws of the factor on the learning rate."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.errors import InputError
from study.training.optimizers import SCHEDULES, learning_rate_factors

CONFIGS = st.one_of(
    st.fixed_dictionaries({"name": st.just("constant")}),
    st.fixed_dictionaries(
        {
            "name": st.just("step"),
            "every_epochs": st.floats(0, 50, exclude_min=True),
            "factor": st.floats(0, 1, exclude_min=True),
        }
    ),
    st.fixed_dictionaries({"name": st.just("cosine"), "final_factor": st.floats(0, 1)}),
)


def factors(
    config: dict[str, Any], *, epochs: int = 4, updates: int = 5, warmup: float = 0
) -> list[float]:
    """The factors of a whole training."""
    rows = [
        learning_rate_factors(
            config | {"warmup_epochs": warmup},
            epoch=epoch,
            num_epochs=epochs,
            updates_per_epoch=updates,
        )
        for epoch in range(epochs)
    ]
    assert [len(row) for row in rows] == [updates] * epochs
    return list(itertools.chain.from_iterable(rows))


@given(CONFIGS, st.integers(1, 12), st.integers(1, 30), st.floats(0, 40))
def test_every_factor_is_finite_and_in_0_to_1(
    config: dict[str, Any], epochs: int, updates: int, warmup: float
) -> None:
    for factor in factors(config, epochs=epochs, updates=updates, warmup=warmup):
        assert 0 <= factor <= 1


@given(CONFIGS, st.integers(1, 12), st.integers(1, 30))
def test_without_warmup_a_schedule_starts_at_1_and_never_rises(
    config: dict[str, Any], epochs: int, updates: int
) -> None:
    row = factors(config, epochs=epochs, updates=updates)
    assert row[0] == 1
    assert all(later <= sooner for sooner, later in itertools.pairwise(row))


@given(CONFIGS, st.integers(1, 5), st.integers(1, 30))
def test_warmup_rises_in_equal_steps_to_1_then_the_schedule_starts(
    config: dict[str, Any], warmup: int, updates: int
) -> None:
    row = factors(config, epochs=warmup + 3, updates=updates, warmup=warmup)
    count = warmup * updates
    assert row[:count] == pytest.approx([(n + 1) / count for n in range(count)])
    assert row[count - 1] == pytest.approx(1)
    assert row[count:] == pytest.approx(factors(config, epochs=3, updates=updates))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [4, 4.5, 100])
def test_a_warmup_as_long_as_training_or_longer_fills_it(name: str, warmup: float) -> None:
    config = {"name": name, "final_factor": 0.0, "factor": 0.1, "every_epochs": 1}
    assert factors(config, warmup=warmup) == pytest.approx([(n + 1) / 20 for n in range(20)])


@given(st.floats(0, 1), st.integers(1, 12), st.integers(1, 40))
def test_cosine_is_symmetric_about_its_middle_and_ends_at_its_final_factor(
    final: float, epochs: int, updates: int
) -> None:
    config = {"name": "cosine", "final_factor": final}
    row = factors(config, epochs=epochs, updates=updates)
    for early, late in zip(row[1:], reversed(row[1:]), strict=True):
        assert early + late == pytest.approx(1 + final)
    assert SCHEDULES["cosine"](epochs, epochs, config) == pytest.approx(final)
    assert row[-1] - final <= (math.pi / len(row)) ** 2 / 4 + 1e-12


@given(
    st.integers(1, 60), st.integers(1, 30), st.floats(0.01, 1), st.integers(1, 5), st.integers(0, 3)
)
def test_step_multiplies_once_after_each_span_of_whole_updates(
    span: int, updates: int, factor: float, epochs: int, warmup: int
) -> None:
    config = {"name": "step", "every_epochs": span / updates, "factor": factor}
    row = factors(config, epochs=epochs + warmup, updates=updates, warmup=warmup)
    expected = [factor ** (n // span) for n in range(epochs * updates)]
    assert row[warmup * updates :] == pytest.approx(expected)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="linear"):
        factors({"name": "linear"})
