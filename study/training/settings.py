"""A replica, the random streams it draws from, and how every one of a population is trained."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from study.config.configuration import RECONSTRUCTION, Config
from study.training.task import Task, make_task

EVALUATION_BATCH = 2048
RECONSTRUCTION_BATCH = 512
"""Examples of an evaluation at once; fewer where outputs are as many as inputs."""

Purpose = Literal["initialization", "order", "augmentation", "noise", "dropout"]


@dataclass(frozen=True, order=True)
class Replica:
    """One network of a cell: one seed at one learning rate."""

    seed: int
    lr: float

    def __str__(self) -> str:
        return f"seed={self.seed},lr={self.lr}"


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


@dataclass(frozen=True)
class Settings:
    """How every replica of a population is trained.

    `eval_mixes`: an evaluation's batches are drawn from the whole split, since they show in its
    results. `compile`: training runs the networks through torch.compile.
    """

    batch_size: int
    task: Task
    input_noise: float
    flip: bool
    crop: int
    optimizer: Mapping[str, Any]
    eval_batch_size: int
    eval_mixes: bool
    streams: Streams
    compile: bool = False

    @classmethod
    def from_config(cls, config: Config) -> "Settings":
        """The settings that a configuration asks for; `InputError` where they do not fit."""
        task, norm = make_task(config), config.norm
        at_once = RECONSTRUCTION_BATCH if task.name == RECONSTRUCTION else EVALUATION_BATCH
        on_batch = norm.evaluation == "batch"
        return cls(
            batch_size=config.batch_size,
            task=task,
            input_noise=config.input_noise,
            flip=config.data.flip,
            crop=config.data.crop,
            optimizer=config.optimizer.level,
            eval_batch_size=norm.eval_batch_size if on_batch else at_once,
            eval_mixes=on_batch,
            streams=Streams(config.streams),
            compile=config.population.compile,
        )

    def prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """The network as training calls it."""
        return torch.compile(network) if self.compile else network

    def batch_of(self, num_examples: int) -> int:
        """The batch size on a training set of `num_examples`."""
        return min(self.batch_size, num_examples)
