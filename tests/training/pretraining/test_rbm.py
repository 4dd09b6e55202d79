"""RBMs against enumeration and numerical integration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.errors import InputError
from study.training.pretraining.rbm import HIDDEN_UNITS, Phases, pseudo_likelihood, statistics
from tests.machines import (
    KINDS,
    SUPPORTS,
    binary,
    differentiable,
    energies,
    flat,
    joint,
    machine,
    pairs,
    parameters,
    products,
    seeded,
    support,
    within,
)


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


@pytest.mark.parametrize("hidden", HIDDEN_UNITS)
def test_pseudo_likelihood_is_an_unbiased_estimate(hidden):
    """Of the sum of log p(v_i | the rest), Besag 1975: each i is drawn as often as another."""
    rbm, states = machine(hidden=hidden), binary(4)
    probabilities = torch.softmax(-rbm.free_energy(states), 0).view(2, 2, 2, 2)
    conditionals = [probabilities / probabilities.sum(unit, keepdim=True) for unit in range(4)]
    logs = torch.stack([each.log().flatten() for each in conditionals], 1)
    for index in (0, 5, 15):
        draws = pseudo_likelihood(rbm, states[index].expand(20_000, -1), seeded(index))
        torch.testing.assert_close(draws.unique(), 4 * logs[index].sort().values)
        assert within(draws[:, None], logs[index].sum())


def test_pseudo_likelihood_rounds_what_is_no_bit():
    rbm, v = machine(), binary(4)
    first, second = (pseudo_likelihood(rbm, each, seeded()) for each in (v, 0.2 + 0.6 * v))
    torch.testing.assert_close(first, second)


def test_pseudo_likelihood_refuses_gaussian_units():
    with pytest.raises(InputError, match="needs bernoulli visible units, not gaussian"):
        pseudo_likelihood(machine("gaussian"), torch.zeros(1, 4).double(), seeded())


def test_unknown_units_are_refused():
    with pytest.raises(InputError, match="unknown visible units 'linear'; choose from: bernoulli"):
        machine("linear")
    with pytest.raises(InputError, match="unknown hidden units 'gaussian'"):
        machine(hidden="gaussian")
