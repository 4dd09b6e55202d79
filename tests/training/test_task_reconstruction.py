"""Reconstruction losses against their formulas, and the inputs they are refused for."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.errors import InputError
from study.networks import MLP
from study.training.pretraining.checks import check_blocks
from study.training.task import (
    RECONSTRUCTIONS,
    binary_cross_entropy,
    make_reconstruction,
    squared_distance,
)

SHAPES = st.sampled_from([(1, 1), (4, 6), (2, 3, 4, 5)])
SEEDS = st.integers(0, 99)


def batch(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Outputs, and targets in [0, 1] that reach both ends."""
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    targets = torch.rand(shape, generator=generator, dtype=torch.float64)
    return outputs, (1.5 * targets - 0.25).clamp(0, 1)


@given(SHAPES, SEEDS)
def test_squared_error_sums_over_inputs_without_a_half(shape: tuple[int, ...], seed: int) -> None:
    outputs, targets = batch(shape, seed)
    expected = ((outputs.numpy() - targets.numpy()) ** 2).reshape(shape[0], -1).sum(axis=1)
    np.testing.assert_allclose(squared_distance(outputs, targets), expected, rtol=1e-12)


@given(SHAPES, SEEDS)
def test_cross_entropy_is_the_formula_on_logits(shape: tuple[int, ...], seed: int) -> None:
    logits, targets = batch(shape, seed)
    t, p = targets.numpy(), 1 / (1 + np.exp(-logits.numpy()))
    terms = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    expected = terms.reshape(shape[0], -1).sum(axis=1)
    np.testing.assert_allclose(binary_cross_entropy(logits, targets), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("z", [50.0, 1e4, 1e30])
def test_extreme_logits_cost_their_size_on_the_wrong_side_and_nothing_on_the_right(
    z: float, dtype: torch.dtype
) -> None:
    logits = torch.tensor([[z], [z], [-z], [-z], [z]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([[0.0], [1.0], [0.0], [1.0], [0.5]], dtype=dtype)
    losses = binary_cross_entropy(logits, targets)
    assert losses.tolist() == pytest.approx([z, 0, 0, z, z / 2], rel=1e-6, abs=1e-20)
    losses.sum().backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([1, 0, 0, -1, 0.5], abs=1e-20)


@given(st.floats(0.001, 0.999), st.floats(-20, 20))
def test_cross_entropys_minimum_is_the_targets_entropy(target: float, z: float) -> None:
    targets = torch.tensor([[target]], dtype=torch.float64)
    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    at_target = float(binary_cross_entropy(torch.logit(targets), targets))
    assert at_target == pytest.approx(entropy, rel=1e-10)
    assert float(binary_cross_entropy(torch.tensor([[z]]).double(), targets)) >= at_target - 1e-12


@given(SHAPES, SEEDS)
def test_cross_entropys_gradient_is_the_reconstruction_less_the_target(
    shape: tuple[int, ...], seed: int
) -> None:
    logits, targets = batch(shape, seed)
    binary_cross_entropy(logits.requires_grad_(), targets).sum().backward()
    shown = RECONSTRUCTIONS["cross_entropy"].shown(logits.detach())
    torch.testing.assert_close(logits.grad, shown - targets, rtol=1e-10, atol=1e-12)


def test_a_loss_is_one_number_per_example_and_keeps_its_type() -> None:
    for reconstruction in RECONSTRUCTIONS.values():
        for dtype in (torch.float32, torch.float64):
            losses = reconstruction.loss(*torch.zeros(2, 5, 3, 2, 2, dtype=dtype))
            assert losses.shape == (5,)
            assert losses.dtype == dtype


def test_squared_error_shows_the_outputs_as_they_are() -> None:
    outputs, _ = batch((3, 4), 0)
    assert torch.equal(RECONSTRUCTIONS["squared"].shown(outputs), outputs)


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(InputError, match="pretraining.loss 'mse'.*squared, cross_entropy"):
        make_reconstruction("mse")


@pytest.mark.parametrize(
    ("activation", "norm", "message"),
    [
        ("sigmoid", {"name": "none"}, None),
        ("sigmoid", {"name": "batch", "position": "before"}, None),
        ("sigmoid", {"name": "batch", "position": "after"}, "norm.position=before"),
        ("relu", {"name": "none"}, "layer 2 is fed by ReLU; use activation=sigmoid or pretrain"),
        ("tanh", {"name": "batch"}, "Tanh; use activation=sigmoid or pretraining.loss=squared"),
    ],
)
def test_cross_entropy_takes_layers_that_are_fed_by_sigmoids(
    activation: str, norm: dict[str, str], message: str | None
) -> None:
    network = MLP(6, 3, widths=[5, 4], activation=activation, norm=norm)
    blocks = list(network.hidden_blocks())
    check_blocks("squared", blocks)
    check_blocks("cross_entropy", blocks[:1])
    if message is None:
        check_blocks("cross_entropy", blocks)
        return
    with pytest.raises(InputError, match=re.escape(message)) as error:
        check_blocks("cross_entropy", blocks)
    assert "\n" not in str(error.value)
