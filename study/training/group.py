"""Replicas that are trained as one, the unit of work of an engine, and what an epoch gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from study.data import Split
from study.training.settings import Replica
from study.training.state import State
from study.training.task import Task


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
        errors = self.task.error(outputs, targets).view(len(self._pending), self.num_replicas, -1)
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


NO_PAUSES: Mapping[int, Any] = {}


class Group(Protocol):
    """K replicas trained together, each on its own random streams.

    How they are grouped changes rounding and speed, nothing else: every group gives a replica the
    weights that the plain module would have, trained alone.
    """

    replicas: list[Replica]

    @property
    def network(self) -> nn.Module:
        """The module that holds all their parameters."""

    def start(self) -> None:
        """Makes the optimizer, once the network is on its device."""

    def train_epoch(
        self, data: Split, *, epoch: int, factors: Sequence[float], pauses: "Pauses" = NO_PAUSES
    ) -> EpochSums:
        """One epoch; `factors` holds each update's learning-rate factor.

        After as many of its updates as a key of `pauses` says, it calls that pause with itself.
        """

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

        Named as `study.training.state` says, by the plain network's names, so that a
        replica's training goes on in whatever group it then is.
        """

    def restore_training(self, states: Sequence[State]) -> None:
        """Goes on with the training of every replica, all of them as many updates old."""


Pause = Callable[[Group], None]
Pauses = Mapping[int, Pause]
