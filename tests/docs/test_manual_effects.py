"""What each key changes is what study.config.keys says: bits, rounding or results."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from docs import manual, quoted
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import flatten
from study.config.keys import KEYS
from study.launch.cell import train_cell
from study.launch.reproduce.comparable import comparable, differences
from study.launch.reproduce.comparison import are_numbers, kind_of
from tests import tiny

DOCUMENT = Path(__file__).parents[2] / "docs/reproducibility.md"
BASE = (
    "seeds=2", "optimizer.lr=[0.01,0.05]", "norm=batch", "model.dropout=0.2", "input_noise=0.1",
    "probes=default", "trainer.max_epochs=2", "pretraining=denoising_autoencoder",
    "pretraining.epochs=1", "population.engine=stacked", "pairs.points=3",
)  # fmt: skip
ROUNDING: dict[str, str | None] = {
    "trainer.accelerator": "trainer.accelerator=auto",
    "trainer.devices": None,
    "trainer.threads": "trainer.threads=2",
    "population.engine": "population.engine=sequential",
    "population.products": "population.products=numpy",
    "population.compile": None,
    "population.max_replicas": "population.max_replicas=3",
}
"""Another value of each key; None: it has no other, or (compile) test_engine.py trains with it."""
NONE: dict[str, str] = {
    "study": "study=another",
    "outputs_dir": "outputs_dir=elsewhere",
    "data.root": "data.root=ELSEWHERE",
    "data.cache": "data.cache=ELSEWHERE",
    "outputs.weights": "outputs.weights=none",
    "outputs.tensorboard": "outputs.tensorboard=replicas",
    "trainer.checkpoint_seconds": "trainer.checkpoint_seconds=0",
    "trainer.detect_anomaly": "trainer.detect_anomaly=true",
    "trainer.profiler": "trainer.profiler=simple",
    "trainer.enable_progress_bar": "trainer.enable_progress_bar=false",
    "logger": "logger=[csv]",
    "sweep.max_failures": "sweep.max_failures=1",
    "sweep.exclude": "sweep.exclude=[{activation: relu}]",
    "report.tables": "report.tables=[--metric val_error]",
    "claims": "claims=[]",
}
ROUNDING_LIMIT = 1e-9
"""Of each number: what float64's rounding of 1e-16 has become after a few updates."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same images in two directories."""
    first, second = (tiny.folder(tmp_path_factory.mktemp(name)) for name in ("one", "two"))
    return first, second


def train(directory: Path, roots: tuple[Path, Path], *overrides: str) -> dict[str, Any]:
    """What is comparable of a cell that is trained as a launch trains it."""
    small = tiny.SMALL[1:] if "model=cnn" in overrides else tiny.SMALL
    given = [text.replace("ELSEWHERE", str(roots[1])) for text in overrides]
    with hydra_ready():
        composed = compose_cell(
            [*small, "data=image_folder", f"data.root={roots[0]}", *BASE, *given]
        )
    directory.mkdir(parents=True)
    threads = composed.config.trainer.threads or 1
    train_cell(composed.config, directory, factors={}, threads=threads, tick=lambda count: None)
    return comparable(directory)


@pytest.fixture(scope="module")
def usual(roots: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return train(tmp_path_factory.mktemp("study") / "cell", roots)


def changing(effect: str) -> set[str]:
    return {name for name, key in KEYS.items() if key.effect == effect}


def test_every_key_that_changes_no_result_is_tried() -> None:
    """A new key needs its line here: one that is trained with another value."""
    assert ROUNDING.keys() == changing("rounding")
    elsewhere = {"trainer.fast_dev_run", "levels"}  # keeps nothing; names a folder (test_own.py)
    assert NONE.keys() == changing("none") - elsewhere


def test_each_is_tried_with_another_value() -> None:
    with hydra_ready():
        base = dict(flatten(compose_cell([*tiny.SMALL, *BASE]).config.mapping))
        for name, override in {**ROUNDING, **NONE}.items():
            if override and name != "claims":
                (changed,) = (
                    dict(flatten(compose_cell([*tiny.SMALL, *BASE, override]).config.mapping)),
                )
                assert {key for key in base if changed[key] != base[key]} == {name}


@pytest.mark.parametrize("name", NONE)
def test_a_key_without_effect_changes_no_bit(
    roots: tuple[Path, Path], tmp_path: Path, usual: dict[str, Any], name: str
) -> None:
    changed = train(tmp_path / "study" / "cell", roots, NONE[name])
    expected = dict(usual)
    if name == "outputs.weights":
        assert changed.pop("weights") == {}
        expected.pop("weights")
        for content in (changed, expected):
            content["record"] = {k: v for k, v in content["record"].items() if k != "files"}
    assert differences(expected, changed) == []


@pytest.mark.parametrize("name", [name for name, override in ROUNDING.items() if override])
def test_a_key_of_rounding_changes_the_last_digits_alone(
    roots: tuple[Path, Path], tmp_path: Path, usual: dict[str, Any], name: str
) -> None:
    changed = train(tmp_path / "study" / "cell", roots, str(ROUNDING[name]))
    for found in differences(usual, changed):
        if kind_of(found.place) != "":
            assert are_numbers(found), found
            limit = ROUNDING_LIMIT if kind_of(found.place) != "probes" else 1e-5
            assert found.first == pytest.approx(found.second, rel=limit, abs=ROUNDING_LIMIT), found
    assert changed["record"]["signature"] == usual["record"]["signature"]


@pytest.mark.parametrize(
    "other",
    [
        ("trainer.precision=32-true", "activation=tanh", "optimizer=adam"),
        ("model=cnn", "model.channels=[[2]]", "model.head=[]", "data.normalize=unit"),
        ("seeds=[7,8]", "population.engine=sequential", "trainer.threads=2"),
    ],
)
def test_what_was_trained_before_changes_no_bit(
    roots: tuple[Path, Path], tmp_path: Path, usual: dict[str, Any], other: tuple[str, ...]
) -> None:
    train(tmp_path / "other" / "cell", roots, *other)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    torch.rand(3)
    assert differences(usual, train(tmp_path / "study" / "cell", roots)) == []


def test_nor_does_another_cell_of_the_study(
    roots: tuple[Path, Path], tmp_path: Path, usual: dict[str, Any]
) -> None:
    """Whether it finds pretrained weights that another cell has kept, or trains them itself."""
    train(
        tmp_path / "study" / "other",
        roots,
        "optimizer.lr=0.02",
        "norm.eps=1e-5",
        "loss=squared_error",
    )
    assert differences(usual, train(tmp_path / "study" / "cell", roots)) == []


def test_the_document_has_every_key() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert quoted.refreshed(text, {"study effects": manual.printed_effects}) == text, (
        "stale: run `make published`"
    )
    rows = re.findall(r"^\| `(\S+)` \| `(result|rounding|none)` \|", text, re.MULTILINE)
    assert rows == [(name, key.effect) for name, key in KEYS.items()]
