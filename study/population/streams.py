"""Random streams: each replica draws from its own, one for each purpose and epoch.

A stream's seed is a hash of (seed, purpose, epoch), so a stream needs no saved state to be taken
up at any epoch, and what a replica is given does not depend on the others of its population.
Replicas of equal seed and different learning rate share their streams.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

Purpose = Literal["initialization", "order", "augmentation", "noise", "dropout"]


@dataclass(frozen=True)
class Streams:
    """The random streams of a configuration.

    `pinned` holds, per purpose, the seed that every replica takes instead of its own.
    """

    pinned: Mapping[str, int | None] = field(default_factory=dict)

    def seed(self, seed: int, purpose: Purpose) -> int:
        """The seed that the stream starts from: the pinned one, or the replica's."""
        pin = self.pinned.get(purpose)
        return seed if pin is None else pin

    def generator(
        self, seed: int, purpose: Purpose, epoch: int = 0, *, device: Any = "cpu"
    ) -> torch.Generator:
        """The generator of replica `seed` for `purpose` in `epoch` (counted from 0)."""
        generator = torch.Generator(device=device)
        generator.manual_seed(stream_seed(self.seed(seed, purpose), purpose, epoch))
        return generator


def stream_seed(seed: int, purpose: str, epoch: int) -> int:
    """63 bits of (seed, purpose, epoch): what a stream's generator is seeded with."""
    text = f"{seed}/{purpose}/{epoch}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
