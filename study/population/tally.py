"""Running means of an epoch, summed on the device and many updates at a time."""

import torch
from torch import Tensor

from study.population.group import EpochSums
from study.population.task import Task


class Tally:
    """Sums the losses and the errors of K replicas over an epoch.

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
