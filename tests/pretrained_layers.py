"""Small layers to pretrain, in float64, and the streams that they draw from."""

import zlib
from typing import Any

import torch
from torch import Tensor

from study.networks import CNN, MLP, Block, Network, initialize
from study.training.pretraining.autoencoder import LayerAutoencoder, make_corruption
from study.training.pretraining.decoders import make_decoder
from study.training.pretraining.trainee import Epoch, Trainee
from study.training.task import RECONSTRUCTIONS

SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.01}
ADAM = {"name": "adam", "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
RMSPROP = {"name": "rmsprop", "alpha": 0.9, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.1}
BATCH = {"name": "batch", "momentum": 0.3, "noise": 0.5}
SHAPE = (2, 7, 5)


def streams(purpose: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{purpose}/{epoch}".encode()))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fill(weight: Tensor) -> None:
    weight.normal_(std=0.3, generator=seeded(3))


def images(num: int = 30) -> Tensor:
    return torch.rand(num, *SHAPE, generator=seeded(1), dtype=torch.float64)


def network(kind: str, **keys: Any) -> Network:
    """A small network in float64, with dropout, that must stay out of pretraining."""
    if kind == "mlp":
        built: Network = MLP(70, 3, widths=[6, 4], dropout=0.5, **keys)
    else:
        built = CNN(SHAPE, 3, channels=[[4], [3]], head=[5], dropout=0.5, **keys)
    level = keys.get("activation", "relu")
    level = {"name": level} if isinstance(level, str) else level
    initialize(built, {"name": "xavier_normal"}, level, seeded(2))
    return built.double()


def first_block(kind: str, **keys: Any) -> Block:
    return next(network(kind, **keys).hidden_blocks())


def autoencoder(
    block: Block, decoder: str = "tied", loss: str = "squared", **keys: Any
) -> LayerAutoencoder:
    corruption, level = keys.pop("corruption", ("none", 0))
    given: dict[str, Any] = {"optimizer": SGD, "lr": 0.01, "batch_size": 8, "generator": streams}
    return LayerAutoencoder(
        block,
        make_decoder(decoder, block, fill),
        reconstruction=RECONSTRUCTIONS[loss],
        corruption=make_corruption(corruption, level),
        **(given | keys),
    )


def train(
    trainee: Trainee, inputs: Tensor, epochs: range, labels: Tensor | None = None
) -> list[float]:
    """The mean loss of each epoch that it trains."""
    labels = torch.zeros(len(inputs), dtype=torch.int64) if labels is None else labels
    return [trained(trainee.train_epoch(inputs, labels, epoch=epoch)) for epoch in epochs]


def trained(epoch: Epoch) -> float:
    """The value of an epoch, with all its updates done."""
    while True:
        try:
            next(epoch)
        except StopIteration as end:
            return float(end.value)
