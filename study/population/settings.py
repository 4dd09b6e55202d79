"""A replica, and how every replica of a population is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.errors import unknown
from study.population.losses import LOSSES, Loss
from study.population.streams import Streams

EVALUATION_BATCH = 2048


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
            eval_batch_size=norm["eval_batch_size"] if on_batch else EVALUATION_BATCH,
            eval_mixes=on_batch,
            streams=Streams(config["streams"]),
        )

    def batch_of(self, num_examples: int) -> int:
        """The batch size on a training set of `num_examples`."""
        return min(self.batch_size, num_examples)
