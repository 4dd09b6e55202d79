"""What each seed sees in the updates of an epoch: random streams, and runs of updates."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from study.data.preparation import Split

Purpose = Literal["initialization", "order", "augmentation", "noise", "dropout"]


@dataclass(frozen=True)
class Streams:
    """The random streams of a configuration: one for each seed, purpose and epoch.

    A stream's seed is a hash of the three, so a training that goes on at any epoch needs no saved
    state of it, and what a replica is given does not depend on the others of its population.
    Replicas of equal seed and different learning rate share their streams.

    `pinned` holds, per purpose, the seed that every replica takes instead of its own.
    """

    pinned: Mapping[str, int | None] = field(default_factory=dict)

    def seed(self, seed: int, purpose: Purpose) -> int:
        """The seed that the stream starts from: the pinned one, or the replica's."""
        pin = self.pinned.get(purpose)
        return seed if pin is None else pin

    def generator(
        self, seed: int, purpose: Purpose, epoch: int = 0, *, of: str = "", device: Any = "cpu"
    ) -> torch.Generator:
        """The generator of replica `seed` for `purpose` in `epoch` (counted from 0).

        `of`: whose, where several have a purpose; none takes part in what another draws.
        """
        generator = torch.Generator(device=device)
        what = f"{purpose}/{of}" if of else purpose
        generator.manual_seed(stream_seed(self.seed(seed, purpose), what, epoch))
        return generator


def stream_seed(seed: int, purpose: str, epoch: int) -> int:
    """63 bits of (seed, purpose, epoch): what a stream's generator is seeded with."""
    text = f"{seed}/{purpose}/{epoch}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def epoch_order(seed: int, streams: Streams, epoch: int, num_examples: int) -> Tensor:
    """The order in which a seed sees the training examples in `epoch`: [num_examples].

    Drawn on the CPU whatever the device, so that it is the same on each.
    """
    generator = streams.generator(seed, "order", epoch)
    return torch.randperm(num_examples, generator=generator)


class Run:
    """A run of updates: some that follow each other in one epoch.

    `indices` holds for each seed the training examples of every update, [updates, batch], on the
    device of `data`. `first` updates of the epoch, which has `per_epoch`, come before it.
    """

    def __init__(
        self, data: Split, epoch: int, indices: Mapping[int, Tensor], first: int, per_epoch: int
    ) -> None:
        self.data, self.epoch, self.indices = data, epoch, indices
        self.first, self.per_epoch = first, per_epoch

    @classmethod
    def of_epoch(
        cls, data: Split, seeds: Sequence[int], streams: Streams, *, epoch: int, batch_size: int
    ) -> "Run":
        """A whole epoch: each seed's own order of the examples, the incomplete rest dropped."""
        size = min(batch_size, len(data))
        updates = len(data) // size
        indices = {}
        for seed in dict.fromkeys(seeds):
            order = epoch_order(seed, streams, epoch, len(data)).to(data.inputs.device)
            indices[seed] = order[: updates * size].view(updates, size)
        return cls(data, epoch, indices, 0, updates)

    def __len__(self) -> int:
        """Updates of each replica."""
        return self.last - self.first

    @property
    def last(self) -> int:
        """The updates of the epoch that are done after it."""
        return self.first + len(next(iter(self.indices.values())))

    def part(self, first: int, last: int) -> "Run":
        """Those after the epoch's `first` updates, up to its `last`."""
        begin, end = first - self.first, last - self.first
        indices = {seed: own[begin:end] for seed, own in self.indices.items()}
        return Run(self.data, self.epoch, indices, first, self.per_epoch)
