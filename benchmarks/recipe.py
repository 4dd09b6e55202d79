"""The peer: a classifier as the popular Lightning-Hydra templates train it, written anew.

torchvision's data set with ToTensor and Normalize, a DataLoader, a LightningModule with a metric
object for all that is logged, and `self.log` at every step.
"""

import contextlib
import functools
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
import torchmetrics
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import transforms

MNIST_RAW = Path(__file__).parents[1] / "data/MNIST/raw"


class RecipeModule(lightning.LightningModule):
    """A classifier as templates write it: metric objects and `self.log` at every step."""

    def __init__(self, network: nn.Module, *, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.network, self.lr, self.momentum = network, lr, momentum
        self.criterion = nn.CrossEntropyLoss()
        self.train_accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
        self.val_accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
        self.test_accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
        self.train_loss = torchmetrics.MeanMetric()
        self.val_loss = torchmetrics.MeanMetric()
        self.test_loss = torchmetrics.MeanMetric()
        self.best_val_accuracy = torchmetrics.MaxMetric()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss, predictions, labels = self._step(batch)
        self.train_loss(loss)
        self.train_accuracy(predictions, labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss, predictions, labels = self._step(batch)
        self.val_loss(loss)
        self.val_accuracy(predictions, labels)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/acc", self.val_accuracy, on_step=False, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.best_val_accuracy(self.val_accuracy.compute())
        self.log("val/acc_best", self.best_val_accuracy.compute(), prog_bar=True)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        loss, predictions, labels = self._step(batch)
        self.test_loss(loss)
        self.test_accuracy(predictions, labels)
        self.log("test/loss", self.test_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("test/acc", self.test_accuracy, on_step=False, on_epoch=True, prog_bar=True)

    def _step(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        inputs, labels = batch
        outputs = self.network(inputs)
        return self.criterion(outputs, labels), outputs.argmax(dim=1), labels

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=self.momentum)


class StepTimes(lightning.Callback):
    """When each training batch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


def recipe_trainer(
    *callbacks: lightning.Callback, max_epochs: int, max_batches: int | None = None
) -> lightning.Trainer:
    """A Trainer on the CPU with what costs time and teaches nothing turned off.

    No logger, checkpoints or progress bar: templates have them, and are slower by so much.
    """
    return lightning.Trainer(
        max_epochs=max_epochs,
        limit_train_batches=max_batches,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advice on workers, hardware and loops."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class MadeUpImages(Dataset[Any]):
    """Colour images as torchvision's CIFAR10 hands them out: PIL images, transformed."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (count, 32, 32, 3)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).numpy()
        self.transform = _pipeline((0.5,) * 3, (0.25,) * 3)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), index % 10


@functools.cache
def mnist(*, train: bool) -> Any:
    """The MNIST of torchvision, unpacked from the embedded files into a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as root:
        shutil.copytree(MNIST_RAW, Path(root) / "MNIST/raw")
        pipeline = _pipeline((0.1307,), (0.3081,))
        return torchvision.datasets.MNIST(root, train=train, download=True, transform=pipeline)


def _pipeline(mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
