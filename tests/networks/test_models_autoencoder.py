"""The autoencoder as a network: its blocks, their gains, and bad input."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from study.errors import InputError
from study.networks import (
    ACTIVATIONS,
    INITIALIZERS,
    Arguments,
    Autoencoder,
    BatchNorm,
    Dropout,
    build_network,
    gain,
    initialize,
    needs_sample,
)
from tests.plain_networks import images, pre_activations, seeded

SIZE = 3 * 8 * 8


def small(**keys: Any) -> Autoencoder:
    return Autoencoder(SIZE, **{"widths": [12, 7], "code": 4, **keys})


def widths(network: Autoencoder) -> list[int]:
    layers = [*(block.layer for block in network.hidden_blocks()), network.output]
    sizes = [layer.weight.shape[1] for layer in layers]
    return [*sizes, len(network.output.weight)]


def test_the_level_of_conf_is_the_published_one() -> None:
    text = (Path(__file__).parents[2] / "conf/model/autoencoder.yaml").read_text(encoding="utf-8")
    config = {"model": yaml.safe_load(text), "activation": "sigmoid", "norm": "none"}
    network = build_network(config, (1, 28, 28), 10)
    assert isinstance(network, Autoencoder)
    assert widths(network) == [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
    assert network.num_encoder_blocks == 4


def test_an_autoencoder_is_its_sequential() -> None:
    network = small(activation="tanh")
    a, b, code, c, d = (block.layer for block in network.hidden_blocks())
    tanh = nn.Tanh()
    encoder = nn.Sequential(nn.Flatten(), a, tanh, b, tanh, code)
    x = images(5)
    sequential = nn.Sequential(encoder, c, tanh, d, tanh, network.output)
    assert torch.equal(network(x), sequential(x))
    assert torch.equal(network(x.flatten(1)), sequential(x))
    coded = x
    for block in network.blocks[: network.num_encoder_blocks]:
        coded = block(coded)
    assert coded.shape == (5, 4)
    assert torch.equal(coded, encoder(x))


def test_no_widths_are_two_linear_layers() -> None:
    network = small(widths=[])
    assert widths(network) == [SIZE, 4, SIZE]
    assert network.num_encoder_blocks == 1
    assert network(images(5)).shape == (5, SIZE)


@pytest.mark.parametrize("position", ["before", "after"])
def test_the_code_alone_has_neither_activation_nor_norm_nor_dropout(position: str) -> None:
    network = small(activation="prelu", norm={"name": "batch", "position": position}, dropout=0.3)
    for index, block in enumerate(network.hidden_blocks()):
        linear = index == network.num_encoder_blocks - 1
        kinds = [type(part) for part in (block.norm, block.activation, block.dropout)]
        assert kinds == ([nn.Identity] * 3 if linear else [BatchNorm, nn.PReLU, Dropout])
        assert (block.layer.bias is not None) == (linear or position == "after")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "delta_orthogonal"])
def test_every_initialization_fills_it(name: str, activation: str) -> None:
    network = small(activation=activation, norm={"name": "batch", "position": "after"})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(torch.nan)
    sample = images() if needs_sample({"name": name}) else None
    initialize(network, {"name": name}, {"name": activation}, seeded(), sample)
    assert all(bool(value.isfinite().all()) for value in network.parameters())
    assert bool(network(images()).isfinite().all())


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_auto_gain_is_one_behind_the_linear_code(activation: str) -> None:
    networks = [small(activation=activation) for _ in range(2)]
    scales: list[Arguments] = [{"gain": "auto"}, {"gain": 1.0}]
    for network, scale in zip(networks, scales, strict=True):
        init = {"name": "xavier_normal", **scale}
        initialize(network, init, {"name": activation}, seeded())
    auto, one = ([*(b.layer for b in net.hidden_blocks()), net.output] for net in networks)
    feeding = gain(activation)
    expected = [1.0, feeding, feeding, 1.0, feeding, feeding]
    for layer, unscaled, factor in zip(auto, one, expected, strict=True):
        torch.testing.assert_close(layer.weight, factor * unscaled.weight)


def test_auto_gain_keeps_the_second_moment_through_code_and_decoder() -> None:
    width = 1024
    network = Autoencoder(width, widths=[width] * 2, code=width, activation="tanh")
    init = {"name": "lecun_normal", "gain": "auto"}
    initialize(network, init, {"name": "tanh"}, seeded())
    with torch.no_grad():
        outputs = pre_activations(network, torch.randn(64, width, generator=seeded(2)))
    for out in outputs:
        assert float(out.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / width))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"head": [5]}, "unknown key of model autoencoder 'head'; choose from: widths, code"),
    ],
)
def test_bad_input_is_named(keys: Arguments, message: str) -> None:
    config: dict[str, Arguments | str] = {
        "model": {"name": "autoencoder", **keys},
        "activation": "relu",
        "norm": "none",
    }
    with pytest.raises(InputError, match=re.escape(message)):
        build_network(config, (3, 8, 8), 10)


def test_delta_orthogonal_is_refused() -> None:
    with pytest.raises(InputError, match="use init=orthogonal"):
        initialize(small(), {"name": "delta_orthogonal"}, {"name": "relu"}, seeded())
