"""Synthetic studies on disk: what a launch would leave, without training, and its tables."""

import csv
import hashlib
import io
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from study.analysis.pivot import Request
from study.analysis.table import render
from study.outputs.metrics import METRIC_KEYS, PROBES, ROW
from study.outputs.schema import seal
from tests.made_records import PROVENANCE

Change = Callable[[dict[str, Any]], None]
ProbeRow = dict[str, Any]
FACTORS: dict[str, list[Any]] = {
    "activation": ["relu", "tanh", "leaky_relu slope=0.01"],
    "init": ["he_normal", "zeros"],
    "norm": ["none", "batch"],
}


def make_study(
    directory: Path,
    factors: Mapping[str, Sequence[Any]] = FACTORS,
    *,
    seeds: int = 5,
    rates: Sequence[float] = (0.01, 0.1, 1.0),
) -> list[Path]:
    """Writes a finished study over the product of `factors`; returns its cells' directories."""
    combinations = [
        dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())
    ]
    cells = [ledger_cell(combination) for combination in combinations]
    write_ledger(directory, cells)
    return [write_result(directory, cell, make_result(cell, seeds, rates)) for cell in cells]


def ledger_cell(factors: Mapping[str, Any], recipe: int = 1) -> dict[str, Any]:
    """An entry of study.json; another `recipe` gives another signature."""
    content = json.dumps([dict(factors), recipe], sort_keys=True)
    signature = hashlib.sha256(content.encode()).hexdigest()
    words = [str(level).partition(" ")[0] for level in factors.values()]
    slug = "-".join(["mnist", "mlp", *words]).replace("/", "")
    return {
        "directory": f"{slug}-{signature[:8]}",
        "signature": signature,
        "factors": {"data": "mnist", "model": "mlp", **factors},
    }


def write_ledger(directory: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """Writes study.json."""
    directory.mkdir(parents=True, exist_ok=True)
    ledger = {
        "schema": 1,
        "study": directory.name,
        "threads": 2,
        "experiment": None,
        "claims": [],
        "cells": list(cells),
        "previous": [],
    }
    (directory / "study.json").write_text(json.dumps(ledger, indent=1), encoding="utf-8")


def make_result(cell: Mapping[str, Any], seeds: int, rates: Sequence[float]) -> dict[str, Any]:
    """A plausible result.json without its seal: drawn from the cell's signature alone."""
    draw = random.Random(cell["signature"])
    level = draw.uniform(0.015, 0.04)
    replicas = [
        _replica(seed, rate, level * (1 + 0.2 * abs(place - 1)), draw)
        for seed in range(seeds)
        for place, rate in enumerate(rates)
    ]
    chosen = min(rates, key=lambda rate: sum(r["val_error"] for r in replicas if r["lr"] == rate))
    edge = {min(rates): "lowest", max(rates): "highest"}.get(chosen) if len(rates) > 1 else None
    return {
        "schema": 1,
        "status": "done",
        "signature": cell["signature"],
        "factors": cell["factors"],
        "replicas": replicas,
        "chosen_lr": chosen,
        "chosen_lr_at_edge": edge,
        "probes": {f"layer{n}": {"start": [0.1] * 12, "end": [0.2] * 12} for n in range(4)},
        "task": "classification",
        "wall_seconds": round(draw.uniform(5, 9), 3),
        "pretraining_seconds": 0.0,
        "files": {"curves.csv": hashlib.sha256(cell["signature"].encode()).hexdigest()},
        "provenance": dict(PROVENANCE),
        "family": cell["signature"],
        "pretraining_updates": 0,
        "config": {},
        "num_train": 55_000,
        "num_val": 5_000,
        "num_test": 10_000,
        "updates_per_epoch": 429,
        "updates": 429 * 10,
    }


def configure(path: Path, text: str) -> None:
    """Gives a cell the configuration that some YAML holds, and its record the counts of it."""
    config = yaml.safe_load(text)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()

    def change(result: dict[str, Any]) -> None:
        result["files"]["config.yaml"] = digest
        result["config"] = config
        result["num_train"] = config.get("data", {}).get("train_size") or 55_000
        result["updates_per_epoch"] = max(1, result["num_train"] // config.get("batch_size", 128))
        result["updates"] = result["updates_per_epoch"] * 10

    change_result(path, change)


def write_result(directory: Path, cell: Mapping[str, Any], result: Mapping[str, Any]) -> Path:
    """Seals and writes a cell's result.json; returns the cell's directory."""
    path = directory / cell["directory"]
    path.mkdir(exist_ok=True)
    sealed = json.dumps(seal(dict(result)), indent=1)
    (path / "result.json").write_text(sealed, encoding="utf-8")
    return path


def make_probes(
    path: Path, *, steps: Sequence[int] = (0, 10, 100), depth: int = 3
) -> list[dict[str, Any]]:
    """Rows of probes.csv for every replica of a cell, in the file's order; all numbers positive."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    draw = random.Random(result["signature"])
    layers = range(1, depth + 1)
    return [
        {"seed": replica["seed"], "lr": replica["lr"], "step": step, "epoch": step, "layer": layer}
        | {name: float(f"{10 ** draw.uniform(-6, 0):.7g}") for name in PROBES}
        for replica, step, layer in itertools.product(result["replicas"], steps, layers)
    ]


def write_probes(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes probes.csv, which the result then names; returns its path."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, (*ROW, *PROBES), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = stream.getvalue().encode()
    (path / "probes.csv").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_result(path, lambda result: result["files"].update({"probes.csv": digest}))
    return path / "probes.csv"


def make_probed_study(directory: Path, depths: tuple[int, ...] = (3, 3)) -> list[Path]:
    """Two cells of three seeds and learning rates, probed after 0, 10 and 100 updates."""
    paths = make_study(directory, {"activation": ["relu", "tanh"]}, seeds=3)
    for path, depth in zip(paths, depths, strict=True):
        write_probes(path, make_probes(path, depth=depth))
    return paths


def change_probes(path: Path, change: Callable[[ProbeRow], Any]) -> None:
    """Changes the rows of a cell's probes.csv, which stays sound."""
    with (path / "probes.csv").open(encoding="utf-8", newline="") as file:
        rows: list[ProbeRow] = list(csv.DictReader(file))
    for row in rows:
        change(row)
    write_probes(path, rows)


def probe_of(path: Path, probe: str, step: int) -> list[list[float]]:
    """A list for each seed at the chosen learning rate: the probe layer by layer."""
    chosen = json.loads((path / "result.json").read_text())["chosen_lr"]
    lines = (path / "probes.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    return [
        [
            float(row[probe])
            for row in rows
            if (int(row["seed"]), float(row["lr"]), int(row["step"])) == (seed, chosen, step)
        ]
        for seed in range(3)
    ]


def change_result(path: Path, change: Change) -> None:
    """Applies `change` to a cell's result and seals it again."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    change(result)
    (path / "result.json").write_text(json.dumps(seal(result), indent=1), encoding="utf-8")


def without_best_weights(path: Path) -> None:
    """Makes of a trained cell one of a version that kept the last epoch's weights alone."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    file = path / "weights.safetensors"
    with safe_open(file, framework="pt") as kept:
        metadata = kept.metadata()
    tensors = {name: value for name, value in load_file(file).items() if "epoch=" not in name}
    save_file(tensors, file, metadata)

    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            del replica["best_weights_sha256"]
        result["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()

    change_result(path, change)


def set_metric(values: Sequence[float | None], metric: str = "test_error") -> Change:
    """A change: the metric at the chosen learning rate, one value per seed."""

    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            if replica["lr"] == result["chosen_lr"]:
                replica[metric] = values[replica["seed"]]

    return change


def diverge(*seeds: int) -> Change:
    """A change: these seeds' replicas at the chosen learning rate have diverged."""

    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            if replica["seed"] in seeds and replica["lr"] == result["chosen_lr"]:
                replica.update(status="diverged", best_epoch=None)
                replica.update(dict.fromkeys(k for k in METRIC_KEYS if "loss" in k))
                replica.update(dict.fromkeys((k for k in METRIC_KEYS if "error" in k), 0.902))

    return change


def rows_of(directory: Path, **request: Any) -> list[dict[str, str]]:
    """The lines of the CSV table that the request gives."""
    text = render(directory, Request(**request), "csv")
    return list(csv.DictReader(io.StringIO(text)))


def metric_of(path: Path, metric: str = "test_error", lr: float | None = None) -> list[float]:
    """A cell's metric seed by seed, at a learning rate or else at the chosen one."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    rate = lr or result["chosen_lr"]
    return [replica[metric] for replica in result["replicas"] if replica["lr"] == rate]


def fail(path: Path, line: str = "RuntimeError: out of memory") -> None:
    """Makes a failed cell of a finished one."""
    (path / "result.json").unlink()
    (path / "error.txt").write_text(f"Traceback:\n  File x\n{line}\n\n", encoding="utf-8")


def _replica(seed: int, rate: float, level: float, draw: random.Random) -> dict[str, Any]:
    replica: dict[str, Any] = {"seed": seed, "lr": rate, "status": "trained"}
    replica["best_epoch"] = draw.randrange(5, 10)
    for key in METRIC_KEYS:
        size = 10_000 if "test" in key else 5_000
        error = round(draw.gauss(level, level / 20) * size) / size
        replica[key] = error if key.endswith("error") else draw.gauss(3 * level, level / 5)
    replica["weights_sha256"] = f"{draw.getrandbits(256):064x}"
    return replica


def write_report_wish(directory: Path, text: str) -> None:
    """Gives the ledger an experiment's file whose `report` holds `text`."""
    ledger = json.loads((directory / "study.json").read_text(encoding="utf-8"))
    content = f"report:\n  {text}\n"
    ledger["experiment"] = {"name": "x", "text": content, "sha256": "", "commit": None}
    (directory / "study.json").write_text(json.dumps(ledger), encoding="utf-8")
