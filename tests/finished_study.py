"""A small finished study to damage, and what a command may say of it."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from study.__main__ import main
from tests.tiny_launch import TINY

Output = pytest.CaptureFixture[str]
SWEEP = (
    *("train", "-m", *TINY, "activation=relu,tanh", "outputs_dir=.", "study=s"),
    *("seeds=2", "pairs.points=3"),
)
CELL_FILES = (
    *("result.json", "config.yaml", "curves.csv", "probes.csv", "pairs.csv"),
    *("predictions.npz", "filters.npz", "weights.safetensors"),
)
READERS = (
    ["status", "s"],
    ["status", "s", "--json"],
    ["table", "s"],
    ["verify", "s"],
    ["clean", "s"],
)

bounded = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def train(path: Path) -> Path:
    """A directory, and in it a finished study of two cells."""
    with contextlib.chdir(path):
        assert main(SWEEP) == 0
    return path


def copied(trained: Path, scratch: Path) -> Path:
    shutil.rmtree(scratch)
    shutil.copytree(trained, scratch)
    return scratch / "s"


def cells_of(study: Path) -> list[Path]:
    return sorted(path.parent for path in study.glob("mnist-*/config.yaml"))


def contents(cell: Path) -> dict[str, str]:
    """A hash of each of the files that make a finished cell."""
    return {
        name: hashlib.sha256((cell / name).read_bytes()).hexdigest()
        for name in CELL_FILES
        if (cell / name).is_file()
    }


def said(capsys: Output, status: int) -> str:
    """What a command said; of bad input it must be one line."""
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    if status == 2:
        assert err.startswith("study: ")
        assert err.count("\n") == 1
    return str(out + err)


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key])
