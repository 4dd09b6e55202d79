"""Corruption: its distribution, its streams, and the levels it takes."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.errors import InputError
from study.training.pretraining.autoencoder import CORRUPTIONS, gaussian, make_corruption, masking

SHAPES = st.sampled_from([(1, 1), (3, 7), (2, 3, 5, 4)])
LEVELS = st.floats(0, 0.999)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers of which none is 0."""
    return 1 + torch.rand(*shape, generator=seeded(9)).to(dtype)


def largest_correlation(columns: Tensor) -> float:
    """The largest of any two columns of [N, F]."""
    return float((torch.corrcoef(columns.T) - torch.eye(columns.shape[1])).abs().max())


@given(SHAPES, LEVELS, st.integers(0, 99))
def test_masking_sets_elements_to_zero_and_leaves_the_others(
    shape: tuple[int, ...], level: float, seed: int
) -> None:
    inputs = values(*shape)
    before = inputs.clone()
    corrupted = masking(inputs, seeded(seed), level=level)
    masked = corrupted == 0
    assert torch.equal(corrupted, inputs.masked_fill(masked, 0))
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_masking_hits_each_element_with_the_same_probability(level: float) -> None:
    masks = (masking(values(5000, 20), seeded(), level=level) == 0).float()
    deviation = (level * (1 - level)) ** 0.5
    assert float(masks.mean()) == pytest.approx(level, abs=5 * deviation / masks.numel() ** 0.5)
    assert float((masks.mean(dim=0) - level).abs().max()) <= 5 * deviation / 5000**0.5


def test_gaussian_noise_has_mean_zero_and_the_level_as_its_deviation() -> None:
    inputs = values(5000, 20)
    noise = gaussian(inputs, seeded(), level=0.3) - inputs
    assert float(noise.mean()) == pytest.approx(0, abs=5 * 0.3 / noise.numel() ** 0.5)
    assert noise.std(dim=0).tolist() == pytest.approx([0.3] * 20, rel=5 / 10_000**0.5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_elements_and_examples_are_corrupted_independently(name: str) -> None:
    corrupt = make_corruption(name, 0.4)
    assert corrupt is not None
    change = corrupt(torch.ones(5000, 20), seeded()) - 1
    bound = 5.5 / 5000**0.5
    assert largest_correlation(change) < bound
    assert largest_correlation(torch.cat([change[:-1], change[1:]], dim=1)) < bound


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_level_zero_changes_nothing(name: str) -> None:
    corrupt = make_corruption(name, 0)
    assert corrupt is not None
    assert torch.equal(corrupt(values(4, 6), seeded()), values(4, 6))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_stream_gives_the_same_corruption_and_another_stream_another(name: str) -> None:
    corrupt = make_corruption(name, 0.5)
    assert corrupt is not None
    first, again, other = (corrupt(values(6, 32), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_precision_changes_no_draw_and_the_global_generator_is_left_alone(name: str) -> None:
    corrupt = make_corruption(name, 0.5)
    assert corrupt is not None
    before = torch.get_rng_state()
    single = corrupt(torch.ones(5, 7), seeded())
    double = corrupt(torch.ones(5, 7, dtype=torch.float64), seeded())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-6, atol=1e-6)
    assert torch.equal(before, torch.get_rng_state())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 9))
def test_an_examples_mask_does_not_depend_on_the_size_of_its_batch(
    sizes: list[int], features: int
) -> None:
    inputs, generator = values(sum(sizes), features), seeded()
    parts = [masking(part, generator, level=0.5) for part in inputs.split(sizes)]
    assert torch.equal(torch.cat(parts), masking(inputs, seeded(), level=0.5))


def test_none_is_no_corruption() -> None:
    assert make_corruption("none", 0.25) is None


@pytest.mark.parametrize(
    ("name", "level", "expects"),
    [
        *(("masking", level, "from 0 up to, not including, 1") for level in (1, 1.5, -0.1, "all")),
        ("masking", float("nan"), "from 0 up to"),
        *(("gaussian", level, "of at least 0") for level in (-0.1, float("inf"), True, None)),
    ],
)
def test_a_level_out_of_range_is_refused(name: str, level: Any, expects: str) -> None:
    with pytest.raises(InputError, match=f"corruption_level=.*{name}.*{expects}") as error:
        make_corruption(name, level)
    assert "\n" not in str(error.value)


def test_gaussian_noise_takes_a_level_above_one() -> None:
    assert make_corruption("gaussian", 2) is not None


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(InputError, match="pretraining.corruption 'mask'.*masking.*none, masking"):
        make_corruption("mask", 0.1)
