"""The three ways to train the same networks: ours, a bare loop, and the recipe of templates."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.recipe import MadeUpImages, RecipeModule, StepTimes, mnist, quiet, recipe_trainer
from benchmarks.turns import now
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import Config
from study.data import Data, Normalize, Split
from study.data.batches import Run, Streams
from study.networks import build_network
from study.training.build import build_population, replicas_of

BATCH = 128
STEPS = 40
UNCOUNTED = 10
"""The first updates of a run of the recipe, which are not timed."""


@dataclass(frozen=True)
class Case:
    """A network to train: its name, overrides of the configuration, and the input's shape."""

    name: str
    overrides: tuple[str, ...]
    input_shape: tuple[int, int, int] = (1, 28, 28)

    def config(self, num_replicas: int, *overrides: str) -> Config:
        """A cell of that many replicas: up to 5 seeds, the rest learning rates."""
        seeds = min(num_replicas, 5)
        rates = [0.001 * (index + 1) for index in range(num_replicas // seeds)]
        own = (f"seeds={seeds}", f"optimizer.lr={rates}".replace(" ", ""))
        with hydra_ready():
            return compose_cell((*self.overrides, *own, *overrides)).config


CASES = (
    Case("MLP 3x32", ("model.widths=[32,32,32]",)),
    Case("MLP 3x32, BatchNorm", ("model.widths=[32,32,32]", "norm=batch")),
    Case("MLP 3x128", ("model.widths=[128,128,128]",)),
    Case("MLP 3x128, BatchNorm", ("model.widths=[128,128,128]", "norm=batch")),
    Case("MLP 5x512", ("model.widths=[512,512,512,512,512]",)),
    Case("MLP 5x512, BatchNorm", ("model.widths=[512,512,512,512,512]", "norm=batch")),
    Case("CNN", ("model=cnn",), (3, 32, 32)),
)


def made_up_data(case: Case, *, num_steps: int = STEPS, device: torch.device | str = "cpu") -> Data:
    """Random images and labels on `device`, enough for an epoch of `num_steps` updates."""
    generator = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        inputs = torch.randn(size, *case.input_shape, generator=generator)
        labels = torch.randint(0, 10, (size,), generator=generator)
        return Split(inputs.to(device), labels.to(device))

    unit = Normalize(offset=torch.zeros(1), divisor=torch.ones(1))
    train = split(BATCH * num_steps)
    return Data(train, split(BATCH), split(BATCH), tuple("0123456789"), "made up", unit)


def ours(
    case: Case, data: Data, num_replicas: int, overrides: tuple[str, ...] = ()
) -> Callable[[], float]:
    """Seconds per update and replica of a population's training epoch, on the device of `data`."""
    config, device = case.config(num_replicas, *overrides), data.train.inputs.device
    engine = build_population(config, data, replicas_of(config)).engine
    engine.networks.to(device)
    engine.start()
    epochs = itertools.count()
    num_steps = len(data.train) // BATCH

    def run() -> float:
        started = now(device)
        factors = [1.0] * num_steps
        run = Run.of_epoch(
            data.train,
            [replica.seed for replica in engine.replicas],
            Streams(config.streams),
            epoch=next(epochs),
            batch_size=config.batch_size,
        )
        engine.train(run, factors)
        engine.sums()
        return (now(device) - started) / num_steps / num_replicas

    return run


def bare(case: Case, data: Data) -> Callable[[], float]:
    """Seconds per update of a hand-written loop over tensors that are on their device."""
    inputs, labels = data.train.inputs, data.train.labels
    device = inputs.device
    network: nn.Module = build_network(case.config(1).network, case.input_shape, 10).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    num_steps = len(labels) // BATCH

    def run() -> float:
        started = now(device)
        for indices in torch.randperm(len(labels), device=device).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(inputs[indices]), labels[indices])
            loss.backward()
            optimizer.step()
        return (now(device) - started) / num_steps

    return run


def template(
    case: Case, *, num_steps: int = STEPS, uncounted: int = UNCOUNTED
) -> Callable[[], float]:
    """Seconds per update of torchvision + DataLoader + Lightning + torchmetrics, on the CPU.

    The first `uncounted` updates of a run are not counted.
    """
    module = RecipeModule(build_network(case.config(1).network, case.input_shape, 10))
    colour = case.input_shape[0] == 3
    data = MadeUpImages(BATCH * num_steps) if colour else mnist(train=True)

    def run() -> float:
        times = StepTimes()
        with quiet():
            trainer = recipe_trainer(times, max_epochs=1, max_batches=num_steps)
            trainer.fit(module, DataLoader(data, batch_size=BATCH, shuffle=True))
        counted = times.ends[uncounted:]
        return (counted[-1] - counted[0]) / (len(counted) - 1)

    return run
