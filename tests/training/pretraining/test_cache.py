"""Pretrained weights are trained once, kept whole, and shared by the cells that need them."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.outputs.checkpoint import (
    CHECKPOINT,
    UNFIT,
    Checkpoint,
    UnfitCheckpoint,
    write_checkpoint,
)
from study.training.pretraining.cache import (
    Pretrained,
    Result,
    Row,
    cache_directory,
    pretrained,
    pretraining_signature,
)
from tests import tiny
from tests.test_locks import taken_over

SIGNATURE = "ab" * 32


class Training:
    """Counts what it is asked to train; the weights are a function of the seed."""

    def __init__(self, offset: float = 0.0) -> None:
        self.asked: list[list[int]] = []
        self.offset = offset

    def __call__(self, seeds: list[int], checkpoint: Checkpoint | None) -> Result:
        self.asked.append(seeds)
        states = {seed: {"w": torch.arange(100.0) + seed + self.offset} for seed in seeds}
        rows: dict[int, list[Row]] = {seed: [{"layer": 1, "epoch": 1}] for seed in seeds}
        return Result(states, rows, 7, {"seeds": ",".join(map(str, seeds))})


def states(found: dict[int, Pretrained]) -> dict[int, list[float]]:
    return {seed: one.state["w"].tolist() for seed, one in found.items()}


def test_a_seed_is_trained_once(tmp_path: Path) -> None:
    training = Training()
    first = pretrained(tmp_path, SIGNATURE, [0, 1], training)
    again = pretrained(tmp_path, SIGNATURE, [1, 0, 2], training)
    assert training.asked == [[0, 1], [2]]
    assert states(again)[0] == states(first)[0]
    assert [one.updates for one in again.values()] == [7, 7, 7]
    assert first[0].seconds == again[0].seconds


def test_a_cut_off_write_is_removed_by_the_next_run_and_no_owners_is(tmp_path: Path) -> None:
    names = (f".{CHECKPOINT}.1.partial", ".seed=0.safetensors.1.partial", ".owner.json.a.1.partial")
    for name in names:
        (tmp_path / name).touch()
    pretrained(tmp_path, SIGNATURE, [0], Training())
    assert [(tmp_path / name).exists() for name in names] == [False, False, True]


def test_one_that_wakes_up_late_uses_what_the_other_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    theirs = pretrained(there, SIGNATURE, [0, 1], Training(offset=0.5))
    training = Training()

    def train(seeds: list[int], checkpoint: Checkpoint | None) -> Result:
        with taken_over(here):
            for path in there.iterdir():
                shutil.copyfile(path, here / path.name)
        return training(seeds, checkpoint)

    assert states(pretrained(here, SIGNATURE, [0, 1], train)) == states(theirs)
    assert training.asked == [[0, 1]]
    assert capsys.readouterr().err.count("what it did there is dropped") == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }


def test_a_checkpoint_of_other_code_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, {"seeds": [0]}, {"layers": []})
    training = Training()

    def train(seeds: list[int], checkpoint: Checkpoint | None) -> Result:
        if checkpoint is not None:
            raise UnfitCheckpoint("it lacks a layer")
        return training(seeds, checkpoint)

    assert list(pretrained(tmp_path, SIGNATURE, [0, 1], train)) == [0, 1]
    assert training.asked == [[0, 1]]
    assert (tmp_path / UNFIT).exists()
    assert "it lacks a layer" in caplog.text


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def flip_header(path: Path) -> None:
    content = path.read_bytes()
    assert b'"updates":"7"' in content
    path.write_bytes(content.replace(b'"updates":"7"', b'"updates":"8"'))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, flip_header, empty])
def test_a_damaged_file_is_named_and_rebuilt(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    training = Training()
    whole = states(pretrained(tmp_path, SIGNATURE, [0, 1], training))
    damage(tmp_path / "seed=1.safetensors")
    assert states(pretrained(tmp_path, SIGNATURE, [0, 1], training)) == whole
    assert training.asked == [[0, 1], [0, 1]]
    assert "seed=1.safetensors is damaged" in caplog.text
    caplog.clear()
    assert states(pretrained(tmp_path, SIGNATURE, [0, 1], training)) == whole
    assert training.asked == [[0, 1], [0, 1]]
    assert not caplog.text


def test_a_file_of_another_pretraining_or_seed_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training()
    pretrained(tmp_path, "cd" * 32, [0], training)
    pretrained(tmp_path, SIGNATURE, [0], training)
    (tmp_path / "seed=0.safetensors").rename(tmp_path / "seed=3.safetensors")
    pretrained(tmp_path, SIGNATURE, [3], training)
    assert training.asked == [[0], [0], [3]]
    assert caplog.text.count("it is of another pretraining") == 1
    assert caplog.text.count("it holds the weights of seed 0") == 1


def test_of_two_at_once_one_trains(tmp_path: Path) -> None:
    training, found = Training(), []
    begin = threading.Barrier(2)

    def work() -> None:
        begin.wait()
        found.append(states(pretrained(tmp_path, SIGNATURE, [0, 1], training)))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert training.asked == [[0, 1]]
    assert found[0] == found[1]


def test_a_failed_training_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    def fail(seeds: list[int], checkpoint: Checkpoint | None) -> Result:
        raise RuntimeError("out of power")

    with pytest.raises(RuntimeError):
        pretrained(tmp_path, SIGNATURE, [0], fail)
    training = Training()
    pretrained(tmp_path, SIGNATURE, [0], training)
    assert training.asked == [[0]]


@pytest.mark.parametrize("lost", [[1], [2], [0, 2], [0, 1, 2]])
def test_seeds_that_were_trained_together_are_so_again(tmp_path: Path, lost: list[int]) -> None:
    """A kill between keeping two of them; those that are kept stay as they are."""
    training = Training()
    pretrained(tmp_path, SIGNATURE, [0, 1, 2], training)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("seed=*.safetensors")}
    for seed in lost:
        (tmp_path / f"seed={seed}.safetensors").unlink()
    found = pretrained(tmp_path, SIGNATURE, [0, 1, 2], training)
    assert list(found) == [0, 1, 2]
    assert training.asked == [[0, 1, 2], [0, 1, 2]]
    for seed in {0, 1, 2} - set(lost):
        name = f"seed={seed}.safetensors"
        assert (tmp_path / name).stat().st_mtime_ns == before[name]


def test_seeds_of_two_groups_are_trained_apart(tmp_path: Path) -> None:
    training = Training()
    for seeds in ([0, 1], [2, 3]):
        pretrained(tmp_path, SIGNATURE, seeds, training)
    for seed in (1, 2):
        (tmp_path / f"seed={seed}.safetensors").unlink()
    assert list(pretrained(tmp_path, SIGNATURE, [1, 2], training)) == [1, 2]
    assert training.asked[2:] == [[0, 1], [2, 3]]


def test_a_checkpoint_says_which_seeds_go_on(tmp_path: Path) -> None:
    """One of other seeds is left alone, one of some of them is finished first, then removed."""
    training = Training()
    write_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, {"seeds": [0, 1]}, {})
    pretrained(tmp_path, SIGNATURE, [1, 2], training)
    assert training.asked == [[0, 1], [2]]
    assert not (tmp_path / CHECKPOINT).exists()
    assert list(pretrained(tmp_path, SIGNATURE, [0], training)) == [0]
    assert len(training.asked) == 2


def signature(*overrides: str, kind: str = "autoencoder") -> str:
    return pretraining_signature(tiny.config(f"pretraining={kind}", *overrides), "data")


SAME = (
    "optimizer.lr=0.5",
    "optimizer=adam",
    "trainer.max_epochs=9",
    "batch_size=7",
    "data.train_size=100",
    "data.test_size=10",
    "model.dropout=0.5",
    "seeds=4",
    "population.engine=stacked",
    "streams.order=3",
)
OTHER = (
    "pretraining.epochs=3",
    "pretraining.lr=0.1",
    "pretraining.layers=1",
    "activation=tanh",
    "init=orthogonal",
    "norm=batch",
    "model.widths=[8,9]",
    "data.normalize=unit",
    "data.split_seed=1",
    "data.val_size=300",
    "streams.initialization=3",
    "trainer.precision=32-true",
)


@pytest.mark.parametrize("override", SAME)
def test_what_pretraining_does_not_see_shares_its_weights(override: str) -> None:
    assert signature(override) == signature()


@pytest.mark.parametrize("override", OTHER)
def test_what_can_change_the_weights_changes_their_name(override: str) -> None:
    assert signature(override) != signature()


def test_labels_and_measured_initializations_make_the_training_subset_count() -> None:
    subset = "data.train_size=100"
    assert signature(subset, kind="supervised") != signature(kind="supervised")
    assert signature(subset, "init=lsuv") != signature("init=lsuv")


def test_the_budget_is_no_other_pretraining(tmp_path: Path) -> None:
    assert signature("pretraining.equal_budget=true") == signature()
    directory = cache_directory(tmp_path, "rbm", signature())
    assert directory.parent == tmp_path / "pretraining"
    assert directory.name == f"rbm-{signature()[:8]}"
