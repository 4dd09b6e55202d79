"""The convolutional network."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from study.errors import InputError
from study.keys import parse_one
from study.networks.network import Block, BlockMaker, Network

POOLS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
POOLINGS = (nn.Identity, nn.MaxPool2d, nn.AvgPool2d)
"""What pools each channel by itself."""


class CNN(Network):
    """A convolutional network: stages of convolutions, each ended by 2x2 pooling, a dense head.

    `channels` has one inner list per stage: `[[32, 32], [64]]` is two convolutions, pooling, one
    convolution, pooling. Convolutions have an odd `kernel_size` and keep the image's size;
    pooling halves it, rounding down. Then one dense block per entry of `head`, then the output.
    Takes [N, C, H, W] of `input_shape` (C, H, W); returns [N, num_classes].
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        channels: Sequence[Sequence[int]] = ((16,), (32,), (32,)),
        kernel_size: int = 3,
        pool: str = "max",
        head: Sequence[int] = (64,),
        dropout: float = 0.0,
        activation: Mapping[str, Any] | str = "relu",
        norm: Mapping[str, Any] | str = "none",
    ) -> None:
        make = BlockMaker(activation, norm, dropout)
        stages = parse_one("model.channels", channels)
        height, width = _pooled_size(input_shape, len(stages))
        pooling = POOLS[parse_one("model.pool", pool)]
        blocks = _convolutions(make, input_shape[0], stages, _odd(kernel_size), pooling)
        sizes = [stages[-1][-1] * height * width, *parse_one("model.head", head)]
        for index, (fed, units) in enumerate(pairwise(sizes)):
            blocks.append(make.dense(fed, units, flattens=index == 0))
        super().__init__(blocks, nn.Linear(sizes[-1], num_classes))


def _convolutions(
    make: BlockMaker,
    in_channels: int,
    stages: list[list[int]],
    kernel_size: int,
    pooling: Callable[[int], nn.Module],
) -> list[Block]:
    blocks = []
    for stage in stages:
        for index, channels in enumerate(stage, start=1):
            pool = pooling(2) if index == len(stage) else None
            blocks.append(make.convolution(in_channels, channels, kernel_size, pool))
            in_channels = channels
    return blocks


def _odd(kernel_size: object) -> int:
    size: int = parse_one("model.kernel_size", kernel_size)
    if size % 2 == 0:
        raise InputError(
            f"model.kernel_size is {size}; it must be odd, so that padding keeps the image's size"
        )
    return size


def _pooled_size(input_shape: tuple[int, int, int], num_poolings: int) -> tuple[int, int]:
    """Height and width after halving `num_poolings` times."""
    _, height, width = input_shape
    left = min(height, width) >> num_poolings
    if left < 1:
        most = min(height, width).bit_length() - 1
        raise InputError(
            f"model.channels has {num_poolings} inner lists, each ended by 2x2 pooling, but an "
            f"image of {height}x{width} can be halved {most} times; use at most {most} inner lists"
        )
    return height >> num_poolings, width >> num_poolings
