"""Raising `seeds` copies finished replicas and trains the others alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import study.launch.attempt
from study.outputs import reuse
from study.outputs.series import read_curves
from study.training import Population, Replica
from tests import tiny
from tests.synthetic import without_best_weights

ONE_RATE = ("trainer.max_epochs=1",)
TWO_RATES = ("optimizer.lr=[0.01,0.05]", "trainer.max_epochs=2")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Replica]:
    """Every replica that is trained from here on."""
    seen: list[Replica] = []
    build = study.launch.attempt.build_population

    def spy(config: Any, data: Any, replicas: Any, *rest: Any, **keys: Any) -> Population:
        seen.extend(replicas)
        return build(config, data, replicas, *rest, **keys)

    monkeypatch.setattr(study.launch.attempt, "build_population", spy)
    return seen


def numbers(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in replica.items() if key != "copied_from"}
        for replica in record["replicas"]
    ]


def check_same_as_trained(study_dir: Path, root: Path, name: str, *overrides: str) -> None:
    """A cell with copied replicas holds what it would hold had it trained them all."""
    fresh_dir = study_dir.parent / "fresh" / "cell"
    fresh = tiny.train_to(fresh_dir, root, *overrides)
    copied_dir = study_dir / name
    copied = json.loads((copied_dir / "result.json").read_text(encoding="utf-8"))
    assert numbers(copied) == numbers(fresh)
    assert copied["signature"] == fresh["signature"]
    assert copied["chosen_lr"] == fresh["chosen_lr"]
    with (
        np.load(copied_dir / "predictions.npz") as ours,
        np.load(fresh_dir / "predictions.npz") as theirs,
    ):
        assert {key: ours[key].tolist() for key in ours} == {
            key: theirs[key].tolist() for key in theirs
        }
    ours, theirs = (load_file(path / "weights.safetensors") for path in (copied_dir, fresh_dir))
    assert tiny.equal(ours, theirs)
    assert curves(copied_dir) == curves(fresh_dir)


def curves(directory: Path) -> str:
    return str([row | {"seconds": 0} for row in read_curves(directory)])


def test_raising_seeds_copies_what_is_finished(
    root: Path, tmp_path: Path, trained: list[Replica]
) -> None:
    study_dir = tmp_path / "study"
    first = tiny.train_to(study_dir / "two", root, "seeds=2", *ONE_RATE)
    trained.clear()
    second = tiny.train_to(study_dir / "four", root, "seeds=4", *ONE_RATE)
    assert trained == [Replica(2, 0.05), Replica(3, 0.05)]
    assert numbers(second)[:2] == numbers(first)
    for replica in second["replicas"]:
        if replica["seed"] < 2:
            assert replica["copied_from"]["signature"] == first["signature"]
            assert replica["copied_from"]["python"] == first["provenance"]["python"]
        else:
            assert "copied_from" not in replica
    old, new = (
        [row for row in read_curves(study_dir / name) if row["seed"] < 2]
        for name in ("two", "four")
    )
    assert str(old) == str(new)
    check_same_as_trained(study_dir, root, "four", "seeds=4", *ONE_RATE)


def test_lowering_seeds_copies_too(root: Path, tmp_path: Path, trained: list[Replica]) -> None:
    tiny.train_to(tmp_path / "study" / "three", root, "seeds=3", *ONE_RATE)
    trained.clear()
    tiny.train_to(tmp_path / "study" / "one", root, "seeds=[1]", *ONE_RATE)
    assert trained == []
    check_same_as_trained(tmp_path / "study", root, "one", "seeds=[1]", *ONE_RATE)


def test_lowering_seeds_trains_what_was_not_kept_at_another_rate(
    root: Path, tmp_path: Path, trained: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study.launch.attempt, "choose_lr", lambda results: 0.01)
    monkeypatch.setattr("study.outputs.cell.choose_lr", lambda results: 0.01)
    tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *TWO_RATES)
    trained.clear()
    monkeypatch.setattr(study.launch.attempt, "choose_lr", lambda results: 0.05)
    monkeypatch.setattr("study.outputs.cell.choose_lr", lambda results: 0.05)
    tiny.train_to(tmp_path / "study" / "one", root, "seeds=1", *TWO_RATES)
    assert trained == [Replica(0, 0.05)]


def test_another_configuration_copies_nothing(
    root: Path, tmp_path: Path, trained: list[Replica]
) -> None:
    tiny.train_to(tmp_path / "study" / "one", root, *ONE_RATE)
    trained.clear()
    tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", "batch_size=8", *ONE_RATE)
    assert len(trained) == 2


@pytest.mark.parametrize("keep", ["chosen", "all", "none"])
def test_what_was_not_kept_is_trained_again_where_it_is_needed(
    root: Path, tmp_path: Path, trained: list[Replica], monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    weights = f"outputs.weights={keep}"
    monkeypatch.setattr(study.launch.attempt, "choose_lr", lambda results: 0.01)
    monkeypatch.setattr("study.outputs.cell.choose_lr", lambda results: 0.01)
    tiny.train_to(tmp_path / "study" / "one", root, *TWO_RATES, weights)
    trained.clear()
    monkeypatch.setattr(study.launch.attempt, "choose_lr", lambda results: 0.05)
    monkeypatch.setattr("study.outputs.cell.choose_lr", lambda results: 0.05)
    record = tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *TWO_RATES, weights)
    assert set(trained) == {Replica(1, 0.01), Replica(1, 0.05), Replica(0, 0.05)}
    assert len(trained) == 3
    assert record["chosen_lr"] == 0.05
    assert len(record["replicas"]) == 4


def test_weights_of_every_rate_are_copied_where_all_were_kept(
    root: Path, tmp_path: Path, trained: list[Replica]
) -> None:
    keep = "outputs.weights=all"
    tiny.train_to(tmp_path / "study" / "one", root, *TWO_RATES, keep)
    trained.clear()
    record = tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *TWO_RATES, keep)
    assert record["chosen_lr"] == 0.05
    assert set(trained) == {Replica(1, 0.01), Replica(1, 0.05)}
    check_same_as_trained(tmp_path / "study", root, "two", "seeds=2", *TWO_RATES, keep)


def test_weights_that_are_asked_for_later_are_trained_again(
    root: Path, tmp_path: Path, trained: list[Replica]
) -> None:
    tiny.train_to(tmp_path / "study" / "one", root, *ONE_RATE, "outputs.weights=none")
    trained.clear()
    tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *ONE_RATE)
    assert set(trained) == {Replica(0, 0.05), Replica(1, 0.05)}
    check_same_as_trained(tmp_path / "study", root, "two", "seeds=2", *ONE_RATE)


def test_the_best_epochs_weights_of_an_older_record_are_trained_again(
    root: Path, tmp_path: Path, trained: list[Replica]
) -> None:
    own = ("optimizer.lr=[0.05,0.4]", "trainer.max_epochs=4")
    first = tiny.train_to(tmp_path / "study" / "one", root, "seeds=2", *own)
    without_best_weights(tmp_path / "study" / "one")
    chosen = [each for each in first["replicas"] if each["lr"] == first["chosen_lr"] == 0.05]
    assert [each["best_epoch"] == 4 for each in chosen] == [False, True]
    for keep, again in (("none", []), ("chosen", [Replica(0, 0.05)])):
        trained.clear()
        tiny.train_to(tmp_path / "study" / keep, root, "seeds=3", *own, f"outputs.weights={keep}")
        assert trained == [Replica(2, 0.05), Replica(2, 0.4), *again]
        shutil.rmtree(tmp_path / "study" / "none", ignore_errors=True)
    fresh = tmp_path / "fresh" / "cell"
    tiny.train_to(fresh, root, "seeds=3", *own)
    ours, theirs = (
        load_file(path / "weights.safetensors") for path in (tmp_path / "study" / "chosen", fresh)
    )
    assert tiny.equal(ours, theirs)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def rewritten(path: Path) -> None:
    """Sound JSON of the same family, but not a record."""
    record = json.loads(path.read_text(encoding="utf-8"))
    record["replicas"] = [1, None]
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("damage", [truncated, emptied, altered, Path.unlink])
@pytest.mark.parametrize(
    "name", ["result.json", "curves.csv", "predictions.npz", "weights.safetensors"]
)
def test_a_damaged_record_is_passed_over(
    root: Path, tmp_path: Path, trained: list[Replica], name: str, damage: Callable[[Path], None]
) -> None:
    tiny.train_to(tmp_path / "study" / "one", root, *ONE_RATE)
    damage(tmp_path / "study" / "one" / name)
    trained.clear()
    record = tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *ONE_RATE)
    assert set(trained) == {Replica(0, 0.05), Replica(1, 0.05)}
    assert not any("copied_from" in replica for replica in record["replicas"])


def test_a_foreign_record_is_passed_over(root: Path, tmp_path: Path) -> None:
    tiny.train_to(tmp_path / "study" / "one", root, *ONE_RATE)
    rewritten(tmp_path / "study" / "one" / "result.json")
    record = tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *ONE_RATE)
    assert not any("copied_from" in replica for replica in record["replicas"])


def test_each_record_is_looked_at_once_however_many_cells_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def spy(path: Path) -> dict[str, Any]:
        read.append(path.parent.name)
        return real(path)

    real = reuse.read_json
    monkeypatch.setattr(reuse, "read_json", spy)
    (tmp_path / "report").mkdir()
    for number in range(5):
        assert reuse.finished_replicas(tmp_path, "mine", [0], with_weights=False) == []
        cell = tmp_path / f"cell-{number}"
        cell.mkdir()
        (cell / "result.json").write_text('{"family": "other"}', encoding="utf-8")
    assert [name for name in read if name != "report"] == [f"cell-{n}" for n in range(4)]
