"""Synthetic studies with all that figures are drawn from: curves, probes, filters, a pre-flight."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.files import write_arrays, write_csv
from study.outputs.schema import CURVE_COLUMNS, seal
from study.report.figures import figures
from tests.synthetic import FACTORS, change_result, configure, make_probes, make_study, write_probes


def make_full_study(
    directory: Path, factors: Mapping[str, Sequence[Any]] = FACTORS, *, seeds: int = 3
) -> list[Path]:
    """A finished study of which every figure can be drawn; returns its cells' directories."""
    paths = make_study(directory, factors, seeds=seeds)
    for path in paths:
        write_probes(path, make_probes(path))
        add_curves(path)
        add_filters(path)
    write_preflight(directory, paths)
    return paths


def add_curves(path: Path, num_epochs: int = 4) -> None:
    """curves.csv, which the result then names; errors fall to the replica's own."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    rows = []
    for replica in result["replicas"]:
        for epoch in range(num_epochs + 1):
            left = math.exp(-epoch)
            error = replica["val_error"] * (1 - left) + 0.9 * left
            row = {"val_error": error, "val_loss": 2 * error, "train_error": error}
            row |= {"seed": replica["seed"], "lr": replica["lr"], "epoch": epoch, "seconds": epoch}
            rows.append(row | {"train_loss": 2 * error if epoch else math.nan})
    write_csv(path / "curves.csv", CURVE_COLUMNS, rows)
    name_file(path, "curves.csv")


def add_filters(path: Path, shape: tuple[int, ...] = (64, 1, 9, 9)) -> None:
    """filters.npz, which the result then names."""
    filters = np.arange(math.prod(shape)).reshape(shape) % 251
    write_arrays(path / "filters.npz", {"filters": filters.astype(np.uint8)})
    name_file(path, "filters.npz")


def name_file(path: Path, name: str) -> None:
    """Makes a file one that its cell's record names; a configuration stands in it, too."""
    if name == "config.yaml":
        configure(path, (path / name).read_text(encoding="utf-8"))
        return
    digest = hashlib.sha256((path / name).read_bytes()).hexdigest()
    change_result(path, lambda result: result["files"].update({name: digest}))


def write_preflight(
    directory: Path, paths: Sequence[Path], measured: float = 1.0, seeds: int = 3
) -> None:
    """preflight.json with variances that fall over depth, measured as `measured` x predicted."""
    entries = []
    for path in paths:
        result = json.loads((path / "result.json").read_text(encoding="utf-8"))
        predicted = {
            name: [10.0**-layer for layer in range(3)]
            for name in ("activation_variance", "gradient_variance")
        }
        one = {name: [measured * value for value in each] for name, each in predicted.items()}
        entries.append(
            {
                "directory": path.name,
                "signature": result["signature"],
                "factors": result["factors"],
                "predicted": predicted,
                "measured": [{"seed": seed, "probes": one} for seed in range(seeds)],
            }
        )
    content = seal({"schema": 1, "rules": [], "cells": entries})
    (directory / "preflight.json").write_text(json.dumps(content), encoding="utf-8")


def drawn(directory: Path) -> dict[str, Drawn]:
    """The study's figures by name."""
    found = figures(Frames.read(directory))
    assert len({figure.name for figure in found}) == len(found)
    return {figure.name: figure for figure in found}
