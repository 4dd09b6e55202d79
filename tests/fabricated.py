"""Results that were never trained: what a cell's replicas leave, drawn at random."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from study.data import Data, Split, fit_normalization
from study.outputs.metrics import METRIC_KEYS, PROBES
from study.outputs.results import ReplicaResult, TrainedReplica

RATES = (0.003, 0.03, 0.3, 3.0)
BEST = 0.3
STEPS = (0, 4, 17, 68, 395)
BATCHNORM = ("gamma_mean", "gamma_std", "beta_mean", "beta_std")


def data(
    *,
    shape: tuple[int, int, int] = (1, 28, 28),
    classes: Sequence[str] = tuple("0123456789"),
    num_test: int = 500,
    normalize: str = "standard",
) -> Data:
    """A data set of noise, in memory."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num_test, *shape), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, len(classes), (num_test,), generator=draw)
    fitted = fit_normalization(normalize, images, zca_epsilon=1e-2)
    split = Split(fitted(images), labels)
    return Data(split, split, split, tuple(classes), "noise", fitted)


def results(
    data: Data,
    *,
    seeds: int = 3,
    rates: Sequence[float] = RATES,
    num_layers: int = 5,
    num_units: int = 64,
    num_epochs: int = 5,
) -> list[TrainedReplica]:
    """A replica for each seed and learning rate; those of the second last rate are the best."""
    draw = np.random.default_rng(0)
    return [
        _result(draw, data, seed, lr, 0.05 * (1 + abs(rates.index(lr) - len(rates) + 2)), size)
        for seed in range(seeds)
        for lr in rates
        for size in [(num_layers, num_units, num_epochs)]
    ]


def _result(
    draw: np.random.Generator,
    data: Data,
    seed: int,
    lr: float,
    error: float,
    size: tuple[int, int, int],
) -> TrainedReplica:
    num_layers, num_units, num_epochs = size
    error *= 1 + 0.1 * draw.random()
    labels = data.test.labels.numpy()
    wrong = draw.random(len(labels)) < error
    predictions = np.where(wrong, (labels + 1 + labels % 2) % data.num_classes, labels)
    weight = draw.standard_normal((num_units, math.prod(data.input_shape)))
    return TrainedReplica(
        entry(seed, lr, error, 2 * error),
        [_epoch(epoch, error) for epoch in range(num_epochs + 1)],
        predictions,
        {"blocks.0.layer.weight": torch.from_numpy(weight).float()},
        [_row(draw, step, layer) for step in STEPS for layer in range(1, num_layers + 1)],
        {
            (step, layer, kind): draw.standard_normal(4096).astype(np.float32)
            for step in (STEPS[0], STEPS[2], STEPS[-1])
            for layer in range(1, num_layers + 1)
            for kind in ("activation", "gradient")
        },
    )


def entry(seed: int, lr: float, error: Any, loss: Any = 1.0, **more: Any) -> ReplicaResult:
    """A replica's entry of a record, with one error and one loss."""
    numbers = {key: error if key.endswith("error") else loss for key in METRIC_KEYS}
    told = {"status": "trained", "best_epoch": 1, "weights_sha256": "0", **numbers, **more}
    return ReplicaResult(seed=seed, lr=lr, **told)


def _epoch(epoch: int, error: float) -> dict[str, Any]:
    value = error + (0.9 - error) * math.exp(-epoch)
    train = value if epoch else math.nan
    return {"epoch": epoch, "train_loss": 2 * train, "train_error": train,
            "val_loss": 2 * value, "val_error": value, "seconds": float(epoch)}  # fmt: skip


def _row(draw: np.random.Generator, step: int, layer: int) -> dict[str, Any]:
    """What is measured of one layer at one moment: not everything always is."""
    row: dict[str, Any] = {"step": step, "epoch": step // 79, "layer": layer}
    row |= {name: float(f"{10 ** draw.uniform(-3, 0):.7g}") for name in PROBES}
    if step not in (STEPS[0], STEPS[-1]):
        row["effective_rank"] = math.nan
    if step < STEPS[-1]:
        row["dead_fraction_train"] = None
    if step == 0:
        del row["update_ratio"]
    return row


def without(result: TrainedReplica, **changes: Any) -> TrainedReplica:
    """A replica as it is copied from an earlier record: without samples and predictions."""
    kept: Mapping[str, Any] = {
        "entry": result.entry,
        "curve": result.curve,
        "probes": result.probes,
    }
    return TrainedReplica(**{**kept, **changes})
