"""Layer-sequential unit variance (Mishkin & Matas 2016, "All you need is a good init")."""

import math

import torch
from torch import Tensor, nn

from study.errors import InputError
from study.networks.network import Network
from study.networks.normalization import batch_statistics

TOLERANCE = 0.01
MAX_ITERATIONS = 10


@torch.no_grad()
def rescale(network: Network, sample: Tensor) -> None:
    """Gives every weight layer, in forward order, outputs of variance 1 on `sample` [N, C, H, W].

    Algorithm 1 of Mishkin & Matas 2016 after its orthogonal start: divide the weights by the
    standard deviation of the layer's output until |variance - 1| < 0.01, at most 10 times. The
    variance is over examples, units and positions; the output is the pre-activation, before any
    norm; the output layer is included. Dropout and noise are off, BatchNorm uses the sample's
    statistics, and its running averages stay. Raises InputError if the sample gives a layer's
    output no variance.
    """
    was_training = network.training
    network.eval()
    x = sample.to(network.output.weight)
    try:
        with batch_statistics(network):
            for index, block in enumerate(network.hidden_blocks()):
                fed = x.flatten(1) if block.flattens else x
                _to_unit_variance(block.layer, fed, f"blocks.{index}.layer")
                x = block(x)
            _to_unit_variance(network.output, x.flatten(1), "output")
    finally:
        network.train(was_training)


def _to_unit_variance(layer: nn.Linear | nn.Conv2d, x: Tensor, name: str) -> None:
    for _ in range(MAX_ITERATIONS):
        variance = float(layer(x).var(correction=0))
        if not math.isfinite(variance) or variance == 0:
            raise InputError(
                f"init lsuv: the output of {name} has variance {variance:g} on the data sample, "
                "which no scale of its weights can bring to 1; use another init"
            )
        if abs(variance - 1) < TOLERANCE:
            return
        layer.weight.div_(math.sqrt(variance))
