"""RBMs against enumeration and numerical integration; chains against enumerated expectations."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.errors import InputError
from study.pretraining.rbm import (
    HIDDEN_UNITS,
    VISIBLE_UNITS,
    Phases,
    Rbm,
    Statistics,
    contrastive_divergence,
    exact_pseudo_likelihood,
    persistent_contrastive_divergence,
    pseudo_likelihood,
    reconstruction_error,
    statistics,
)

KINDS = list(itertools.product(VISIBLE_UNITS, HIDDEN_UNITS))
SUPPORTS = {"bernoulli": "bernoulli", "linear": "gaussian"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def machine(
    visible: str = "bernoulli",
    hidden: str = "bernoulli",
    *,
    shape: tuple[int, int] = (3, 4),
    scale: float = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Rbm:
    """Normal parameters; `shape` is hidden, visible."""
    generator = seeded(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    weight, biases = scale * normal(*shape), (normal(shape[1]), normal(shape[0]))
    return Rbm(weight, *biases, visible, hidden)


def parameters(rbm: Rbm) -> tuple[Tensor, Tensor, Tensor]:
    return rbm.weight, rbm.visible_bias, rbm.hidden_bias


def differentiable(rbm: Rbm) -> Rbm:
    """A copy whose parameters autograd follows."""
    weight, visible_bias, hidden_bias = (each.clone().requires_grad_() for each in parameters(rbm))
    return Rbm(weight, visible_bias, hidden_bias, rbm.visible, rbm.hidden)


def binary(num_units: int) -> Tensor:
    """All states of Bernoulli units: [2^n, n]."""
    axis = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * num_units).view(-1, num_units)


def support(kind: str, num_units: int) -> tuple[Tensor, float]:
    """Points [P, n] to sum over and the log of what each stands for: all states, or a grid."""
    if kind == "bernoulli":
        return binary(num_units), 0.0
    axis = torch.linspace(-11, 11, 221, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * num_units), num_units * math.log(0.1)


def pairs(v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Every v with every h."""
    return v.repeat_interleave(len(h), 0), h.repeat(len(v), 1)


def energies(rbm: Rbm, v: Tensor, h: Tensor) -> Tensor:
    """E of every v with every h: [num v, num h]."""
    return rbm.energy(*pairs(v, h)).view(len(v), len(h))


def joint(rbm: Rbm) -> tuple[Tensor, Tensor, Tensor]:
    """All v, all h, and p(v, h) [num v, num h], of a machine of Bernoulli units."""
    v, h = binary(rbm.weight.shape[1]), binary(rbm.weight.shape[0])
    return v, h, torch.softmax(-energies(rbm, v, h).flatten(), 0).view(len(v), len(h))


def products(v: Tensor, h: Tensor) -> Tensor:
    """Of each pair, in a row: h v^T, v and h."""
    return torch.cat([torch.einsum("nh,nv->nhv", h, v).flatten(1), v, h], 1)


def flat(gradient: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([each.flatten() for each in gradient])


def within(values: Tensor, expected: Tensor, errors: float = 4) -> bool:
    """Whether the mean of independent `values` [N, K] is as expected [K], in standard errors."""
    error = values.std(0) / len(values) ** 0.5
    return bool(((values.mean(0) - expected).abs() <= errors * error + 1e-12).all())


def test_energy_is_the_guides_sum():
    rbm = machine()
    a, b, w = rbm.visible_bias, rbm.hidden_bias, rbm.weight
    for v, h in zip(*pairs(binary(4), binary(3)), strict=True):
        expected = -sum(a[i] * v[i] for i in range(4)) - sum(b[j] * h[j] for j in range(3))
        expected -= sum(v[i] * h[j] * w[j, i] for i in range(4) for j in range(3))
        torch.testing.assert_close(rbm.energy(v[None], h[None])[0], torch.as_tensor(expected))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.floats(0, 5))
def test_free_energy_is_the_enumerated_sum_over_hidden_states(seed, num_v, num_h, scale):
    rbm = machine(shape=(num_h, num_v), scale=scale, seed=seed)
    v = binary(num_v)
    expected = -torch.logsumexp(-energies(rbm, v, binary(num_h)), 1)
    torch.testing.assert_close(rbm.free_energy(v), expected)


@given(st.integers(0, 10**6))
def test_free_energies_give_the_partition_function(seed):
    rbm = machine(seed=seed)
    v, h, probabilities = joint(rbm)
    log_partition = torch.logsumexp(-energies(rbm, v, h).flatten(), 0)
    torch.testing.assert_close(torch.logsumexp(-rbm.free_energy(v), 0), log_partition)
    density = torch.exp(-rbm.free_energy(v) - log_partition)
    torch.testing.assert_close(density, probabilities.sum(1))


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_free_energy_is_the_integral_over_hidden_states(visible, hidden):
    rbm = machine(visible, hidden, shape=(2, 3), scale=0.5)
    h, log_cell = support(SUPPORTS[hidden], 2)
    v = binary(3) if visible == "bernoulli" else torch.randn(8, 3, generator=seeded()).double()
    expected = -torch.logsumexp(-energies(rbm, v, h) + log_cell, 1)
    torch.testing.assert_close(rbm.free_energy(v), expected)


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_conditional_moments_are_those_of_the_energy(visible, hidden):
    rbm = machine(visible, hidden, shape=(2, 2), scale=0.5)
    some = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    v, h = support(visible, 2)[0], support(SUPPORTS[hidden], 2)[0]
    sides = [
        (h, torch.softmax(-energies(rbm, some, h), 1), rbm.hidden_mean, rbm.sample_hidden),
        (v, torch.softmax(-energies(rbm, v, some).T, 1), rbm.visible_mean, rbm.sample_visible),
    ]
    for points, density, mean, sample in sides:
        torch.testing.assert_close(mean(some), density @ points)
        for index, row in enumerate(some):
            draws = sample(row.expand(20_000, -1), seeded(index))
            second = torch.cat([draws, draws.square(), draws.prod(1, keepdim=True)], 1)
            every = torch.cat([points, points.square(), points.prod(1, keepdim=True)], 1)
            assert within(second, density[index] @ every)


@given(st.integers(0, 10**6))
def test_likelihood_gradient_is_data_minus_model(seed):
    rbm = machine(seed=seed)
    data = torch.randint(2, (7, 4), generator=seeded(seed)).double()
    free = differentiable(rbm)
    v, h, _ = joint(free)
    on_data = torch.logsumexp(-energies(free, data, h), 1)
    log_likelihood = (on_data - torch.logsumexp(-energies(free, v, h).flatten(), 0)).mean()
    gradient = torch.autograd.grad(log_likelihood, parameters(free))
    probabilities = joint(rbm)[2]
    model = probabilities.flatten() @ products(*pairs(v, h))
    positive = products(*statistics(rbm, data)).mean(0)
    torch.testing.assert_close(flat(gradient), positive - model)


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_gradient_is_that_of_the_difference_in_free_energy(visible, hidden):
    """So it is the likelihood's for every kind of units, as soon as the chains are the model's."""
    rbm = machine(visible, hidden)
    data, chains = (torch.rand(num, 4, generator=seeded(num)).double() for num in (5, 8))
    phases = Phases(statistics(rbm, data), statistics(rbm, chains), data)
    free = differentiable(rbm)
    difference = free.free_energy(chains).mean() - free.free_energy(data).mean()
    expected = torch.autograd.grad(difference, parameters(free))
    torch.testing.assert_close(flat(phases.gradient()), flat(expected))


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


@pytest.mark.parametrize("hidden", HIDDEN_UNITS)
def test_exact_pseudo_likelihood_is_the_product_of_conditionals(hidden):
    rbm = machine(hidden=hidden)
    v = binary(4)
    probabilities = torch.softmax(-rbm.free_energy(v), 0).view(2, 2, 2, 2)
    conditionals = [probabilities / probabilities.sum(unit, keepdim=True) for unit in range(4)]
    expected = torch.stack(conditionals).log().sum(0).flatten()
    torch.testing.assert_close(exact_pseudo_likelihood(rbm, v), expected)
    torch.testing.assert_close(exact_pseudo_likelihood(rbm, 0.2 + 0.6 * v), expected)


@pytest.mark.parametrize("hidden", HIDDEN_UNITS)
def test_pseudo_likelihood_is_unbiased(hidden):
    rbm = machine(hidden=hidden)
    for index, v in enumerate(binary(4)[[0, 5, 15]]):
        draws = pseudo_likelihood(rbm, v.expand(20_000, -1), seeded(index))
        assert within(draws[:, None], exact_pseudo_likelihood(rbm, v[None]))
        assert len(draws.unique()) == 4


def test_pseudo_likelihood_refuses_gaussian_units():
    with pytest.raises(InputError, match="needs bernoulli visible units, not gaussian"):
        pseudo_likelihood(machine("gaussian"), torch.zeros(1, 4).double(), seeded())


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


def test_unknown_units_are_refused():
    with pytest.raises(InputError, match="unknown visible units 'linear'; choose from: bernoulli"):
        machine("linear")
    with pytest.raises(InputError, match="unknown hidden units 'gaussian'"):
        machine(hidden="gaussian")
