"""Contrastive divergence, persistent or not: chains against enumerated expectations."""

import pytest
import torch
from torch import Tensor

from study.training.pretraining.rbm import (
    VISIBLE_UNITS,
    Rbm,
    Statistics,
    contrastive_divergence,
    persistent_contrastive_divergence,
    reconstruction_error,
    statistics,
)
from tests.machines import (
    KINDS,
    binary,
    energies,
    flat,
    joint,
    machine,
    pairs,
    products,
    seeded,
    within,
)

NUM_CHAINS = 100_000


def sampled_expectation(rbm: Rbm, v: Tensor, steps: int) -> Tensor:
    """E[h v^T, v, h] after `steps` full Gibbs steps from v [1, V], by enumeration."""
    all_v, all_h, probabilities = joint(rbm)
    given_h = probabilities / probabilities.sum(0)
    given_v = (probabilities / probabilities.sum(1, keepdim=True)).T
    density = torch.softmax(-energies(rbm, v, all_h)[0], 0)
    for step in range(steps):
        over_v = given_h @ density
        density = given_v @ over_v
        if step == steps - 1:
            both = (over_v[:, None] * given_v.T).flatten()
            return both @ products(*pairs(all_v, all_h))
    raise AssertionError


def means_expectation(rbm: Rbm, v: Tensor, steps: int) -> Tensor:
    """The same where the visible states of the chain are means, so only hidden ones are random."""
    all_h = binary(rbm.weight.shape[0])
    density = torch.softmax(-energies(rbm, v, all_h)[0], 0)
    answer = rbm.visible_mean(all_h)
    transition = torch.softmax(-energies(rbm, answer, all_h), 1)
    for _ in range(steps - 1):
        density = density @ transition
    return density @ products(answer, rbm.hidden_mean(answer))


@pytest.mark.parametrize("sample_visible", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_contrastive_divergence_has_the_enumerated_expectation(steps, sample_visible):
    expectation = sampled_expectation if sample_visible else means_expectation
    rbm = machine(scale=2.0, seed=3)
    v = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    phases = contrastive_divergence(
        rbm,
        v.expand(NUM_CHAINS, -1),
        steps=steps,
        generator=seeded(steps),
        sample_visible=sample_visible,
    )
    chains, expected = products(*phases.negative), expectation(rbm, v, steps)
    assert within(chains, expected)
    assert not within(chains, expectation(rbm, v, steps + 1), errors=8)
    positive = products(*statistics(rbm, v))[0]
    torch.testing.assert_close(flat(phases.gradient()), positive - chains.mean(0))


def test_means_of_visible_units_have_another_expectation():
    rbm = machine(scale=2.0, seed=3)
    v = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    difference = sampled_expectation(rbm, v, 1) - means_expectation(rbm, v, 1)
    assert difference.abs().max() > 0.01


def test_persistent_chains_reach_the_model():
    rbm = machine(scale=0.7)
    v, h, probabilities = joint(rbm)
    model = probabilities.flatten() @ products(*pairs(v, h))
    data, chains, generator = torch.ones(2, 4).double(), torch.ones(20_000, 3).double(), seeded()
    reached = []
    for _ in range(30):
        phases, chains = persistent_contrastive_divergence(
            rbm, data, chains, steps=1, generator=generator
        )
        reached.append(products(*phases.negative))
    assert within(reached[-1], model)
    assert not within(reached[0], model, errors=8)
    assert within(products(rbm.sample_visible(chains, generator), chains), model)


def test_persistent_steps_add_up():
    """Two updates of one step are one of two steps, but for where the statistics are taken."""
    rbm, data, start = machine(), torch.ones(2, 4).double(), torch.ones(50, 3).double()
    generator, chains = seeded(), start
    for _ in range(2):
        phases, chains = persistent_contrastive_divergence(
            rbm, data, chains, steps=1, generator=generator
        )
    at_once, end = persistent_contrastive_divergence(rbm, data, start, steps=2, generator=seeded())
    assert torch.equal(end, chains)
    assert torch.equal(flat(at_once.gradient()), flat(phases.gradient()))


def test_reconstructions():
    rbm, data = machine(), torch.rand(6, 4, generator=seeded()).double()
    phases, _ = persistent_contrastive_divergence(
        rbm, data, torch.ones(5, 3).double(), steps=2, generator=seeded()
    )
    assert torch.equal(phases.reconstruction, rbm.reconstruct(data))
    one = contrastive_divergence(rbm, data, steps=1, generator=seeded())
    assert torch.equal(one.reconstruction, one.negative.visible)
    more = contrastive_divergence(rbm, data, steps=3, generator=seeded())
    assert torch.equal(more.reconstruction, one.reconstruction)
    errors = reconstruction_error(data, phases.reconstruction)
    expected = [(x - y) @ (x - y) for x, y in zip(data, phases.reconstruction, strict=True)]
    torch.testing.assert_close(errors, torch.stack(expected))


def test_certain_units_are_never_drawn_otherwise():
    means = torch.tensor([0.0, 1.0]).expand(100_000, 2)
    assert torch.equal(VISIBLE_UNITS["bernoulli"].sample(means, seeded()), means)


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_both_precisions_are_given_the_same_draws(visible, hidden):
    data = torch.rand(20, 4, generator=seeded())
    ends: list[Statistics] = []
    for dtype in (torch.float32, torch.float64):
        rbm = machine(visible, hidden, scale=0.3, dtype=dtype)
        phases = contrastive_divergence(
            rbm, data.to(dtype), steps=2, generator=seeded(), sample_visible=True
        )
        assert {each.dtype for each in (*phases.gradient(), rbm.free_energy(data.to(dtype)))} == {
            dtype
        }
        ends.append(phases.negative)
    for single, double in zip(*ends, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)
