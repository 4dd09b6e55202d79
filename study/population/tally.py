"""Running means of an epoch, summed on the device and many updates at a time."""

import torch
from torch import Tensor

from study.population.group import EpochSums
from study.population.losses import wrong

UPDATES_AT_ONCE = 64


class Tally:
    """Sums the losses and the wrong predictions of K replicas over an epoch.

    Outputs are kept and counted many updates at a time: counting after each would cost a small
    network a tenth of its step.
    """

    def __init__(self, num_replicas: int, device: torch.device) -> None:
        self.num_replicas, self.num_updates, self.num_examples = num_replicas, 0, 0
        self.loss = torch.zeros(num_replicas, dtype=torch.float64, device=device)
        self.errors = torch.zeros_like(self.loss)
        self.first_loss = torch.zeros_like(self.loss)
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, losses: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """One update: mean losses [K], outputs [K B, C], labels [K B]."""
        self._pending.append((losses.detach(), outputs.detach(), labels))
        if len(self._pending) == UPDATES_AT_ONCE:
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
        losses, outputs, labels = (torch.cat(column) for column in zip(*self._pending, strict=True))
        losses = losses.view(len(self._pending), self.num_replicas).double()
        mistakes = wrong(outputs, labels).view(len(self._pending), self.num_replicas, -1)
        if not self.num_updates:
            self.first_loss.copy_(losses[0])
        self.loss += losses.sum(dim=0)
        self.errors += mistakes.sum(dim=(0, 2))
        self.num_updates += len(self._pending)
        self.num_examples += mistakes.shape[0] * mistakes.shape[2]
        self._pending.clear()
