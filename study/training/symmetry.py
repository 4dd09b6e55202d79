"""Units that start equal, kept equal: mathematics decides over a symmetry, not rounding.

Units of a layer with the same incoming and the same outgoing weights get the same gradient, and so
stay the same for ever: weights that are all zero or all one constant never break their symmetry.
Rounding does. The last bits of a matrix product depend on the column, by its width, the library
and the processor, and training amplifies them until the units part.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from study.networks import (
    POOLINGS,
    BatchNorm,
    Block,
    Maxout,
    Network,
    Stochastic,
    is_elementwise,
    pieces_per_unit,
)

ROUNDING = 1e-3
"""Units that part by less than this share of one update were told apart by rounding."""


class Symmetry:
    """The equal units of a chain of blocks, and what keeps them equal.

    `chain` holds each block with the module that reads its outputs, or `None` where none is known.
    Where all parts of a block treat its units alike, equal ones are held: they pass on what the
    first of them does, and become after each update what it has become. Other blocks are watched,
    all of them without `hold` (an optimizer may treat equal numbers unequally): `broken` is the
    first layer, counted from 1, whose equal units rounding has told apart. Dropout and noise draw
    for each unit, so units behind them may part.
    """

    def __init__(
        self, chain: Sequence[tuple[Block, nn.Module | None]], *, hold: bool = True
    ) -> None:
        self._layers: list[tuple[int, EqualUnits]] = []
        for layer, (block, reader) in enumerate(chain, start=1):
            drawn = any(isinstance(module, Stochastic) for module in block.modules())
            if not drawn and not block.layer.weight.is_meta:
                units = EqualUnits(block, reader, hold=hold)
                self._layers += [(layer, units)] if units.exist else []
        self.broken: int | None = None

    @classmethod
    def from_network(cls, network: nn.Module, *, hold: bool = True) -> "Symmetry":
        """That of a network; who reads whom in a forward of its own, nobody knows."""
        if not isinstance(network, Network):
            return cls(())
        blocks = list(network.hidden_blocks())
        if not network.is_chain:
            return cls([(block, None) for block in blocks], hold=hold)
        readers = [
            block.layer if type(block).forward is Block.forward else None for block in blocks[1:]
        ]
        readers += [network.output] if blocks else []
        return cls(list(zip(blocks, readers, strict=True)), hold=hold)

    def __bool__(self) -> bool:
        return bool(self._layers)

    def start(self) -> None:
        """Begins to hold and to watch, once the modules are on their device."""
        for _, units in self._layers:
            units.start()

    def after_update(self) -> None:
        """Makes held units equal again, and looks at the watched."""
        for layer, units in self._layers:
            if units.after_update() and self.broken is None:
                self.broken = layer


class EqualUnits:
    """The units of a block that have the same weights, to the last bit, before and behind them."""

    def __init__(self, block: Block, reader: nn.Module | None, *, hold: bool) -> None:
        self.block, self.reader, self._hold = block, reader, hold
        own, pieces = _by_unit(block), pieces_per_unit(block.activation)
        read = None if reader is None else _read_by(reader, len(own))
        self.first = _first_equal(own if read is None else torch.cat([own, read.flatten(1)], 1))
        """The first unit equal to each, [units]."""
        self.rows = self.first
        """The first row of weights equal to each, [pieces x units]."""
        if pieces > 1:
            alike = torch.stack([_first_equal(unit.view(pieces, -1)) for unit in own], 1)
            self.rows = (alike[:, self.first] * len(own) + self.first).flatten()
        self._before: Tensor | None = None

    @property
    def exist(self) -> bool:
        """Whether any two are equal."""
        return bool((self.rows < torch.arange(len(self.rows))).any())

    @cached_property
    def held(self) -> bool:
        """Whether they are held, not watched; asked before `start`, and only where any exist.

        Every part of the block has to do to each unit what it does to every other, and the reader
        to read each by the weights that it has for it, in no other way. Those of a decoder that is
        tied to the block are the block's own.
        """
        block, reader = self.block, self.reader
        kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
        reads_alike = (type(reader) in kinds and getattr(reader, "groups", 1) == 1) or (
            reader is not None and getattr(reader, "layer", None) is block.layer
        )
        return (
            self._hold
            and reads_alike
            and type(block).forward is Block.forward
            and type(block.layer) in (nn.Linear, nn.Conv2d)
            and getattr(block.layer, "groups", 1) == 1
            and type(block.norm) in (nn.Identity, BatchNorm)
            and (type(block.activation) is Maxout or is_elementwise(block.activation))
            and type(block.pool) in POOLINGS
        )

    def start(self) -> None:
        if not self.held:
            self._before = _by_unit(self.block).clone()
            return
        device = self.block.layer.weight.device
        rows, first = self.rows.to(device), self.first.to(device)
        self._tied = [
            (each, rows if len(each) == len(rows) else first) for each in _own(self.block)
        ]
        if self.reader is not None and (read := _read_by(self.reader, len(first))) is not None:
            self._tied.append((read, first))

        def tie(_: nn.Module, inputs: tuple[Any, ...]) -> Any:
            return _Tie.apply(inputs[0], rows)

        self.block.activation.register_forward_pre_hook(tie)

    @torch.no_grad()
    def after_update(self) -> bool:
        """Holds the units; of those that are watched, whether rounding has just parted them."""
        if self.held:
            for tensor, first in self._tied:
                tensor.copy_(tensor.index_select(0, first))
        if self._before is None:
            return False
        now = _by_unit(self.block)
        apart = (now - now[self.first.to(now.device)]).abs().amax()
        update = (now - self._before).abs().amax()
        self._before = None if apart else now.clone()
        return bool(0 < apart < ROUNDING * update)


class _Tie(torch.autograd.Function):
    """Channels [N, C, ...] that are equal but for rounding: each as the first, gradients too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor) -> Tensor:
        ctx.save_for_backward(first)
        return x.index_select(1, first)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].index_select(1, *ctx.saved_tensors), None


def _own(block: Block) -> list[Tensor]:
    """Parameters and averages of a block's layer and norm: each has a row a unit, or a piece."""
    layer, norm = block.layer, block.norm
    tensors = [layer.weight, layer.bias]
    if isinstance(norm, BatchNorm):
        tensors += [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    return [tensor.detach() for tensor in tensors if tensor is not None]


def _by_unit(block: Block) -> Tensor:
    """All that makes a unit what it is, [units, numbers]: those of its pieces one by one."""
    units = block.layer.weight.shape[0] // pieces_per_unit(block.activation)
    parts = [each.reshape(-1, units, each[0].numel()) for each in _own(block)]
    pieces = max(map(len, parts))
    return torch.cat([part.expand(pieces, -1, -1) for part in parts], 2).transpose(0, 1).flatten(1)


def _read_by(reader: nn.Module, units: int) -> Tensor | None:
    """The weights that a module has for each of so many units, [units, ...], where it has any."""
    if getattr(reader, "groups", 1) != 1:
        return None
    if isinstance(reader, nn.ConvTranspose2d):
        return reader.weight.detach()
    if isinstance(reader, nn.Linear | nn.Conv2d):
        weight = reader.weight.detach()
        return weight.view(len(weight), units, -1).transpose(0, 1)
    return None


def _first_equal(rows: Tensor) -> Tensor:
    """The first row with the same bits as each, [N, D] to int64 [N]."""
    few = rows[:, :8].cpu().contiguous().numpy()
    if len({row.tobytes() for row in few}) == len(few):
        return torch.arange(len(few))
    seen: dict[bytes, int] = {}
    whole = enumerate(rows.cpu().contiguous().numpy())
    return torch.tensor([seen.setdefault(row.tobytes(), index) for index, row in whole])
