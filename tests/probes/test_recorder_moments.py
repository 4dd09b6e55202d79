"""When probes are taken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.config.configuration import level_defaults
from study.config.groups import ProbesGroup, typed
from study.errors import InputError
from study.probes.recorder import check_steps, moments_of

DEFAULT, FULL = (typed(ProbesGroup, level_defaults("probes", name)) for name in ("default", "full"))
NONE = ProbesGroup("none")


def steps(probes: ProbesGroup, updates: int, epochs: int) -> list[int]:
    return [m.step for m in moments_of(probes, updates_per_epoch=updates, num_epochs=epochs)]


def test_the_default_moments_of_a_long_training() -> None:
    # 55,000 images in batches of 128, 20 epochs: 8,580 ** (1/4, 2/4, 3/4) between the ends.
    assert steps(DEFAULT, 429, 20) == [0, 10, 93, 891, 8580]


def test_none_has_no_moments() -> None:
    assert moments_of(NONE, updates_per_epoch=10, num_epochs=2) == []


def test_full_adds_every_end_of_an_epoch_and_measures_all() -> None:
    moments = moments_of(FULL, updates_per_epoch=10, num_epochs=3)
    assert {10, 20, 30} <= {moment.step for moment in moments}
    assert all(moment.thorough for moment in moments)


def test_steps_can_be_listed_and_those_beyond_the_end_are_left_out() -> None:
    assert steps(replace(DEFAULT, steps=[500, 3, 7]), 10, 2) == [0, 3, 7, 20]


def test_a_step_that_training_does_not_reach_is_refused() -> None:
    check_steps(replace(DEFAULT, steps=[3, 20]), last=20)
    check_steps(NONE, last=20)
    with pytest.raises(InputError, match=r"probes.steps=21 is beyond .* it has 20 updates"):
        check_steps(replace(DEFAULT, steps=[3, 21]), last=20)


@given(st.integers(1, 500), st.integers(1, 30), st.integers(0, 9), st.sampled_from([DEFAULT, FULL]))
def test_moments_are_in_order_from_the_first_to_the_last(
    updates: int, epochs: int, number: int, level: ProbesGroup
) -> None:
    moments = moments_of(replace(level, steps=number), updates_per_epoch=updates, num_epochs=epochs)
    found = [moment.step for moment in moments]
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (0, updates * epochs)
    assert all(moment.epoch == moment.step // updates for moment in moments)
    for end in (moments[0], moments[-1]):
        assert end.thorough
        assert end.sampled
    assert sum(moment.sampled for moment in moments) <= 3
