"""MLP and CNN: their shape, every level of every group for a step, and bad input."""

import copy
import math
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from study.config.keys import parse_one
from study.config.level_source import OWN
from study.errors import InputError
from study.networks import (
    ACTIVATIONS,
    CNN,
    MLP,
    BatchNorm,
    Dropout,
    build_network,
    initialize,
    needs_sample,
    set_generators,
)
from study.networks.models import POOLS

CONF = Path(__file__).parents[2] / "conf"
SHAPE = (3, 8, 8)
SMALL = {
    "mlp": {"name": "mlp", "widths": [7, 5], "dropout": 0.0},
    "cnn": {"name": "cnn", "channels": [[4], [6]], "kernel_size": 3, "head": [5]},
}
NORM_LEVELS = [
    {"name": "none"},
    {"name": "batch"},
    {"name": "batch", "position": "after"},
    {"name": "batch", "affine": False, "evaluation": "batch", "noise": 1.0},
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def level(group, name):
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


def levels(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def config(model="mlp", activation="relu", norm="none", **model_keys):
    """A configuration from small models or mappings, and names or mappings of the rest."""
    model = SMALL[model] if isinstance(model, str) else model
    return {
        "model": {**model, **model_keys},
        "activation": {"name": activation} if isinstance(activation, str) else activation,
        "norm": {"name": norm} if isinstance(norm, str) else norm,
    }


def built(init="he_normal", shape=SHAPE, sample=None, **keys):
    """A small network of 10 classes, initialized."""
    settings = config(**keys)
    network = build_network(settings, shape, 10)
    init = {"name": init} if isinstance(init, str) else init
    initialize(network, init, settings["activation"], seeded(), sample)
    return network


def images(count=6, shape=SHAPE):
    return torch.randn(count, *shape, generator=seeded(1))


def gradients(network, x):
    targets = torch.arange(len(x)) % 10
    functional.cross_entropy(network(x), targets).backward()
    return dict(network.named_parameters())


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", NORM_LEVELS, ids=str)
def test_every_activation_trains_in_both_models_with_every_norm(model, activation, norm):
    network = built(model=model, activation=activation, norm=norm, dropout=0.2)
    x = images()
    scores = network(x)
    assert scores.shape == (6, 10)
    assert torch.isfinite(scores).all()
    for name, parameter in gradients(network, x).items():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(network.eval()(x[:1])).all()
    assert torch.isfinite(network.train()(x[:1])).all()


def test_every_pooling_is_one_that_the_key_takes():
    assert [parse_one("model.pool", name) for name in POOLS] == list(POOLS)


@pytest.mark.parametrize("model", levels("model"))
def test_every_model_of_conf_takes_mnist_and_cifar(model):
    for shape in [(1, 28, 28), (3, 32, 32)]:
        network = built(model=level("model", model), shape=shape)
        outputs = math.prod(shape) if model == "autoencoder" else 10
        assert network.eval()(images(2, shape)).shape == (2, outputs)


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("group", ["activation", "norm", "init"])
def test_every_level_of_conf_trains_one_step(model, group):
    for name in levels(group):
        if model == "mlp" and name == "delta_orthogonal":
            continue
        keys = {group: level(group, name)}
        sample = images(32) if group == "init" and needs_sample(keys["init"]) else None
        network = built(model=model, sample=sample, **keys)
        x = images()
        functional.cross_entropy(network(x), torch.arange(6)).backward()
        is_own = keys[group]["name"] in OWN[f"{group}.name"]
        torch.optim.SGD(network.parameters(), lr=0.1 if is_own else 1e-9).step()
        assert torch.isfinite(network(x)).all(), name


def test_an_mlp_is_its_sequential():
    network = MLP(12, 10, widths=[7, 5], activation="tanh")
    first, second = (block.layer for block in network.hidden_blocks())
    sequential = nn.Sequential(nn.Flatten(), first, nn.Tanh(), second, nn.Tanh(), network.output)
    x = images(4, (3, 2, 2))
    assert torch.equal(network(x), sequential(x))
    assert torch.equal(network(x.flatten(1)), sequential(x))


def test_a_cnn_is_its_sequential():
    network = CNN(SHAPE, 10, channels=[[4, 4], [6]], head=[5], pool="average")
    a, b, c, dense = (block.layer for block in network.hidden_blocks())
    relu, pool = nn.ReLU(), nn.AvgPool2d(2)
    convolutions = nn.Sequential(a, relu, b, relu, pool, c, relu, pool)
    head = nn.Sequential(nn.Flatten(), dense, relu, network.output)
    assert torch.equal(network(images()), head(convolutions(images())))


def test_no_widths_is_logistic_regression():
    network = MLP(12, 10, widths=[])
    assert [name for name, _ in network.named_parameters()] == ["output.weight", "output.bias"]


def test_a_head_can_be_empty():
    network = CNN(SHAPE, 10, channels=[[4]], head=[])
    assert network(images()).shape == (6, 10)
    assert network.output.in_features == 4 * 4 * 4


def test_pooling_rounds_down():
    assert CNN((1, 7, 5), 10, channels=[[4], [4]], head=[]).output.in_features == 4


def calls_of(block, names, run):
    """The names of a block's modules in the order in which `run` calls them."""
    seen = []
    for name in names:
        getattr(block, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    run()
    return seen


@pytest.mark.parametrize("model", SMALL)
def test_norm_stands_where_it_is_put(model):
    for position, calls in [
        ("before", ["layer", "norm", "activation", "pool", "dropout"]),
        ("after", ["layer", "activation", "norm", "pool", "dropout"]),
    ]:
        network = built(model=model, norm={"name": "batch", "position": position}, dropout=0.5)
        assert calls_of(network.blocks[0], calls, lambda net=network: net(images())) == calls


@pytest.mark.parametrize("model", SMALL)
def test_only_a_layer_directly_before_a_norm_lacks_a_bias(model):
    def biases(**norm):
        network = built(model=model, norm={"name": "batch", **norm} if norm else "none")
        return {block.layer.bias is not None for block in network.blocks}, network.output.bias

    assert biases(position="before")[0] == {False}
    assert biases(position="after")[0] == {True}
    assert biases()[0] == {True}
    assert biases(position="before")[1] is not None


@pytest.mark.parametrize("model", SMALL)
def test_maxout_widens_the_layer_and_not_what_follows(model):
    maxout = {"name": "maxout", "pieces": 3}
    for norm, factor in [({"name": "batch"}, 3), ({"name": "batch", "position": "after"}, 1)]:
        plain = built(model=model, activation="relu", norm=norm)
        wide = built(model=model, activation=maxout, norm=norm)
        for thin, thick in zip(plain.blocks, wide.blocks, strict=True):
            assert thick.layer.weight.shape[0] == 3 * thin.layer.weight.shape[0]
            assert thick.layer.weight.shape[1:] == thin.layer.weight.shape[1:]
            assert thick.norm.num_features == factor * thin.norm.num_features


def test_blocks_share_no_module():
    network = built(model="cnn", norm="batch", dropout=0.2)
    own = [id(module) for block in network.blocks for module in block.children()]
    assert len(own) == len(set(own)) == 15


@pytest.mark.parametrize("model", SMALL)
def test_state_dict_round_trip(model):
    keys = {"model": model, "activation": "prelu", "norm": "batch"}
    network, other = built(**keys), build_network(config(**keys), SHAPE, 10)
    network(images())
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(images()), other.eval()(images()))
    assert all(value.dtype == torch.float32 for value in network.state_dict().values())


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    for model in SMALL:
        built(model=model, norm="batch", dropout=0.5)
    assert torch.equal(before, torch.get_rng_state())


def test_set_generators_gives_training_its_own_streams():
    network = built(norm={"name": "batch", "noise": 1.0}, dropout=0.5)
    x, before = images(), torch.get_rng_state()

    def scores(dropout, noise):
        set_generators(network, dropout=seeded(dropout), noise=seeded(noise))
        return network(x)

    first = scores(1, 2)
    assert torch.equal(first, scores(1, 2))
    assert not torch.equal(first, scores(3, 2))
    assert not torch.equal(first, scores(1, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_a_copy_draws_on_its_own():
    network = built(dropout=0.5)
    set_generators(network, dropout=seeded(1))
    twin = copy.deepcopy(network)
    assert torch.equal(network(images()), twin(images()))


def test_dropout_of_zero_is_absent():
    assert not any(isinstance(module, Dropout) for module in built().modules())
    assert sum(isinstance(m, Dropout) for m in built(model="cnn", dropout=0.1).modules()) == 3


def test_evaluation_down_to_a_batch_of_one():
    network = built(norm={"name": "batch", "evaluation": "batch"}).eval()
    beta_alone = network(images(1))
    torch.testing.assert_close(beta_alone, network(5 * images(1, SHAPE)))
    assert all(m.running_mean is None for m in network.modules() if isinstance(m, BatchNorm))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": {"name": "mpl"}}, "unknown model 'mpl' (did you mean 'mlp'?); choose from: ml"),
        ({"width": [5]}, "unknown key of model mlp 'width' (did you mean 'widths'?)"),
        ({"activation_": 1}, "unknown key of model mlp 'activation_'"),
        ({"model": "cnn", "widths": [5]}, "unknown key of model cnn 'widths'; choose from: chan"),
        ({"model": "cnn", "kernel_size": 4}, "model.kernel_size is 4; it must be odd"),
        (
            {"model": "cnn", "channels": [[4]] * 4},
            "model.channels has 4 inner lists, each ended by 2x2 pooling, but an image of 8x8 can "
            "be halved 3 times; use at most 3 inner lists",
        ),
    ],
)
def test_bad_input_is_named(keys, message):
    with pytest.raises(InputError, match=re.escape(message)):
        built(**keys)
