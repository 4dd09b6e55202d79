"""Layers to train as RBMs, and patterns to train them on."""

import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from study.networks import Block
from study.training.pretraining.rbm_training import RbmSettings, RbmTrainee
from study.training.pretraining.trainee import Labelled
from tests.pretrained_layers import trained

NUM_VISIBLE, NUM_HIDDEN = 6, 4
LABELS = torch.zeros(0, dtype=torch.int64)


def streams(seed: int = 0) -> Callable[[str, int], torch.Generator]:
    def generator(purpose: str, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{purpose}/{epoch}".encode()))

    return generator


def dense(activation: nn.Module | None = None, **keys: Any) -> Block:
    layer = nn.Linear(NUM_VISIBLE, NUM_HIDDEN, bias=keys.pop("bias", True)).double()
    nn.init.normal_(layer.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    if layer.bias is not None:
        nn.init.normal_(layer.bias, std=0.1, generator=torch.Generator().manual_seed(1))
    return Block(layer, activation=activation or nn.Sigmoid(), **keys).double()


def trainee(
    block: Block | None = None, seed: int = 0, keys: dict[str, Any] | None = None, **settings: Any
) -> RbmTrainee:
    chosen = RbmSettings(**{"batch_size": 10, **settings})
    return RbmTrainee(block or dense(), streams(seed), chosen, **(keys or {}))


def patterns(num: int = 60, seed: int = 0) -> Tensor:
    """Two patterns of six bits, each bit flipped with probability 0.1."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randint(2, (num, 1), generator=generator)
    bits = torch.cat([pattern.expand(-1, 3), 1 - pattern.expand(-1, 3)], 1)
    flips = torch.rand(num, NUM_VISIBLE, generator=generator) < 0.1
    return (bits ^ flips).double()


def labelled(inputs: Tensor) -> Labelled:
    return inputs, torch.zeros(len(inputs), dtype=torch.int64)


def train(pupil: RbmTrainee, epochs: range, data: Tensor | None = None) -> list[float]:
    inputs = patterns() if data is None else data
    return [trained(pupil.train_epoch(inputs, LABELS, epoch=epoch)) for epoch in epochs]
