"""Tiny data in memory and on disk, and configurations that train on them in a moment."""

import functools
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from PIL import Image

from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import Config, factors
from study.data import Data, Split, fit_normalization
from study.data.batches import Run
from study.data.device import DTYPES
from study.data.module import StudyData
from study.launch.cell import train_cell
from study.outputs.cell import read_result
from study.probes.recorder import Recorder, recorder_of
from study.training import Engine, Group, Population, Replica
from study.training.build import build_population, replicas_of
from study.training.group import EpochSums
from study.training.trainer import make_trainer

NUM_CLASSES = 3
SMALL = (
    "model.widths=[8,8]",
    "batch_size=16",
    "seeds=1",
    "optimizer.lr=0.05",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.precision=64-true",
    "probes=none",
    "population.engine=sequential",
)


@functools.cache
def _composed(overrides: tuple[str, ...]) -> Any:
    with hydra_ready():
        return compose_cell(overrides)


CELL_FILES = {"config.yaml", "result.json", "curves.csv", "predictions.npz", "filters.npz",
         "weights.safetensors"}  # fmt: skip
"""What a cell leaves behind, TensorBoard's events apart."""


def config(*overrides: str, model: str = "mlp") -> Config:
    """A canonical configuration: a small network in float64 on the CPU, then the overrides.

    Its replicas are trained as plain modules unless an override asks for another engine.
    """
    own = [f"model={model}", *(SMALL[1:] if model != "mlp" else SMALL)]
    config: Config = _composed((*own, *overrides)).config
    return config


def changed(configuration: Config, **values: Any) -> Config:
    """The configuration with other values of keys, and with other keys in groups."""
    groups = {
        name: value for name, value in configuration.mapping.items() if isinstance(value, dict)
    }
    merged = {
        name: groups[name] | value if name in groups else value for name, value in values.items()
    }
    return Config.from_mapping({**configuration.mapping, **merged})


def pixels(
    num: int, *, seed: int, shape: tuple[int, int, int] = (1, 16, 16)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of noise with a bright bar, uint8 [num, C, H, W]; its place is the label, int64.

    One label in eight is drawn anew, so that no network gets all of them right.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (num, *shape), generator=generator)
    labels = torch.randint(0, NUM_CLASSES, (num,), generator=generator)
    labels[:NUM_CLASSES] = torch.arange(NUM_CLASSES)
    for index, label in enumerate(labels.tolist()):
        start = label * shape[1] // NUM_CLASSES
        images[index, :, start : start + 2] += 60
    labels[NUM_CLASSES::8] = torch.randint(
        0, NUM_CLASSES, labels[NUM_CLASSES::8].shape, generator=generator
    )
    return images.to(torch.uint8), labels


def data(
    *,
    num_train: int = 70,
    shape: tuple[int, int, int] = (1, 16, 16),
    normalize: str = "standard",
    dtype: torch.dtype = torch.float64,
) -> Data:
    """A data set in memory: `num_train` training, 40 validation and 50 test images."""
    raw = [
        pixels(num, seed=seed, shape=shape) for seed, num in enumerate((num_train, 40, 50), start=1)
    ]
    fitted = fit_normalization(normalize, raw[0][0], zca_epsilon=1e-2)
    train, val, test = (Split(fitted(images).to(dtype), labels) for images, labels in raw)
    return Data(
        train=train,
        val=val,
        test=test,
        classes=tuple("abc"),
        fingerprint=f"tiny {num_train} {shape}",
        normalize=fitted,
    )


def folder(root: Path, *, num_train: int = 60, num_test: int = 30) -> Path:
    """An image folder of grey 16 x 16 PNG files in three classes."""
    for split, num, seed in (("train", num_train, 1), ("test", num_test, 2)):
        images, labels = pixels(num, seed=seed)
        for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            path = root / split / "abc"[label] / f"{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(image[0])).save(path)
    return root


def build(
    configuration: Config,
    tiny_data: Data | None = None,
    replicas: Sequence[Replica] | None = None,
) -> Population:
    """A population of the configuration, not yet trained."""
    if tiny_data is None:
        tiny_data = data(dtype=DTYPES[configuration.trainer.precision])
    population = build_population(configuration, tiny_data, replicas or replicas_of(configuration))
    _BESIDE[population] = (tiny_data, recorder_of(configuration, tiny_data))
    return population


_BESIDE: weakref.WeakKeyDictionary[Population, tuple[Data, Recorder | None]]
_BESIDE = weakref.WeakKeyDictionary()


def data_of(population: Population) -> Data:
    """What a population that was built here is trained on."""
    return _BESIDE[population][0]


def probes_of(population: Population) -> Recorder:
    """What takes its probes."""
    recorder = _BESIDE[population][1]
    assert recorder is not None, "the configuration asks for probes"
    return recorder


def fit(
    population: Population, configuration: Config, *callbacks: lightning.Callback
) -> lightning.Trainer:
    """Trains a population that was built here; returns its Trainer."""
    recorder = _BESIDE[population][1]
    trainer = make_trainer(
        configuration,
        max_epochs=configuration.trainer.max_epochs,
        callbacks=[*([recorder] if recorder else []), *callbacks],
    )
    trainer.fit(population, datamodule=StudyData(configuration, data_of(population)))
    return trainer


def test(trainer: lightning.Trainer, population: Population, configuration: Config) -> None:
    """Evaluates a trained population on every split."""
    data = StudyData(configuration, data_of(population))
    trainer.test(population, datamodule=data, verbose=False)


test.__test__ = False  # type: ignore[attr-defined]


def train_epoch(
    trained: Engine | Group, split: Split, *, epoch: int, factors: Sequence[float]
) -> EpochSums:
    """Trains an epoch of `split` as one run."""
    group: Any = trained.groups[0] if isinstance(trained, Engine) else trained
    settings = group.settings
    run = Run.of_epoch(
        split,
        [replica.seed for replica in trained.replicas],
        settings.streams,
        epoch=epoch,
        batch_size=settings.batch_size,
    )
    trained.train(run, factors)
    return trained.sums()


def trainer(configuration: Config) -> lightning.Trainer:
    """The Trainer that a cell of this configuration gets."""
    return make_trainer(configuration, max_epochs=configuration.trainer.max_epochs)


def train(
    configuration: Config,
    tiny_data: Data | None = None,
    replicas: Sequence[Replica] | None = None,
) -> Population:
    """A population of the configuration, trained and tested."""
    population = build(configuration, tiny_data, replicas)
    test(fit(population, configuration), population, configuration)
    return population


def train_to(directory: Path, root: Path, *overrides: str) -> dict[str, Any]:
    """Trains the cell of these overrides on an image folder into `directory`; its result.json."""
    own = SMALL[1:] if any(text.startswith("model=") for text in overrides) else SMALL
    composed = _composed((*own, "data=image_folder", f"data.root={root}", *overrides))
    directory.mkdir(parents=True, exist_ok=True)
    train_cell(
        composed.config,
        directory,
        factors=factors(composed.config.mapping, composed.choices),
        threads=composed.config.trainer.threads or 1,
        tick=lambda count: None,
    )
    return read_result(directory)


def states(population: Population) -> Iterator[dict[str, torch.Tensor]]:
    """The last state of each replica, in order."""
    for index in range(len(population.progress)):
        yield population.last_state(index)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two states are the same bit for bit (NaN equals NaN)."""
    return first.keys() == second.keys() and all(
        first[name].numpy().tobytes() == second[name].numpy().tobytes() for name in first
    )
