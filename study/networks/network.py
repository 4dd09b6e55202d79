"""What every network here is made of: blocks in a row, then a linear output layer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from study.networks.activations import make_activation, pieces_per_unit
from study.networks.normalization import BatchNorm, make_norm
from study.networks.stochastic import Dropout


class Block(nn.Module):
    """layer -> [norm before] -> activation -> [norm after] -> pool -> dropout.

    `layer` is an nn.Linear or nn.Conv2d; whatever is absent is an nn.Identity, so hooks and
    readers find the same five names in every block. `norm_after` says where the norm stands. A
    block with `flattens` takes images and flattens them first.
    """

    layer: nn.Linear | nn.Conv2d
    norm: nn.Module
    activation: nn.Module
    pool: nn.Module
    dropout: nn.Module

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d,
        *,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        pool: nn.Module | None = None,
        dropout: nn.Module | None = None,
        norm_after: bool = False,
        flattens: bool = False,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm or nn.Identity()
        self.activation = activation or nn.Identity()
        self.pool = pool or nn.Identity()
        self.dropout = dropout or nn.Identity()
        self.norm_after, self.flattens = norm_after, flattens

    def forward(self, x: Tensor) -> Tensor:
        if self.flattens:
            x = x.flatten(1)
        x = self.layer(x)
        x = self.norm(self.activation(x)) if self.norm_after else self.activation(self.norm(x))
        return self.dropout(self.pool(x))

    @property
    def output_is_normalized(self) -> bool:
        """Whether the next layer is fed by a norm rather than by the activation."""
        return self.norm_after and not isinstance(self.norm, nn.Identity)

    def extra_repr(self) -> str:
        order = "layer, activation, norm" if self.norm_after else "layer, norm, activation"
        return f"order={order}, pool, dropout" + (", flattens" if self.flattens else "")


class Network(nn.Module):
    """Hidden `blocks` in forward order, then the linear `output` layer.

    Takes images [N, C, H, W] (an MLP also takes [N, F]) and returns scores [N, num_classes],
    before any softmax. Built with torch's own initialization; `initialize` applies another.
    """

    blocks: nn.ModuleList
    output: nn.Linear

    def __init__(self, blocks: Iterable[Block], output: nn.Linear) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.output(x.flatten(1))

    @property
    def is_chain(self) -> bool:
        """Whether it passes through its blocks in a row: a subclass may have another forward."""
        return type(self).forward is Network.forward

    @property
    def convolves(self) -> bool:
        """Whether its first layer is a convolution; none comes after a dense layer."""
        return len(self.blocks) > 0 and isinstance(self.blocks[0].layer, nn.Conv2d)

    def hidden_blocks(self) -> Iterator[Block]:
        """The blocks, typed as what they are."""
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block


class BlockMaker:
    """Makes the blocks of one network: what all of them share, checked once.

    A layer directly followed by BatchNorm has no bias, which the norm would subtract again
    (Ioffe & Szegedy 2015, section 3.2). With maxout a layer has `pieces` outputs per unit.
    """

    def __init__(
        self,
        activation: Mapping[str, Any] | str,
        norm: Mapping[str, Any] | str,
        dropout: float,
    ) -> None:
        self.activation, self.norm, self.dropout = activation, norm, dropout
        self.pieces = pieces_per_unit(make_activation(activation))
        example = make_norm(norm, 1)
        position = example.position if isinstance(example, BatchNorm) else None
        self.norm_after = position == "after"
        self.bias = position != "before"

    def dense(self, in_features: int, units: int, *, flattens: bool = False) -> Block:
        """[N, in_features] (or an image of that many numbers) -> [N, units]."""
        layer = nn.Linear(in_features, self.pieces * units, bias=self.bias)
        return self._block(layer, units, flattens=flattens)

    def dense_blocks(self, sizes: Sequence[int], *, flattens: bool = True) -> list[Block]:
        """A block for each size but the first, which is what the first block takes."""
        return [
            self.dense(fed, units, flattens=flattens and index == 0)
            for index, (fed, units) in enumerate(pairwise(sizes))
        ]

    def convolution(
        self, in_channels: int, channels: int, kernel_size: int, pool: nn.Module | None = None
    ) -> Block:
        """[N, in_channels, H, W] -> [N, channels, H, W], padded with zeros, then pooled."""
        layer = nn.Conv2d(
            in_channels,
            self.pieces * channels,
            kernel_size,
            padding=kernel_size // 2,
            bias=self.bias,
        )
        return self._block(layer, channels, pool=pool)

    def _block(
        self,
        layer: nn.Linear | nn.Conv2d,
        units: int,
        *,
        pool: nn.Module | None = None,
        flattens: bool = False,
    ) -> Block:
        num_features = units if self.norm_after else self.pieces * units
        return Block(
            layer,
            norm=make_norm(self.norm, num_features),
            activation=make_activation(self.activation),
            pool=pool,
            dropout=Dropout(self.dropout) if self.dropout else None,
            norm_after=self.norm_after,
            flattens=flattens,
        )
