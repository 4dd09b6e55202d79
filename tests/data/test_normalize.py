"""Laws of the normalizations."""

import math

import pytest
import torch
from safetensors.torch import load, save

from study.data.normalize import NORMALIZATIONS, Normalize, fit_normalization
from study.errors import InputError


def random_images(num: int = 600, channels: int = 2, side: int = 5, seed: int = 0) -> torch.Tensor:
    """Correlated uint8 images whose first pixel is constant."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num, channels, side, side, generator=generator)
    common = torch.randn(num, 1, 1, 1, generator=generator)
    images = (120 + 25 * noise + 40 * common).clamp(0, 255).to(torch.uint8)
    images[:, 0, 0, 0] = 7
    return images


def fit(kind: str, images: torch.Tensor, epsilon: float = 1e-2) -> Normalize:
    return fit_normalization(kind, images, zca_epsilon=epsilon)


def test_standard_gives_each_channel_mean_0_and_variance_1() -> None:
    images = random_images()
    inputs = fit("standard", images)(images).double()
    assert inputs.mean((0, 2, 3)) == pytest.approx([0, 0], abs=1e-6)
    assert inputs.var((0, 2, 3), correction=0) == pytest.approx([1, 1], abs=1e-5)


def test_centre_only_moves_each_pixel() -> None:
    images = random_images()
    inputs = fit("centre", images)(images)
    assert inputs.double().mean(0).abs().max() < 1e-6
    assert torch.allclose(inputs - inputs[:1], (images - images[:1].float()) / 255, atol=1e-6)


def test_pixel_gives_each_pixel_mean_0_and_variance_1_and_a_constant_one_0() -> None:
    images = random_images()
    normalize = fit("pixel", images)
    inputs = normalize(images).double()
    assert inputs.mean(0).abs().max() < 1e-6
    variances = inputs.var(0, correction=0).flatten()
    assert variances[0] == 0
    assert variances[1:].numpy() == pytest.approx(1, abs=1e-5)
    elsewhere = random_images(seed=1)
    elsewhere[:, 0, 0, 0] = 200
    assert bool((normalize(elsewhere)[:, 0, 0, 0] == 0).all())


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_channel_becomes_0(value: int) -> None:
    images = torch.full((4099, 1, 3, 3), value, dtype=torch.uint8)
    for kind in ("standard", "centre", "pixel"):
        assert bool((fit(kind, images)(images) == 0).all())


def test_whitening_decorrelates() -> None:
    images = random_images(2000)
    inputs = fit("whiten", images, 1e-7)(images).flatten(1).double()
    covariance = inputs.T @ inputs / len(inputs)
    expected = torch.eye(len(covariance), dtype=torch.float64)
    expected[0, 0] = 0
    assert (covariance - expected).abs().max() < 1e-3


def test_whitening_shrinks_each_direction_by_its_own_variance() -> None:
    """A direction of variance s has s / (s + epsilon) left, and keeps its direction."""
    images = random_images(2000)
    epsilon = 0.02
    flat = images.flatten(1).double() / 255
    variances, directions = torch.linalg.eigh(torch.cov(flat.T, correction=0))
    inputs = fit("whiten", images, epsilon)(images).flatten(1).double()
    along = directions.T @ torch.cov(inputs.T, correction=0) @ directions
    expected = torch.diag(variances / (variances + epsilon))
    assert (along - expected).abs().max() < 1e-5


def test_whitening_refuses_epsilon_0() -> None:
    with pytest.raises(InputError, match="zca_epsilon"):
        fit("whiten", random_images(), 0.0)


def test_unit_binary_and_none_are_what_they_say() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    values = torch.arange(256.0).reshape(256, 1, 1, 1)
    assert torch.equal(fit("unit", images)(images), values / 255)
    assert torch.equal(fit("binary", images)(images), (values >= 128).float())
    assert torch.equal(fit("none", images)(images), values)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_state_restores_it_and_float_pixels_are_as_good(kind: str) -> None:
    normalize = fit(kind, random_images())
    restored = Normalize.from_state(load(save(normalize.state_dict())))
    others = random_images(50, seed=3)
    expected = normalize(others)
    assert expected.dtype == torch.float32
    assert expected.shape == others.shape
    assert bool(expected.isfinite().all())
    assert torch.equal(restored(others), expected)
    assert torch.equal(restored(others.double()), expected)
    assert restored.double()(others).dtype == torch.float64


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_chunks_change_nothing(kind: str) -> None:
    images = random_images(2500)
    normalize = fit(kind, images)
    assert torch.allclose(normalize.in_chunks(images), normalize(images), atol=1e-5)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_the_order_of_the_images_does_not_matter(kind: str) -> None:
    images = random_images(2500)
    first, second = fit(kind, images), fit(kind, images.flip(0))
    for name, buffer in first.state_dict().items():
        assert torch.equal(buffer, second.state_dict()[name])


def test_an_unknown_kind_lists_the_choices() -> None:
    with pytest.raises(InputError, match=r"'standrad' \(did you mean 'standard'\?\).*whiten"):
        fit("standrad", random_images())


def test_divisors_are_population_deviations() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    normalize = fit("standard", images)
    assert normalize.offset.item() == 127.5
    assert normalize.divisor.item() == 127.5
    assert math.isclose(normalize(images).square().mean().item(), 1)
