"""preflight.json: what was predicted and measured before training, for a report to score."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.files import write_json
from study.locks import while_owned
from study.outputs.schema import SCHEMA, read_sealed, seal
from study.theory.preflight.rules import RULES

if TYPE_CHECKING:
    from study.config.sweep import Cell
    from study.theory.preflight.signal_check import SignalCheck

FILE = "preflight.json"
Entry = dict[str, Any]
"""A cell of the file, as JSON has it."""


def write_checks(
    directory: Path, cells: Sequence[Cell], checks: Sequence[SignalCheck], *, replace: bool
) -> Path:
    """Writes preflight.json into a study's directory, sealed; returns its path.

    `replace` starts a new list of cells; else these are added to the file's, each in the place of
    one of its signature. A file that is damaged, or of another version's rules, is replaced.
    """
    path = directory / FILE

    def record() -> None:
        kept = {}
        if not replace:
            with contextlib.suppress(OSError, ValueError):
                kept = {cell["signature"]: cell for cell in read_checks(path)}
        for cell, check in zip(cells, checks, strict=True):
            kept[cell.signature] = entry(cell, check)
        content = {"schema": SCHEMA, "rules": _rules(), "cells": list(kept.values())}
        write_json(path, seal(content))

    while_owned(directory, record, files=(FILE,))
    return path


def read_checks(path: Path) -> list[Entry]:
    """The cells of a preflight.json; ValueError says what is wrong with it."""
    content = read_sealed(path)
    if content["rules"] != _rules():
        raise ValueError("its flags come from other rules than this version's")
    return list(content["cells"])


def _rules() -> list[dict[str, str]]:
    return [{"code": rule.code, "name": rule.name, "rule": rule.statement} for rule in RULES]


def entry(cell: Cell, check: SignalCheck) -> Entry:
    """A cell's entry: by probe a list over layers, predicted once and measured for each seed.

    A number that is not known or not finite is null. `flags` are those of the prediction, and of
    each seed's measurement.
    """
    return {
        "directory": cell.directory,
        "signature": cell.signature,
        "factors": cell.factors,
        "pretrained": cell.config.pretraining.name != "none",
        "num_examples": check.num_examples,
        "inputs": check.inputs,
        "layers": [
            {
                "kind": "convolution" if shape.convolves else "dense",
                "fan_in": shape.fan_in,
                "fan_out": shape.fan_out,
                "units": shape.units,
            }
            for shape in check.layers
        ],
        "predicted": _finite(check.predicted),
        "measured": [
            {"seed": seed, "probes": _finite(numbers)} for seed, numbers in check.measured.items()
        ],
        "flags": {
            "predicted": check.predicted_flags,
            "measured": check.measured_flags,
            "seeds": [
                {"seed": seed, "codes": codes} for seed, codes in check.flags_of_seeds.items()
            ],
        },
        "error": check.error,
    }


def _finite(numbers: Mapping[str, Sequence[float]]) -> dict[str, list[float | None]]:
    return {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in numbers.items()
    }
