import math

import pytest
import torch
from torch import nn

from study.config.configuration import level_defaults
from study.networks import CNN, INITIALIZERS, MLP, Arguments, Network, gain, initialize
from study.theory.preflight.shapes import LayerShape, hidden_layers, output_layer
from study.theory.preflight.weights import VARIANCES, Drawn, drawn

SHAPE = (1, 12, 12)
KEYS = {"constant": {"value": 0.1}, "normal": {"std": 0.3}, "uniform": {"bound": 0.2}}


def networks(name: str) -> list[Network]:
    """Layers that widen and narrow; a delta-orthogonal convolution cannot narrow."""
    channels = [[8, 16], [32]] if name == "delta_orthogonal" else [[24, 8], [32]]
    cnn = CNN(SHAPE, 10, channels=channels, head=[40], activation="tanh")
    return [cnn] if name == "delta_orthogonal" else [cnn, MLP(144, 10, widths=[300, 50, 90])]


def layers_of(network: Network) -> list[tuple[LayerShape, nn.Linear | nn.Conv2d]]:
    hidden = list(hidden_layers(network, SHAPE))
    modules = [block.layer for block in network.hidden_blocks()]
    return [*zip(hidden, modules, strict=True), (output_layer(network, hidden), network.output)]


def check(expected: Drawn, shape: LayerShape, module: nn.Linear | nn.Conv2d) -> None:
    assert module.bias is not None
    weight, bias = module.weight.detach().double(), module.bias.detach().double()
    assert (shape.inputs, shape.rows) == (weight.shape[1], weight.shape[0])
    variance = float(weight.square().mean()) - expected.mean**2
    if expected.centre_only:
        variance *= shape.kernel**2
    tolerance = 6 / weight.numel() ** 0.5
    assert variance == pytest.approx(expected.variance, rel=tolerance, abs=1e-8)
    assert abs(float(weight.mean()) - expected.mean) < 5 * (variance / weight.numel()) ** 0.5 + 1e-6
    second = expected.bias_variance + expected.bias_mean**2
    assert float(bias.square().mean()) == pytest.approx(second, rel=12 / bias.numel() ** 0.5)


@pytest.mark.parametrize("name", sorted(INITIALIZERS.keys() - {"lsuv"}))
def test_formulas_are_those_of_what_is_drawn(name: str) -> None:
    level = level_defaults("init", name) | KEYS.get(name, {})
    level |= {"gain": "auto"} if "gain" in level else {}
    level |= {"bias": 0.3} if name != "torch_default" else {}
    activation = {"name": "tanh"}
    for network in networks(name):
        initialize(network, level, activation, torch.Generator().manual_seed(0))
        for shape, module in layers_of(network):
            expected = drawn(level, activation, shape)
            if not math.isnan(expected.variance):  # else only data can say
                check(expected, shape, module)


def test_every_initialization_has_a_formula() -> None:
    place = "VARIANCES in study/theory/preflight/weights.py"
    assert not INITIALIZERS.keys() - VARIANCES.keys(), f"add it to {place}, or math.nan"
    assert not VARIANCES.keys() - INITIALIZERS.keys(), f"take it out of {place}"


def test_auto_gain_is_that_of_what_feeds_a_layer() -> None:
    level: Arguments = {"name": "lecun_normal", "gain": "auto", "bias": 0.0}
    network = MLP(20, 10, widths=[30, 30], activation="sigmoid")
    variances = [
        drawn(level, {"name": "sigmoid"}, shape).variance * shape.fan_in
        for shape, _ in layers_of(network)
    ]
    assert variances == pytest.approx([1, gain("sigmoid") ** 2, gain("sigmoid") ** 2])


def test_layers_without_bias_draw_none() -> None:
    network = MLP(20, 10, widths=[30], norm="batch")
    shape = next(hidden_layers(network, (1, 4, 5)))
    assert drawn({"name": "torch_default"}, {"name": "relu"}, shape).bias_variance == 0
    assert drawn({"name": "zeros", "bias": 0.5}, {"name": "relu"}, shape).bias_mean == 0


def test_taps_and_pooling_are_counted() -> None:
    shape = LayerShape(1, 4, 4, kernel=3, side=(3, 5), pool="max", convolves=True)
    ones = torch.ones(1, 1, 3, 5)
    counted = torch.nn.functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=1)
    assert shape.num_taps == pytest.approx(float(counted.mean()))
    assert shape.kept_share == pytest.approx(2 / 15)
