"""Laws of the stratified split."""

from collections import Counter

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from study.data.split import apportion, split_indices, subset_indices
from study.errors import InputError

class_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def labels_of(sizes: list[int], seed: int = 0) -> torch.Tensor:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


def counts_in(labels: torch.Tensor, indices: torch.Tensor, num_classes: int) -> list[int]:
    return torch.bincount(labels[indices], minlength=num_classes).tolist()


@given(class_sizes, st.data())
def test_shares_sum_to_the_total_and_stay_within_one_of_their_quota(
    sizes: list[int], data: st.DataObject
) -> None:
    total = data.draw(st.integers(0, sum(sizes)))
    counts = apportion(total, sizes)
    assert sum(counts) == total
    for count, size in zip(counts, sizes, strict=True):
        assert abs(count - total * size / sum(sizes)) < 1
        assert count <= size


@settings(deadline=None)
@given(class_sizes.filter(lambda sizes: sum(sizes) > 2), st.integers(0, 2**32), st.data())
def test_split_is_disjoint_exact_and_stratified(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    labels = labels_of(sizes)
    num_val = data.draw(st.integers(1, len(labels) - 1))
    train_size = data.draw(st.integers(1, len(labels) - num_val))
    whole, subset, val = split_indices(
        labels, val_size=num_val, train_size=train_size, split_seed=seed
    )
    assert sorted(whole.tolist() + val.tolist()) == list(range(len(labels)))
    assert (len(subset), len(val)) == (train_size, num_val)
    assert set(subset.tolist()) <= set(whole.tolist())
    left = counts_in(labels, whole, len(sizes))
    for part, available in ((val, sizes), (subset, left)):
        counts = counts_in(labels, part, len(sizes))
        for count, size in zip(counts, available, strict=True):
            assert abs(count - len(part) * size / sum(available)) < 1
    for indices in (whole, subset, val):
        assert bool((indices.diff() > 0).all())


@settings(deadline=None)
@given(st.integers(1, 10), st.integers(2, 30), st.integers(0, 1000), st.data())
def test_subsets_of_equal_classes_nest(
    num_classes: int, size: int, seed: int, data: st.DataObject
) -> None:
    labels = labels_of([size] * num_classes)
    small, large = sorted(data.draw(st.lists(st.integers(1, len(labels)), min_size=2, max_size=2)))
    inner, outer = (subset_indices(labels, n, split_seed=seed).tolist() for n in (small, large))
    assert set(inner) <= set(outer)


@settings(deadline=None)
@given(class_sizes, st.integers(0, 1000), st.data())
def test_subsets_far_enough_apart_nest(sizes: list[int], seed: int, data: st.DataObject) -> None:
    labels = labels_of(sizes)
    small = data.draw(st.integers(1, len(labels)))
    large = min(len(labels), small + -(-len(labels) // min(sizes)))
    inner, outer = (subset_indices(labels, n, split_seed=seed).tolist() for n in (small, large))
    assert set(inner) <= set(outer)


def test_the_seed_alone_decides() -> None:
    labels = labels_of([50, 60, 70])
    first, again, other = (
        split_indices(labels, val_size=30, split_seed=seed)[2].tolist() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_train_size_leaves_validation_alone() -> None:
    labels = labels_of([50, 60, 70])
    whole, _, val = split_indices(labels, val_size=30, train_size=10)
    other_whole, _, other_val = split_indices(labels, val_size=30)
    assert torch.equal(whole, other_whole)
    assert torch.equal(val, other_val)


def test_a_share_is_of_all_images() -> None:
    labels = labels_of([50, 150])
    _, _, val = split_indices(labels, val_size=0.1)
    assert Counter(labels[val].tolist()) == {0: 5, 1: 15}


def test_a_few_labels_reach_every_class() -> None:
    labels = labels_of([5421, 4506, 5842])
    _, subset, _ = split_indices(labels, val_size=300, train_size=3)
    assert sorted(labels[subset].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"val_size": 100}, "no image to train on: there are 100"),
        ({"val_size": 0}, "val_size=0 must be"),
        ({"val_size": -1}, "val_size=-1 must be"),
        ({"val_size": 1e-3}, "of 100 images is none"),
        ({"val_size": 1.5}, "whole number"),
        ({"val_size": float("nan")}, "whole number"),
        ({"val_size": float("inf")}, "whole number"),
        ({"val_size": True}, "whole number"),
        ({"val_size": "many"}, "whole number"),
        ({"val_size": 10, "train_size": 0}, "train_size=0 must be from 1 to 90"),
        ({"val_size": 10, "train_size": 91}, "train_size=91 must be from 1 to 90"),
        ({"val_size": 10, "train_size": 0.5}, "whole number"),
    ],
)
def test_sizes_that_cannot_be_met(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_indices(labels_of([50, 50]), **sizes)


@pytest.mark.parametrize("size", [0, 101])
def test_test_sizes_that_cannot_be_met(size: int) -> None:
    with pytest.raises(InputError, match="from 1 to 100"):
        subset_indices(labels_of([50, 50]), size)
