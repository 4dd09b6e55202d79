"""Studies on disk whose cells are as whole as trained ones: curves, filters, probes."""

import csv
import hashlib
import io
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from study.outputs.metrics import PROBES
from study.outputs.schema import CURVE_COLUMNS
from tests.synthetic import change_result, configure, make_study


def make_whole_study(
    directory: Path,
    factors: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 3,
    epochs: int = 5,
    depth: int = 5,
    filters: tuple[int, int, int, int] = (64, 1, 28, 28),
) -> list[Path]:
    """A finished study over the product of `factors`, its cells as whole as trained ones."""
    paths = make_study(directory, factors, seeds=seeds, rates=(0.003, 0.03, 0.3, 3.0))
    for path in paths:
        fill(path, epochs=epochs, depth=depth, filters=filters)
    return paths


def fill(path: Path, *, epochs: int, depth: int, filters: tuple[int, int, int, int]) -> None:
    """Adds what a trained cell has beside its record, and names it there."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    draw = random.Random(result["signature"])
    (path / "curves.csv").write_bytes(_curves(result, epochs).encode())
    config = {
        "data": {"name": "mnist", "val_size": 5000, "train_size": None, "test_size": None},
        "model": {"name": "mlp", "widths": [64] * depth},
        "optimizer": {"name": "sgd", "lr": [0.003, 0.03, 0.3, 3.0], "momentum": 0.0},
        "trainer": {"max_epochs": epochs},
        "batch_size": 128,
        "outputs_dir": "/secret/place",
    }
    configure(path, yaml.safe_dump(config))
    noise = np.random.default_rng(draw.getrandbits(32))
    images = np.clip(noise.normal(128, 40, filters), 0, 255).astype(np.uint8)
    np.savez_compressed(path / "filters.npz", filters=images)
    digests = {
        name: hashlib.sha256((path / name).read_bytes()).hexdigest()
        for name in ("curves.csv", "config.yaml", "filters.npz")
    }

    def change(record: dict[str, Any]) -> None:
        record["files"] = digests
        record["probes"] = _probes(draw, depth)
        record["provenance"] |= {"command": "study train experiment=x outputs_dir=/secret/place"}

    change_result(path, change)


def _curves(result: Mapping[str, Any], epochs: int) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CURVE_COLUMNS)
    for replica in result["replicas"]:
        for epoch in range(epochs + 1):
            value = replica["val_error"] + (0.9 - replica["val_error"]) * math.exp(-epoch)
            train = (2.3 * value, 0.8 * value) if epoch else ("", "")
            row = (replica["seed"], replica["lr"], epoch, *train, 2.5 * value, value, epoch * 1.3)
            writer.writerow(row)
    return stream.getvalue()


def _probes(draw: random.Random, depth: int) -> dict[str, Any]:
    def layers() -> list[float]:
        return [float(f"{10 ** draw.uniform(-4, 0):.7g}") for _ in range(depth)]

    return {
        name: {"step": step, **{probe: layers() for probe in PROBES}}
        for name, step in (("start", 0), ("end", 390))
    }
