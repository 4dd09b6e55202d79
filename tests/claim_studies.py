"""Synthetic studies with claims: an effect is planted, and the study is asked about it."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.analysis.claims import decide
from study.analysis.frames import Frames
from study.analysis.parts import Verdict
from tests.synthetic import change_result, make_study, set_metric

LEVELS = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}
CLAIM: dict[str, Any] = {
    "id": "better",
    "statement": "BatchNorm helps.",
    "source": "lecture",
    "measure": "difference",
    "of": "test_error",
    "cells": {"norm": "batch", "activation": "relu"},
    "against": {"norm": "none"},
    "expect": "lower by 2 points",
}
Number = float | Callable[[int, float], float]
PLACES = {("relu", "none"): 0, ("relu", "batch"): 1, ("tanh", "none"): 2, ("tanh", "batch"): 3}


def claim(**changes: Any) -> dict[str, Any]:
    """CLAIM with other keys; None takes one out."""
    changed = {**CLAIM, **{key.rstrip("_"): value for key, value in changes.items()}}
    return {key: value for key, value in changed.items() if value is not None}


def planted(
    directory: Path,
    errors: Mapping[tuple[str, str], Sequence[float]],
    *,
    rates: Sequence[float] = (0.01, 0.1, 1.0),
) -> list[Path]:
    """A study of activation x norm whose cells have these test errors in percent, by seed."""
    num_seeds = max(map(len, errors.values()))
    paths = make_study(directory, LEVELS, seeds=num_seeds, rates=rates)
    for cell, values in errors.items():
        change_result(paths[PLACES[cell]], set_metric([value / 100 for value in values]))
    return paths


def ask(directory: Path, *claims: Any, **ledger: Any) -> list[Verdict]:
    """What the study says of the claims, once they are in its ledger."""
    path = directory / "study.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= {"claims": list(claims), **ledger}
    path.write_text(json.dumps(content), encoding="utf-8")
    return list(decide(Frames.read(directory)))


def verdict(directory: Path, **changes: Any) -> Verdict:
    """The verdict on one claim."""
    return ask(directory, claim(**changes))[0]


def at_every_rate(path: Path, number: Number, key: str) -> None:
    """Gives each replica of a cell a number, or that of its seed and learning rate."""

    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            of_replica = number(replica["seed"], replica["lr"]) if callable(number) else number
            replica[key] = of_replica

    change_result(path, change)


def good_up_to(highest: float) -> Number:
    """An error of 10 % up to a learning rate, and of 30 % above it."""
    return lambda seed, lr: 0.1 if lr <= highest else 0.3


def write_curves(path: Path, curves: Mapping[int, Sequence[float]], seconds: Number = 0.0) -> None:
    """The validation errors of each seed at the chosen learning rate, from epoch 0.

    `seconds`: until an epoch's end, or those by seed and epoch.
    """
    rate = json.loads((path / "result.json").read_text(encoding="utf-8"))["chosen_lr"]
    stream = io.StringIO()
    names = ["seed", "lr", "epoch", "train_loss", "train_error", "val_loss", "val_error", "seconds"]
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    for seed, curve in curves.items():
        for epoch, error in enumerate(curve):
            passed = seconds(seed, epoch) if callable(seconds) else seconds
            row = {"seed": seed, "lr": rate, "epoch": epoch, "val_error": error}
            writer.writerow({**row, "seconds": passed})
    _named(path, "curves.csv", stream.getvalue().encode())


def _named(path: Path, name: str, content: bytes) -> None:
    """Writes a file of a cell, which its record then names."""
    (path / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_result(path, lambda result: result["files"].update({name: digest}))
