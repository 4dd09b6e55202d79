"""Small plain networks and images for the tests of initializations."""

import torch

from study.networks import CNN, MLP

RELU = {"name": "relu"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(widths=(32, 32), **keys):
    return MLP(3 * 8 * 8, 10, widths=list(widths), **keys)


def cnn(**keys):
    return CNN((3, 8, 8), 10, **{"channels": [[4], [6]], "head": [5], **keys})


def images(count=256):
    return torch.randn(count, 3, 8, 8, generator=seeded(1))


def pre_activations(network, x):
    """Every weight layer's output, in forward order."""
    seen = []
    layers = [*(block.layer for block in network.blocks), network.output]
    handles = [
        layer.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
        for layer in layers
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return seen
