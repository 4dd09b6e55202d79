"""A replica, and how every one of a population is trained."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from study.config.configuration import RECONSTRUCTION, Config
from study.config.groups import DataGroup
from study.data import AUGMENTATIONS
from study.data.batches import Streams
from study.errors import InputError
from study.networks.registry import keywords
from study.training.task import Task, make_task

EVALUATION_BATCH = 2048
RECONSTRUCTION_BATCH = 512
"""Examples of an evaluation at once; fewer where outputs are as many as inputs."""


@dataclass(frozen=True, order=True)
class Replica:
    """One network of a cell: one seed at one learning rate."""

    seed: int
    lr: float

    def __str__(self) -> str:
        return f"seed={self.seed},lr={self.lr}"


Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Of a batch [B, C, H, W] another of its shape, drawn from the generator alone."""


@dataclass(frozen=True)
class Settings:
    """How every replica of a population is trained.

    `eval_mixes`: an evaluation's batches are drawn from the whole split, since they show in its
    results. `compile`: training runs the networks through torch.compile. `augmentations`: a user's
    own, by name. `products`: the library that multiplies dense layers.
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
    products: str = "torch"
    augmentations: Mapping[str, Augmentation] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Config, products: str = "torch") -> "Settings":
        """The settings that a configuration asks for; `InputError` where they do not fit."""
        task, norm = make_task(config, products), config.norm
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
            products=products,
            augmentations=_augmentations(config.data),
        )

    def prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """The network as training calls it."""
        return torch.compile(network) if self.compile else network

    def batch_of(self, num_examples: int) -> int:
        """The batch size on a training set of `num_examples`."""
        return min(self.batch_size, num_examples)


def _augmentations(data: DataGroup) -> dict[str, Augmentation]:
    """A user's own augmentations, each with its keys; `InputError` for keys that fit none."""
    of_all = {each.name for each in fields(DataGroup)}
    own = {name: value for name, value in data.level.items() if name not in of_all}
    made: dict[str, Augmentation] = {}
    taken: set[str] = set()
    for name in data.augment:
        takes: dict[str, Any] = {**keywords(AUGMENTATIONS[name])}
        for key, default in takes.items():
            if key not in own and default is inspect.Parameter.empty:
                raise InputError(
                    f"data.augment={name} takes data.{key}, which data={data.name} has not: write "
                    "it into a file of data/ in your folder, or give it a default"
                )
        given = {key: own[key] for key in takes if key in own}
        made[name] = functools.partial(AUGMENTATIONS[name], **given)
        taken |= given.keys()
    if unused := own.keys() - taken:
        raise InputError(
            f"data.{min(unused)}={own[min(unused)]} is of an augmentation that data.augment="
            f"[{','.join(data.augment)}] does not name"
        )
    return made
