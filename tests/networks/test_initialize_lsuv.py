"""LSUV: unit variance of every layer's output on the sample, and nothing but a rescaling."""

import re

import pytest
import torch

from study.errors import InputError
from study.networks import initialize
from tests.plain_networks import RELU, cnn, images, mlp, pre_activations, seeded


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "maxout"])
@pytest.mark.parametrize("norm", ["none", "batch", "after"])
def test_lsuv_gives_every_layer_unit_output_variance(make, activation, norm):
    norm = {"name": "batch", "position": "after"} if norm == "after" else {"name": norm}
    network = make(activation=activation, norm=norm, dropout=0.5)
    initialize(network, {"name": "lsuv"}, {"name": activation}, seeded(), images())
    assert network.training
    for block in network.blocks:
        if norm["name"] == "batch":
            assert torch.equal(block.norm.running_mean, torch.zeros_like(block.norm.running_mean))
        block.dropout.p = 0
    for out in pre_activations(network, images()):
        assert abs(float(out.var(correction=0)) - 1) < 0.01
    assert torch.equal(network.output.bias, torch.zeros(10))


def test_lsuv_only_rescales_orthogonal_weights():
    networks = [mlp(), mlp()]
    for network, name in zip(networks, ["orthogonal", "lsuv"], strict=True):
        initialize(network, {"name": name}, RELU, seeded(), images())
    for one, other in zip(*(network.blocks for network in networks), strict=True):
        ratio = (other.layer.weight / one.layer.weight).detach()
        torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.mean())))


def test_lsuv_refuses_a_sample_without_variance():
    with pytest.raises(InputError, match=re.escape("output of blocks.0.layer has variance 0")):
        initialize(mlp(), {"name": "lsuv"}, RELU, seeded(), torch.zeros(8, 3, 8, 8))
