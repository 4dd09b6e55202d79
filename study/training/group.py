"""Replicas that are trained as one, the unit of work of an engine, and what an epoch gives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from study.data import Split, augment
from study.data.batches import Purpose, Run
from study.errors import InputError
from study.training.settings import Replica, Settings
from study.training.task import Task

# The batches of an epoch: what each seed is given, however its replicas are packed.


class SeedBatches:
    """How one seed's training batches change in one epoch, update by update.

    Flips and crops, then a user's own augmentations, then input noise, each from the seed's own
    stream. `dropout` and `noise` are the generators that the network draws from.
    """

    def __init__(self, seed: int, settings: Settings, epoch: int, device: torch.device) -> None:
        self.seed, self.settings = seed, settings

        def stream(purpose: Purpose, of: str = "") -> torch.Generator:
            return settings.streams.generator(seed, purpose, epoch, of=of, device=device)

        self.noise, self.dropout = stream("noise"), stream("dropout")
        self.augmentation = stream("augmentation")
        self.own = {name: stream("augmentation", name) for name in settings.augmentations}

    @property
    def changes(self) -> bool:
        """Whether batches are other than the data's images."""
        settings = self.settings
        return bool(settings.flip or settings.crop or self.own or settings.input_noise)

    def changed(self, inputs: Tensor) -> Tensor:
        """The next batch [B, C, H, W], of the data's images."""
        settings = self.settings
        if settings.flip or settings.crop:
            inputs = augment(
                inputs, flip=settings.flip, crop=settings.crop, generator=self.augmentation
            )
        for name, change in settings.augmentations.items():
            form = inputs.shape, inputs.dtype
            inputs = change(inputs, self.own[name])
            if (now := (inputs.shape, inputs.dtype)) != form:
                was, made = (f"{list(shape)} of {dtype}" for shape, dtype in (form, now))
                raise InputError(f"data.augment={name} makes {made} out of {was}")
        if settings.input_noise:
            inputs = inputs + settings.input_noise * normal_like(inputs, self.noise)
        return inputs


def batches_of(run: Run, seeds: Sequence[SeedBatches]) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs [S, B, C, H, W], labels [S, B]) of each update of the epoch's next run.

    The images of all seeds are gathered at once: a gather of each seed's, and to put them together,
    took a fifth of an update of small networks. They lie where those of the update before lay: new
    memory for each update's would cost it the page faults.
    """
    data, changes = run.data, seeds[0].changes
    order = torch.stack([run.indices[each.seed] for each in seeds], dim=1)
    images = data.inputs.new_empty(order[0].numel(), *data.inputs.shape[1:])
    for indices in order:
        torch.index_select(data.inputs, 0, indices.flatten(), out=images)
        inputs = images.unflatten(0, indices.shape)
        if changes:
            pairs = zip(seeds, inputs, strict=True)
            inputs = torch.stack([each.changed(own) for each, own in pairs])
        yield inputs, data.labels[indices]


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


# All that the next epoch of a training depends on, as tensors by name.
#
# `module.NAME` for parameters and buffers, `optimizer.SLOT.NAME` for what an optimizer keeps of a
# parameter. Random streams are none of it: they begin anew with each epoch.


State = dict[str, Tensor]
Slots = Mapping[str, Tensor]
"""What an optimizer keeps of one parameter, by slot (`momentum_buffer`)."""


def training_state(module: nn.Module, optimizer: Optimizer) -> State:
    """The parameters and buffers, and the optimizer's tensors: themselves, not copies."""
    state = {f"module.{name}": value for name, value in module.state_dict().items()}
    for name, slots in zip(_names(module, optimizer), slots_of(optimizer), strict=True):
        state |= {f"optimizer.{slot}.{name}": value for slot, value in slots.items()}
    return {name: value.detach() for name, value in state.items()}


def restore_training(module: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Takes up a `training_state`, of which nothing is kept but copies."""
    values, slots = parts_of(state)
    module.load_state_dict(values)
    load_slots(optimizer, [slots.get(name, {}) for name in _names(module, optimizer)])


def parts_of(state: State) -> tuple[State, dict[str, dict[str, Tensor]]]:
    """Parameters and buffers by name, and the optimizer's slots by the parameter's name."""
    values: State = {}
    slots: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        kind, _, name = key.partition(".")
        if kind == "module":
            values[name] = value
        elif kind == "optimizer":
            slot, _, name = name.partition(".")
            slots.setdefault(name, {})[slot] = value
    return values, slots


def slots_of(optimizer: Optimizer) -> list[Slots]:
    """What the optimizer keeps of each parameter, in its order; nothing before the first step."""
    kept = optimizer.state_dict()["state"]
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    return [
        {slot: value for slot, value in kept.get(index, {}).items() if value is not None}
        for index in range(count)
    ]


def load_slots(optimizer: Optimizer, slots: Sequence[Slots]) -> None:
    """Gives the optimizer copies of what it kept of each parameter, on the parameter's device.

    Those of its shape lie in memory as it does, which fused kernels take for granted.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for index, (parameter, each) in enumerate(zip(parameters, slots, strict=True)):
        for slot, value in each.items():
            if value.shape == parameter.shape:
                copy = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            else:
                copy = value.clone()
            state.setdefault(index, {})[slot] = copy
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(module: nn.Module, optimizer: Optimizer) -> list[str]:
    """The names of the optimizer's parameters, in its order."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    return [names[each] for group in optimizer.param_groups for each in group["params"]]


@dataclass(frozen=True)
class EpochSums:
    """Running means of one training epoch, and the loss of its first batch: each [K], float64.

    What an error is, the population's task says: for a classification, a wrong prediction.
    """

    loss: Tensor
    error: Tensor
    first_loss: Tensor


class Tally:
    """Sums the losses and the errors of K replicas over an epoch, on their device.

    Outputs are kept and counted as many updates at a time as the task says.
    """

    def __init__(self, num_replicas: int, task: Task, device: torch.device) -> None:
        self.task = task
        self.num_replicas, self.num_updates, self.num_examples = num_replicas, 0, 0
        self.loss = torch.zeros(num_replicas, dtype=torch.float64, device=device)
        self.errors = torch.zeros_like(self.loss)
        self.first_loss = torch.zeros_like(self.loss)
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, losses: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """One update: mean losses [K], outputs [K B, D], targets [K B] or [K B, D]."""
        self._pending.append((losses.detach(), outputs.detach(), targets))
        if len(self._pending) == self.task.updates_at_once:
            self._count()

    def means(self) -> EpochSums:
        """The means over all that was added."""
        self._count()
        return EpochSums(
            self.loss / self.num_updates, self.errors / self.num_examples, self.first_loss
        )

    def _count(self) -> None:
        if not self._pending:
            return
        columns = zip(*self._pending, strict=True)
        losses, outputs, targets = (torch.cat(column) for column in columns)
        losses = losses.view(len(self._pending), self.num_replicas).double()
        errors, _ = self.task.judge(outputs, targets)
        errors = errors.view(len(self._pending), self.num_replicas, -1)
        if not self.num_updates:
            self.first_loss.copy_(losses[0])
        self.loss += losses.sum(dim=0)
        self.errors += errors.sum(dim=(0, 2), dtype=torch.float64)
        self.num_updates += len(self._pending)
        self.num_examples += errors.shape[0] * errors.shape[2]
        self._pending.clear()


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and error of each replica over a split, [K]; its predictions, [K, N].

    A prediction is a class, or -1 where an output is not finite: that counts as wrong. Networks
    that reconstruct predict none.
    """

    loss: Tensor
    error: Tensor
    predictions: Tensor


class Group(Protocol):
    """K replicas trained together, each on its own random streams.

    How they are grouped changes rounding and speed, nothing else: every group gives a replica the
    weights that the plain module would have, trained alone.
    """

    replicas: list[Replica]
    optimizer: Optimizer

    @property
    def network(self) -> nn.Module:
        """The module that holds all their parameters."""

    def start(self) -> None:
        """Makes the optimizer, once the network is on its device."""

    def train(self, run: Run, factors: Sequence[float]) -> None:
        """Trains the next run of an epoch; `factors` holds each update's learning-rate factor."""

    def sums(self) -> EpochSums:
        """Of the epoch's runs so far."""

    def evaluate(self, data: Split) -> Evaluation:
        """Every replica in evaluation mode over a whole split."""

    def broken_symmetry(self, index: int) -> int | None:
        """The first layer, from 1, whose equal units rounding told apart in one replica."""

    def snapshot(self, index: int) -> State:
        """A copy of the parameters and buffers of one replica, by the plain network's names."""

    def restore(self, index: int, state: State) -> None:
        """Puts a snapshot back."""

    def training_state(self, index: int) -> State:
        """All that the next epoch of one replica depends on, as it is until then.

        Named as `study.training.group` says, by the plain network's names, so that a
        replica's training goes on in whatever group it then is.
        """

    def restore_training(self, states: Sequence[State]) -> None:
        """Goes on with the training of every replica, all of them as many updates old."""
