"""How a cell's replicas are trained together: recorded, and changing rounding alone."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from study.outputs.results import WEIGHTS_SHA256
from tests import tiny

GRID = ("seeds=3", "optimizer.lr=[0.002,0.01]", "norm=batch", "outputs.weights=all")
STACKED = "population.engine=stacked"


@pytest.fixture(scope="module")
def whole(root: Path) -> dict[str, Any]:
    """The record of a cell whose replicas were trained as one stack."""
    return tiny.train_to(root.parent / "whole" / "cell", root, *GRID, STACKED)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(directory / "weights.safetensors"))


@pytest.mark.parametrize(
    ("overrides", "engine", "packing"),
    [
        ((STACKED,), "stacked", [6]),
        (("population.engine=sequential",), "sequential", [1] * 6),
        (("population.engine=auto",), "stacked", [6]),
        (("population.engine=auto", "model=cnn", "model.head=[4]"), "sequential", [1] * 6),
        ((STACKED, "population.max_replicas=4"), "stacked", [4, 2]),
        ((STACKED, "population.max_replicas=1"), "sequential", [1] * 6),
        ((STACKED, "seeds=1", "optimizer.lr=0.01"), "sequential", [1]),
    ],
)
def test_the_record_says_how_the_replicas_were_packed(
    root: Path, tmp_path: Path, overrides: tuple[str, ...], engine: str, packing: list[int]
) -> None:
    short = ("trainer.max_epochs=1", *GRID, *overrides)
    provenance = tiny.train_to(tmp_path / "study" / "cell", root, *short)["provenance"]
    assert (provenance["engine"], provenance["packing"]) == (engine, packing)
    groups = [group for population in provenance["populations"] for group in population]
    assert [len(group) for group in groups] == packing


def test_the_record_names_those_that_were_trained_together(root: Path, tmp_path: Path) -> None:
    parts = ("seeds=2", "population.max_replicas=3", "trainer.max_epochs=1")
    record = tiny.train_to(tmp_path / "study" / "two", root, *GRID, STACKED, *parts)
    assert record["provenance"]["populations"] == [
        [["seed=0,lr=0.002", "seed=1,lr=0.002", "seed=0,lr=0.01"]], [["seed=1,lr=0.01"]],
    ]  # fmt: skip
    grown = tiny.train_to(tmp_path / "study" / "three", root, *GRID, STACKED, *parts, "seeds=3")
    assert grown["provenance"]["populations"] == [[["seed=2,lr=0.002", "seed=2,lr=0.01"]]]
    assert grown["replicas"][0]["copied_from"]["populations"] == []


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 100])
def test_max_replicas_gives_the_same_results(
    root: Path, tmp_path: Path, whole: dict[str, Any], limit: int
) -> None:
    directory = tmp_path / "study" / "cell"
    record = tiny.train_to(directory, root, *GRID, STACKED, f"population.max_replicas={limit}")
    assert max(record["provenance"]["packing"]) <= limit
    assert sum(record["provenance"]["packing"]) == 6
    assert record["chosen_lr"] == whole["chosen_lr"]
    for mine, other in zip(record["replicas"], whole["replicas"], strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                assert mine[name] == pytest.approx(value, rel=1e-9), name
            elif name not in WEIGHTS_SHA256:
                assert mine[name] == value, name
    expected = weights(root.parent / "whole" / "cell")
    for name, value in weights(directory).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-11)


def test_max_replicas_changes_no_signature(
    root: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    limited = tiny.train_to(tmp_path / "study" / "cell", root, *GRID, "population.max_replicas=3")
    assert limited["signature"] == whole["signature"]


def test_no_curve_is_drawn_twice_where_the_replicas_train_in_parts(
    root: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, *GRID, STACKED, "population.max_replicas=2")
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert all(first < second for first, second in itertools.pairwise(steps)), tag
