"""LightningModules that train a whole epoch in one `training_step`."""

from collections.abc import Callable, Sequence

import lightning
import torch


class WholeEpochs(lightning.LightningModule):
    """Lightning gives it one 'batch' an epoch, and no optimizer: it has its own.

    `epochs_done` were trained by an earlier attempt, so that a Trainer is for the others alone.
    `after_epoch` is called at the end of each, validated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs_done = 0
        self.after_epoch: Callable[[], None] = lambda: None

    @property
    def epoch(self) -> int:
        """The epoch that is being trained, from 0."""
        return self.epochs_done + self.current_epoch

    def on_train_epoch_end(self) -> None:
        self.after_epoch()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Lightning is told of none."""
        return []

    def train_dataloader(self) -> Sequence[int]:
        """One 'batch' an epoch."""
        return [0]

    def val_dataloader(self) -> Sequence[int]:
        return [0]
