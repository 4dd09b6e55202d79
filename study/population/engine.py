"""What a population asks of the machinery that trains its replicas."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from study.data import Split
from study.errors import unknown
from study.population.losses import LOSSES, Loss
from study.population.streams import Streams

State = dict[str, Tensor]


@dataclass(frozen=True, order=True)
class Replica:
    """One network of a cell: one seed at one learning rate."""

    seed: int
    lr: float

    def __str__(self) -> str:
        return f"seed={self.seed},lr={self.lr}"


@dataclass(frozen=True)
class Settings:
    """How every replica of a population is trained.

    `eval_mixes`: an evaluation's batches are drawn from the whole split, since they show in its
    results.
    """

    batch_size: int
    loss: Loss
    input_noise: float
    flip: bool
    crop: int
    optimizer: Mapping[str, Any]
    eval_batch_size: int
    eval_mixes: bool
    streams: Streams

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings that a configuration asks for."""
        if config["loss"] not in LOSSES:
            raise unknown("loss", config["loss"], LOSSES)
        norm = config["norm"]
        on_batch = norm.get("evaluation") == "batch"
        return cls(
            batch_size=config["batch_size"],
            loss=LOSSES[config["loss"]],
            input_noise=config["input_noise"],
            flip=config["data"]["flip"],
            crop=config["data"]["crop"],
            optimizer=config["optimizer"],
            eval_batch_size=norm["eval_batch_size"] if on_batch else 2048,
            eval_mixes=on_batch,
            streams=Streams(config["streams"]),
        )

    def batch_of(self, num_examples: int) -> int:
        """The batch size on a training set of `num_examples`."""
        return min(self.batch_size, num_examples)


@dataclass(frozen=True)
class EpochSums:
    """Running means of one training epoch, and the loss of its first batch: each [K], float64."""

    loss: Tensor
    error: Tensor
    first_loss: Tensor


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and error of each replica over a split, [K]; its predictions, [K, N]."""

    loss: Tensor
    error: Tensor
    predictions: Tensor


class Engine(Protocol):
    """Trains K replicas, one epoch at a time, each on its own random streams.

    An engine changes rounding and speed, nothing else: every engine gives a replica the weights
    that the plain module would have, trained alone.
    """

    name: str
    replicas: list[Replica]
    networks: nn.ModuleList

    def start(self) -> None:
        """Makes the optimizers, once the networks are on their device."""

    def train_epoch(
        self, data: Split, *, epoch: int, factors: Sequence[float], tick: Callable[[], None]
    ) -> EpochSums:
        """One epoch of every replica; `factors` holds each update's learning-rate factor.

        Calls `tick` as often as there are replicas.
        """

    def evaluate(self, data: Split) -> Evaluation:
        """Every replica in evaluation mode over a whole split."""

    def snapshot(self, index: int) -> State:
        """A copy of the parameters and buffers of one replica, by name."""

    def restore(self, index: int, state: State) -> None:
        """Puts a snapshot back."""


def epoch_order(replica: Replica, streams: Streams, epoch: int, num_examples: int) -> Tensor:
    """The order in which a replica sees the training examples in `epoch`: [num_examples].

    Drawn on the CPU whatever the device, so that it is the same on each.
    """
    generator = streams.generator(replica.seed, "order", epoch)
    return torch.randperm(num_examples, generator=generator)


def evaluation_batches(data: Split, settings: Settings) -> Iterator[Tensor | slice]:
    """What indexes each batch of an evaluation of `data`.

    In the order of the split; or in a fixed random one where batches are normalized by their own
    statistics: images that are sorted by class would make them those of a single class.
    """
    num_examples, size = len(data.labels), settings.eval_batch_size
    if settings.eval_mixes:
        order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(0))
        yield from order.to(data.labels.device).split(size)
    else:
        yield from (slice(start, start + size) for start in range(0, num_examples, size))


def normal_like(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) in the shape of `inputs`: the same numbers in every precision."""
    draws = torch.empty(inputs.shape, dtype=torch.float32, device=inputs.device)
    return draws.normal_(generator=generator).to(inputs.dtype)
