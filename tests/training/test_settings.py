"""Random streams: one for each seed, purpose and epoch, whatever else is trained."""

import itertools
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.data.batches import Purpose, Streams, epoch_order

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
SEEDS = st.integers(0, 2**40)
EPOCHS = st.integers(0, 10_000)


def start(streams: Streams, seed: int, purpose: Purpose, epoch: int = 0) -> int:
    return streams.generator(seed, purpose, epoch).initial_seed()


@given(SEEDS, st.sampled_from(PURPOSES), EPOCHS)
def test_equal_streams_draw_equal_numbers(seed: int, purpose: Purpose, epoch: int) -> None:
    draws = [
        torch.rand(4, generator=Streams().generator(seed, purpose, epoch)).tolist()
        for _ in range(2)
    ]
    assert draws[0] == draws[1]


def test_distinct_streams_have_distinct_seeds() -> None:
    streams = itertools.product([*range(60), 10, 111], PURPOSES, [*range(20), 111])
    starts = {key: start(Streams(), *key) for key in streams}
    assert len(set(starts.values())) == len(starts)
    assert all(0 <= value < 2**63 for value in starts.values())


def test_neither_sums_nor_digits_of_seed_and_epoch_collide() -> None:
    assert start(Streams(), 1, "order", 11) != start(Streams(), 11, "order", 1)
    assert start(Streams(), 0, "order", 1) != start(Streams(), 1, "order", 0)


def test_distinct_streams_are_uncorrelated() -> None:
    draws = torch.stack(
        [
            torch.randn(4000, generator=Streams().generator(seed, purpose, epoch))
            for seed, purpose, epoch in itertools.product(range(2), PURPOSES, range(2))
        ]
    )
    correlation = torch.corrcoef(draws) - torch.eye(len(draws))
    assert float(correlation.abs().max()) < 5 / 4000**0.5


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_pin_holds_one_purpose_for_every_seed(purpose: Purpose) -> None:
    pinned = Streams({purpose: 7})
    assert start(pinned, 0, purpose, 3) == start(pinned, 1, purpose, 3)
    assert start(pinned, 0, purpose, 3) == start(Streams(), 7, purpose, 3)
    for other in set(PURPOSES) - {purpose}:
        assert start(pinned, 0, other, 3) == start(Streams(), 0, other, 3)


def test_a_pin_at_zero_is_a_pin_and_null_is_none() -> None:
    assert start(Streams({"order": 0}), 5, "order") == start(Streams(), 0, "order")
    assert start(Streams({"order": None}), 5, "order") == start(Streams(), 5, "order")


def test_orders_are_permutations_fresh_each_epoch_and_shared_by_learning_rates() -> None:
    streams = Streams()
    first = epoch_order(0, streams, 0, 50)
    assert sorted(first.tolist()) == list(range(50))
    assert torch.equal(first, epoch_order(0, streams, 0, 50))
    assert not torch.equal(first, epoch_order(0, streams, 1, 50))
    assert not torch.equal(first, epoch_order(1, streams, 0, 50))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    epoch_order(0, Streams(), 0, 50)
    assert torch.equal(before, torch.get_rng_state())
