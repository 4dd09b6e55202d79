"""Which units are alive over a whole split, seen while the networks are evaluated on it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from study.networks import Block
from study.probes.capture import Probed, hidden_blocks, num_replicas, signal
from study.probes.slopes import dead_units, largest_slope, slope_of


class Liveness:
    """Which units of a block have not been alive on any example yet: `dead` is bool [K, U].

    A unit is alive where |f'| is not below 1 % of its largest value. Those that have been are not
    looked at again: most are found alive in the first batch.
    """

    def __init__(self, network: Probed, block: Block) -> None:
        self.network, self.block = network, block
        self.largest = largest_slope(block.activation, num_replicas(network))
        self.dead: Tensor | None = None

    def see(self, _: nn.Module, args: tuple[Tensor]) -> None:
        """Looks at one batch of pre-activations."""
        before = signal(self.network, args[0].detach())
        if self.dead is None:
            self.dead = self._unseen(before)
        left = self.dead.any(dim=0).nonzero().squeeze(1)
        if len(left):
            part = before.index_select(2, left).flatten(2)
            slope = slope_of(self.block.activation, part).unflatten(2, (len(left), -1))
            self.dead[:, left] &= dead_units(slope, self.largest)

    def _unseen(self, before: Tensor) -> Tensor:
        """All units dead; none of maxout's, whose largest piece has slope 1 everywhere.

        Nor any where |f'| has no bound: there is nothing to look at.
        """
        outputs = before.shape[2]
        pieces = getattr(self.block.activation, "pieces", 1)
        can_die = self.largest.isfinite() & (pieces == 1)
        return can_die.to(before.device).unsqueeze(1).repeat(1, outputs // pieces)

    def dead_fraction(self) -> Tensor:
        """The share of units that never were, [K]; nan where |f'| has no bound."""
        assert self.dead is not None, "something was evaluated"
        known = self.largest.to(self.dead.device).isfinite()
        return self.dead.double().mean(1).where(known, torch.nan)


@contextmanager
def watching_units(networks: Sequence[Probed]) -> Iterator[list[list[Liveness]]]:
    """Within it the units of each network are watched; a list for each, of one for each block."""
    with ExitStack() as hooks:
        watched = []
        for network in networks:
            blocks = [Liveness(network, block) for block in hidden_blocks(network)]
            for each in blocks:
                hook = each.block.activation.register_forward_pre_hook(each.see)
                hooks.callback(hook.remove)
            watched.append(blocks)
        yield watched
