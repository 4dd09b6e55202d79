"""LightningModules that train a whole epoch in one `training_step`."""

from collections.abc import Sequence

import lightning
import torch


class WholeEpochs(lightning.LightningModule):
    """Lightning gives it one 'batch' an epoch, and no optimizer: it has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Lightning is told of none."""
        return []

    def train_dataloader(self) -> Sequence[int]:
        """One 'batch' an epoch."""
        return [0]

    def val_dataloader(self) -> Sequence[int]:
        return [0]
