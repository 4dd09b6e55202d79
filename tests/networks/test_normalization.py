"""BatchNorm: torch's own, the formula by hand, batches of one, and noise after it."""

import math
import re

import pytest
import torch
from torch import nn

from study.errors import InputError
from study.networks import (
    BatchNorm,
    Dropout,
    NonStationaryNoise,
    batch_statistics,
    make_norm,
    set_generators,
)

SHAPES = [(16, 5), (6, 5, 4, 3)]
OPTIONS = [{}, {"momentum": 0.3}, {"eps": 0.1}, {"affine": False}, {"momentum": 1.0}]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def torchs_own(shape, evaluation="running", **options):
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    return kind(shape[1], track_running_stats=evaluation == "running", **options).double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("evaluation", ["running", "batch"])
@pytest.mark.parametrize("options", OPTIONS)
def test_equals_torchs_own_in_training_and_evaluation(shape, evaluation, options):
    own = BatchNorm(shape[1], evaluation=evaluation, **options).double()
    reference = torchs_own(shape, evaluation, **options)
    generator = seeded()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.normal_(generator=generator)
    reference.load_state_dict(own.state_dict(), strict=False)
    for _ in range(3):
        x = 2 + 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(own.train()(x), reference.train()(x))
    torch.testing.assert_close(own.eval()(x), reference.eval()(x))
    for name, value in own.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name])


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_formula(shape):
    norm = BatchNorm(shape[1], eps=0.01).double()
    gamma, beta = norm.parameters()
    with torch.no_grad():
        gamma.fill_(2.0)
        beta.fill_(-1.0)
    x = torch.randn(shape, generator=seeded(), dtype=torch.float64)
    dims = [d for d in range(len(shape)) if d != 1]
    mean, var = x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)
    torch.testing.assert_close(norm(x), 2 * (x - mean) / torch.sqrt(var + 0.01) - 1)


@pytest.mark.parametrize("evaluation", ["running", "batch"])
@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_one_value_per_feature_gives_beta(shape, evaluation):
    norm = BatchNorm(5, evaluation=evaluation)
    gamma, beta = norm.parameters()
    with torch.no_grad():
        beta.copy_(torch.arange(5.0))
    x = torch.randn(shape, generator=seeded()).requires_grad_()
    out = norm(x)
    assert torch.equal(out.flatten(), beta)
    slopes = torch.autograd.grad(out.sum(), [beta, gamma, x])
    assert [slope.unique().item() for slope in slopes] == [1, 0, 0]
    if evaluation == "running":
        running = norm.state_dict()
        torch.testing.assert_close(running["running_mean"], 0.1 * x.detach().flatten())
        assert torch.equal(running["running_var"], torch.ones(5))
    else:
        assert torch.equal(norm.eval()(x).flatten(), beta)


def test_evaluation_on_running_averages_does_not_depend_on_the_batch():
    norm = BatchNorm(5)
    x = torch.randn(32, 5, generator=seeded())
    norm(x)
    norm.eval()
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]))


def test_batch_statistics_leaves_running_averages_alone():
    norm = BatchNorm(5).eval()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = 3 + torch.randn(64, 5, generator=seeded())
    with batch_statistics(norm):
        torch.testing.assert_close(norm(x).mean(0), torch.zeros(5), rtol=0, atol=1e-5)
    assert norm.evaluation == "running"
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
    torch.testing.assert_close(norm(x), x / math.sqrt(1 + 1e-5))


def test_no_norm_is_the_identity():
    assert isinstance(make_norm("none", 5), nn.Identity)


def test_noise_changes_training_alone():
    x = torch.randn(64, 5, generator=seeded())
    quiet, noisy = make_norm("batch", 5), make_norm({"name": "batch", "noise": 1.0}, 5)
    assert not torch.allclose(quiet(x), noisy(x))
    assert torch.equal(quiet.eval()(x), noisy.eval()(x))


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_noise_has_the_moments_of_its_distribution(scale):
    noise = NonStationaryNoise(scale)
    noise.generator = seeded()
    units, examples = 4000, 50
    shift = noise(torch.zeros(examples, units))
    stretch = noise(torch.ones(examples, units)) - noise(torch.zeros(examples, units))
    # Between units: mu ~ U(-n, n) has variance n^2 / 3; within one, m ~ U(mu - r, mu + r) r^2 / 3.
    mu_variance, m_variance = (0.5 * scale) ** 2 / 3, (0.1 * scale) ** 2 / 3
    assert float(shift.var(0).mean()) == pytest.approx(m_variance, rel=0.05)
    assert float(shift.mean(0).var()) == pytest.approx(mu_variance, rel=0.1)
    assert float(shift.abs().max()) <= 0.6 * scale + 1e-6
    assert float(stretch.mean()) == pytest.approx(1 + 0.125 * scale, rel=0.02)


def test_noise_scale_of_an_example_is_normal_around_the_units():
    noise = NonStationaryNoise(1.0)
    noise.generator = seeded()
    huge = 1e6  # the shift is then lost beside it
    stretch = noise(torch.full((400, 1000), huge, dtype=torch.float64)) / huge
    assert float(stretch.std(0).mean()) == pytest.approx(0.1, rel=0.02)
    sigma = stretch.mean(0)
    assert 0.97 < float(sigma.min()) < 1.03
    assert 1.22 < float(sigma.max()) < 1.28
    assert float(sigma.mean()) == pytest.approx(1.125, rel=0.01)


def test_noise_jumps_at_every_step():
    noise = NonStationaryNoise(1.0)
    noise.generator = seeded()
    x = torch.zeros(1000, 3)
    assert float((noise(x).mean(0) - noise(x).mean(0)).abs().max()) > 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_dropout_drops_a_share_and_keeps_the_mean(shape):
    dropout = Dropout(0.3)
    dropout.generator = seeded()
    out = dropout(torch.ones(2000, *shape[1:]))
    values = out.unique()
    torch.testing.assert_close(values, torch.tensor([0, 1 / 0.7]))
    share = float((out == 0).float().mean())
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / out.numel())
    assert torch.equal(dropout.eval()(out), out)


@pytest.mark.parametrize("make", [lambda: Dropout(0.5), lambda: NonStationaryNoise(1.0)])
def test_random_modules_draw_from_their_generator_alone(make):
    module = make()
    before = torch.get_rng_state()
    draws = []
    for dtype in (torch.float32, torch.float32, torch.float64):
        set_generators(module, dropout=seeded(3), noise=seeded(3))
        draws.append(module(torch.ones(4, 5, dtype=dtype)))
    assert torch.equal(draws[0], draws[1])
    torch.testing.assert_close(draws[0], draws[2].float())
    assert torch.equal(before, torch.get_rng_state())
    set_generators(module)
    module(torch.ones(4, 5))
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("bath", "unknown norm 'bath' (did you mean 'batch'?); choose from: none, batch"),
        ({"name": "none", "eps": 1e-5}, "norm none takes no parameters; leave 'eps' out"),
        ({"name": "batch", "epsilon": 1e-5}, "unknown key of norm batch 'epsilon'"),
    ],
)
def test_bad_input_is_named(config, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_norm(config, 5)
