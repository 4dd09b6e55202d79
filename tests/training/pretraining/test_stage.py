"""Cells share pretrained weights, count what they cost, and start from them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from study.training.pretraining.cache import cache_directory
from tests import tiny


def record_of(root: Path, name: str, *overrides: str) -> dict[str, Any]:
    own = ("pretraining=autoencoder", "pretraining.epochs=2", "pretraining.batch_size=16")
    return tiny.train_to(root.parent / "study" / name, root, *own, "seeds=2", *overrides)


def test_a_cell_with_another_learning_rate_pretrains_nothing(root: Path) -> None:
    first = record_of(root, "first")
    cache = root.parent / "study" / "pretraining"
    files = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    second = record_of(root, "second", "optimizer.lr=0.01")
    after = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    assert after == files
    assert len(list(cache.rglob("seed=*.safetensors"))) == 2
    assert list(cache.rglob("events.out.tfevents.*"))
    for key in ("pretraining_seconds", "pretraining_updates"):
        assert second[key] == first[key] > 0
    assert first["pretraining_updates"] == 2 * 2 * (_num_train(first, root) // 16)


def _num_train(record: dict[str, Any], root: Path) -> int:
    from study.data import prepare

    config = tiny.config("data=image_folder", f"data.root={root}")
    return len(prepare(config.data).train)


def test_a_record_counts_every_seed_copied_or_not(root: Path) -> None:
    record_of(root, "two")
    three = record_of(root, "three", "seeds=3")
    hashes = three["pretraining"]["sha256"]
    assert sorted(hashes) == ["0", "1", "2"]
    again = record_of(root, "again", "seeds=[1,2]")
    assert again["pretraining"]["sha256"] == {seed: hashes[seed] for seed in ("1", "2")}
    assert 0 < again["pretraining_seconds"] < three["pretraining_seconds"]
    assert again["pretraining_updates"] == three["pretraining_updates"]


def test_each_training_has_its_own_run_of_tensorboard(root: Path) -> None:
    record_of(root, "parts", "pretraining.epochs=1", "population.max_replicas=1")
    runs = [path.name for path in (root.parent / "study/pretraining").rglob("seeds=*")]
    assert {"seeds=0", "seeds=1"} <= set(runs)


def test_weights_that_are_not_finite_are_said_to_be(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    too_large = ("pretraining.lr=1e38", "trainer.precision=32-true")
    record_of(root, "wild", "pretraining.optimizer=sgd", *too_large)
    assert "the pretraining of seed 0 diverged" in caplog.text


def test_an_equal_budget_trains_for_as_many_more_updates(root: Path) -> None:
    few = ("data.train_size=20", "batch_size=9")
    record = record_of(root, "budget", "pretraining.equal_budget=true", *few)
    assert (record["pretraining_seconds"], record["pretraining_updates"]) == (0.0, 0)
    rows = (root.parent / "study/budget/curves.csv").read_text().splitlines()
    updates, per_epoch = 2 * 2 * (_num_train(record, root) // 16), 20 // 9
    extra = -(-updates // per_epoch)
    epochs = [int(row.split(",")[2]) for row in rows[1:]]
    assert max(epochs) == 2 + extra


def test_replicas_start_from_the_kept_weights(root: Path) -> None:
    """Training at a rate that changes nothing leaves what pretraining kept."""
    record = record_of(root, "still", "optimizer.lr=1e-300", "trainer.max_epochs=1")
    signature = record["pretraining"]["signature"]
    cache = cache_directory(root.parent / "study", "autoencoder", signature)
    kept = load_file(cache / "seed=1.safetensors")
    weights = load_file(root.parent / "study/still/weights.safetensors")
    for name, value in kept.items():
        torch.testing.assert_close(weights[f"seed=1,lr=1e-300/{name}"], value)
