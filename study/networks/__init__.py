"""Plain networks, their activations, initializations and norms.

>>> import torch
>>> network = MLP(784, 10, widths=[256, 256], activation="tanh", norm="batch")
>>> generator = torch.Generator().manual_seed(0)
>>> initialize(network, {"name": "xavier_uniform", "gain": "auto"}, {"name": "tanh"}, generator)
>>> network(torch.zeros(2, 1, 28, 28)).shape
torch.Size([2, 10])
"""

from study.networks.activations import (
    ACTIVATIONS,
    LeCunTanh,
    Maxout,
    is_elementwise,
    make_activation,
    pieces_per_unit,
)
from study.networks.gains import gain, second_moment
from study.networks.initialize import initialize, needs_sample, weight_filler
from study.networks.initializers import INITIALIZERS, fans
from study.networks.models import CNN, MLP, MODELS, POOLINGS, Autoencoder, build_network
from study.networks.network import Block, BlockMaker, Network
from study.networks.normalization import NORMS, BatchNorm, LayerNorm, batch_statistics, make_norm
from study.networks.registry import Arguments
from study.networks.stochastic import Dropout, NonStationaryNoise, Stochastic, set_generators

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "INITIALIZERS",
    "MLP",
    "MODELS",
    "NORMS",
    "POOLINGS",
    "Arguments",
    "Autoencoder",
    "BatchNorm",
    "Block",
    "BlockMaker",
    "Dropout",
    "LayerNorm",
    "LeCunTanh",
    "Maxout",
    "Network",
    "NonStationaryNoise",
    "Stochastic",
    "batch_statistics",
    "build_network",
    "fans",
    "gain",
    "initialize",
    "is_elementwise",
    "make_activation",
    "make_norm",
    "needs_sample",
    "pieces_per_unit",
    "second_moment",
    "set_generators",
    "weight_filler",
]
