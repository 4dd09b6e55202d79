"""Initialization of a network: generators, gains, biases, and bad input."""

import math
import re
import statistics

import pytest
import torch
from torch import nn
from torch.nn import functional

from study.errors import InputError
from study.networks import (
    ACTIVATIONS,
    INITIALIZERS,
    MLP,
    Arguments,
    build_network,
    gain,
    initialize,
    make_activation,
    needs_sample,
    second_moment,
)
from tests.plain_networks import RELU, cnn, images, mlp, pre_activations, seeded


def test_delta_orthogonal_leaves_the_dense_layers_of_a_cnn_orthogonal():
    network = cnn()
    initialize(network, {"name": "delta_orthogonal"}, RELU, seeded())
    weight = network.output.weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(5))


def test_torch_default_is_what_torch_does():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = cnn().state_dict()
    network = cnn()
    initialize(network, {"name": "torch_default"}, RELU, seeded(5))
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("name", INITIALIZERS)
def test_a_network_is_filled_from_its_generator_alone(name):
    states = []
    for dtype in (torch.float32, torch.float32, torch.float64):
        network = cnn(activation="prelu", norm={"name": "batch", "position": "after"}).to(dtype)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(torch.nan)
        config = {"name": name}
        sample = images() if needs_sample(config) else None
        initialize(network, config, {"name": "prelu"}, seeded(3), sample)
        states.append(network.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
        torch.testing.assert_close(value, states[2][key].float(), msg=key)
        assert torch.isfinite(value).all(), key
    if name not in ("zeros", "constant"):
        other = cnn()
        initialize(other, {"name": name}, RELU, seeded(4), images())
        assert not torch.equal(other.output.weight, states[0]["output.weight"])


def test_the_global_generator_is_left_alone():
    network = cnn()
    before = torch.get_rng_state()
    for name in INITIALIZERS:
        initialize(network, {"name": name}, RELU, seeded(), images())
    assert torch.equal(before, torch.get_rng_state())


class Scaled(nn.Module):
    """An activation with weights of its own, which are drawn."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight)

    def forward(self, x):
        return x * self.weight.mean()


def test_weights_of_ones_own_modules_depend_on_the_generator_alone(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "scaled", Scaled)
    drawn = []
    for seed, elsewhere in ((0, 1), (0, 2), (1, 2)):
        torch.manual_seed(elsewhere)
        network = mlp(activation="scaled")
        initialize(network, {"name": "zeros"}, RELU, seeded(seed))
        drawn.append(network.blocks[0].activation.weight.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_norms_slopes_and_biases_start_as_configured():
    slope: Arguments = {"name": "prelu", "slope": 0.4}
    norm = {"name": "batch", "position": "after"}
    network = cnn(activation=slope, norm=norm)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(7.0)
    initialize(network, {"name": "he_normal", "bias": 0.3}, slope, seeded())
    for block in network.blocks:
        assert torch.equal(block.norm.weight, torch.ones_like(block.norm.weight))
        assert torch.equal(block.norm.bias, torch.zeros_like(block.norm.bias))
        assert torch.equal(block.norm.running_mean, torch.zeros_like(block.norm.running_mean))
        assert torch.equal(block.norm.running_var, torch.ones_like(block.norm.running_var))
        assert block.activation.weight.item() == pytest.approx(0.4)
        assert torch.equal(block.layer.bias, torch.full_like(block.layer.bias, 0.3))
    assert torch.equal(network.output.bias, torch.full((10,), 0.3))


@pytest.mark.parametrize("make", [mlp, cnn])
def test_zero_weights_leave_every_hidden_unit_equal_and_only_the_output_bias_a_gradient(make):
    network = make(activation="relu")
    initialize(network, {"name": "zeros"}, RELU, seeded())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(network(images(20)), torch.arange(20) % 7).backward()
        for name, parameter in network.named_parameters():
            assert bool(parameter.grad.any()) == (name == "output.bias"), name
        optimizer.step()
    for out in pre_activations(network, images())[:-1]:
        assert torch.equal(out, torch.zeros_like(out))


def test_constant_weights_keep_all_hidden_units_equal():
    network = mlp(activation="tanh")
    initialize(network, {"name": "constant", "value": 0.01}, {"name": "tanh"}, seeded())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(network(images(20)), torch.arange(20) % 7).backward()
        optimizer.step()
    for out in pre_activations(network, images())[:-1]:
        torch.testing.assert_close(out, out[:, :1].expand_as(out))


@pytest.mark.parametrize(
    ("activation", "norm", "feeding"),
    [
        ("tanh", "none", gain("tanh")),
        ("tanh", {"name": "batch"}, gain("tanh")),
        ("tanh", {"name": "batch", "position": "after"}, 1.0),
        ("relu", "none", math.sqrt(2)),
    ],
)
def test_auto_gain_is_that_of_what_feeds_the_layer(activation, norm, feeding):
    networks = [mlp(activation=activation, norm=norm), mlp(activation=activation, norm=norm)]
    scales: list[Arguments] = [{"gain": "auto"}, {"gain": 1.0}]
    for network, scale in zip(networks, scales, strict=True):
        init = {"name": "xavier_normal", **scale}
        initialize(network, init, {"name": activation}, seeded())
    auto, one = ([*(block.layer for block in net.blocks), net.output] for net in networks)
    for layer, unscaled, expected in zip(auto, one, [1.0, feeding, feeding], strict=True):
        torch.testing.assert_close(layer.weight, expected * unscaled.weight)


def second_moments(activation, scale, *, depth=20, width=1024):
    """Of the pre-activations of each hidden layer, for standard normal inputs."""
    network = MLP(width, 10, widths=[width] * depth, activation=activation)
    init = {"name": "lecun_normal", "gain": scale}
    initialize(network, init, {"name": activation}, seeded())
    x = torch.randn(64, width, generator=seeded(2))
    with torch.no_grad():
        return [float(out.square().mean()) for out in pre_activations(network, x)[:-1]]


@pytest.mark.parametrize("activation", ["tanh", "softsign", "sigmoid", "lecun_tanh", "hard_tanh"])
def test_auto_gain_keeps_the_second_moment_through_20_wide_layers(activation):
    width = 1024
    moments = second_moments(activation, "auto", width=width)
    assert statistics.mean(moments) == pytest.approx(1, abs=0.03)
    # Units that all examples drive alike leave `width` normals: variance 2 / width in a layer.
    assert all(abs(moment - 1) < 4 * math.sqrt(2 / width) for moment in moments), moments


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "selu", "elu"])
def test_auto_gain_keeps_it_for_rectifiers_up_to_the_fluctuation_of_finite_width(activation):
    # A layer's mean of f^2 has relative variance (E f^4 / (E f^2)^2 - 1) / width, and a rectifier
    # passes each layer's change of scale on to all the later ones.
    depth, width = 20, 1024
    z = torch.randn(1_000_000, generator=seeded(), dtype=torch.float64)
    fourth = float(make_activation(activation)(z).pow(4).mean())
    spread = math.sqrt(depth * (fourth / second_moment(activation) ** 2 - 1) / width)
    moment = second_moments(activation, "auto", depth=depth, width=width)[-1]
    assert abs(math.log(moment)) < 3 * spread
    assert spread < 0.4


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_without_the_gain_the_signal_fades(activation):
    assert second_moments(activation, 1.0)[-1] < 0.1


@pytest.mark.parametrize("activation", ["gelu", "silu", "mish", "softplus", "maxout", "prelu"])
def test_one_wide_layer_keeps_the_second_moment(activation):
    f, width = make_activation(activation), 4096
    fed = f(torch.randn(32, width, generator=seeded())).detach()
    weight = torch.empty(1024, fed.shape[1])
    INITIALIZERS["lecun_normal"](weight, seeded(1), gain=gain(activation))
    assert float((fed @ weight.T).square().mean()) == pytest.approx(1, abs=0.06)


def test_he_doubles_the_second_moment_of_standardized_inputs():
    network = MLP(1024, 10, widths=[1024])
    initialize(network, {"name": "he_normal"}, RELU, seeded())
    out = pre_activations(network, torch.randn(64, 1024, generator=seeded(2)))[0]
    assert float(out.square().mean()) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"name": "he_norml"}, "unknown init 'he_norml' (did you mean 'he_normal'?); choose fro"),
        (
            {"name": "he_normal", "gain": 2.0},
            "unknown key of init he_normal 'gain'; choose",
        ),
        ({"name": "zeros", "std": 1.0}, "unknown key of init zeros 'std'; choose from: bias"),
        ({"name": "torch_default", "bias": 0.0}, "init torch_default takes no parameters"),
        ({"name": "torch_default", "std": 0.0}, "init torch_default takes no parameters"),
        ({"name": "delta_orthogonal"}, "this network has none; use init=orthogonal"),
        ({"name": "lsuv"}, "init lsuv measures the layers' outputs; give it a sample of data"),
    ],
)
def test_bad_input_is_named(init, message):
    with pytest.raises(InputError, match=re.escape(message)):
        initialize(mlp(), init, RELU, seeded())


def test_delta_orthogonal_refuses_fewer_channels_and_even_kernels():
    with pytest.raises(InputError, match=re.escape("a convolution has 8 -> 4 channels")):
        initialize(cnn(channels=[[8, 4]]), {"name": "delta_orthogonal"}, RELU, seeded())
    with pytest.raises(InputError, match="odd kernel, not 4x4"):
        INITIALIZERS["delta_orthogonal"](torch.empty(8, 4, 4, 4), seeded())


def test_needs_sample_names_lsuv_alone():
    assert [name for name in INITIALIZERS if needs_sample({"name": name})] == ["lsuv"]


def test_a_built_network_is_initialized_like_one_made_by_hand():
    config: dict[str, Arguments | str] = {
        "model": {"name": "mlp", "widths": [32, 32]},
        "activation": RELU,
        "norm": {"name": "none"},
    }
    networks = [build_network(config, (3, 8, 8), 10), mlp()]
    for network in networks:
        initialize(network, {"name": "he_normal"}, RELU, seeded())
    for one, other in zip(*(net.parameters() for net in networks), strict=True):
        assert torch.equal(one, other)
