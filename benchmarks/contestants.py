"""The three ways to train the same networks: ours, a bare loop, and the recipe of templates."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
import torchmetrics
import torchvision
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2 as transforms

from study.compose import compose_cell, hydra_ready
from study.data import Data, Normalize, Split
from study.networks import build_network
from study.population.build import build_population, replicas_of

BATCH = 128
STEPS = 40
MNIST_RAW = Path(__file__).parents[1] / "data/MNIST/raw"


@dataclass(frozen=True)
class Case:
    """A network to train: its name, overrides of the configuration, and the input's shape."""

    name: str
    overrides: tuple[str, ...]
    input_shape: tuple[int, int, int] = (1, 28, 28)

    def config(self, num_replicas: int) -> dict[str, Any]:
        """A cell of that many replicas: up to 5 seeds, the rest learning rates."""
        seeds = min(num_replicas, 5)
        rates = [0.001 * (index + 1) for index in range(num_replicas // seeds)]
        own = (f"seeds={seeds}", f"optimizer.lr={rates}".replace(" ", ""))
        with hydra_ready():
            return compose_cell((*self.overrides, *own)).config


CASES = (
    Case("MLP 3x32", ("model.widths=[32,32,32]",)),
    Case("MLP 3x32, BatchNorm", ("model.widths=[32,32,32]", "norm=batch")),
    Case("MLP 3x128", ("model.widths=[128,128,128]",)),
    Case("MLP 3x128, BatchNorm", ("model.widths=[128,128,128]", "norm=batch")),
    Case("MLP 5x512", ("model.widths=[512,512,512,512,512]",)),
    Case("MLP 5x512, BatchNorm", ("model.widths=[512,512,512,512,512]", "norm=batch")),
    Case("CNN", ("model=cnn",), (3, 32, 32)),
)


def made_up_data(case: Case) -> Data:
    """Random images and labels, enough for STEPS updates."""
    generator = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        inputs = torch.randn(size, *case.input_shape, generator=generator)
        return Split(inputs, torch.randint(0, 10, (size,), generator=generator))

    unit = Normalize(offset=torch.zeros(1), divisor=torch.ones(1))
    train = split(BATCH * STEPS)
    return Data(train, split(BATCH), split(BATCH), tuple("0123456789"), "made up", unit)


def ours(case: Case, data: Data, num_replicas: int) -> Callable[[], float]:
    """Seconds per update and replica of a population's training epoch."""
    config = case.config(num_replicas)
    engine = build_population(config, data, replicas_of(config)).engine
    engine.start()
    epochs = itertools.count()

    def run() -> float:
        started = time.perf_counter()
        factors = [1.0] * STEPS
        engine.train_epoch(data.train, epoch=next(epochs), factors=factors, tick=lambda _: None)
        return (time.perf_counter() - started) / STEPS / num_replicas

    return run


def bare(case: Case, data: Data) -> Callable[[], float]:
    """Seconds per update of a hand-written loop over tensors in memory."""
    network: nn.Module = build_network(case.config(1), case.input_shape, 10)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    inputs, labels = data.train.inputs, data.train.labels

    def run() -> float:
        started = time.perf_counter()
        for indices in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(inputs[indices]), labels[indices])
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - started) / STEPS

    return run


class TemplateModule(lightning.LightningModule):
    """A classifier as templates write it: metric objects and `self.log` at every step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.criterion = nn.CrossEntropyLoss()
        self.train_accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
        self.train_loss = torchmetrics.MeanMetric()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        inputs, labels = batch
        outputs = self.network(inputs)
        loss: torch.Tensor = self.criterion(outputs, labels)
        self.train_loss(loss)
        self.train_accuracy(outputs.argmax(dim=1), labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class StepTimes(lightning.Callback):
    """When each training batch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


class MadeUpImages(Dataset[Any]):
    """Colour images as torchvision's CIFAR10 hands them out: PIL images, transformed."""

    def __init__(self, transform: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (BATCH * STEPS, 32, 32, 3)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).numpy()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), index % 10


def template(case: Case) -> Callable[[], float]:
    """Seconds per update of torchvision + DataLoader + Lightning + torchmetrics.

    The first ten updates of a run are not counted.
    """
    network = build_network(case.config(1), case.input_shape, 10)
    module, data = TemplateModule(network), _template_data(case)

    def run() -> float:
        times = StepTimes()
        trainer = lightning.Trainer(
            max_epochs=1,
            limit_train_batches=STEPS,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[times],
        )
        trainer.fit(module, DataLoader(data, batch_size=BATCH, shuffle=True))
        return (times.ends[-1] - times.ends[10]) / (len(times.ends) - 11)

    return run


def _template_data(case: Case) -> Any:
    to_tensor = [transforms.ToImage(), transforms.ToDtype(torch.float32, scale=True)]
    if case.input_shape[0] == 3:
        normalize = transforms.Normalize((0.5,) * 3, (0.25,) * 3)
        return MadeUpImages(transforms.Compose([*to_tensor, normalize]))
    root = Path(tempfile.mkdtemp(prefix="benchmark-"))
    shutil.copytree(MNIST_RAW, root / "MNIST/raw")
    normalize = transforms.Normalize((0.1307,), (0.3081,))
    pipeline = transforms.Compose([*to_tensor, normalize])
    return torchvision.datasets.MNIST(str(root), download=True, transform=pipeline)
