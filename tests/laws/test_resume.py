"""A cell that is stopped and gone on with is, bit for bit, the one that was never stopped."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from study.launch.reproduce.comparable import comparable, comparable_pretraining
from study.launch.reproduce.reproduce import differing_provenance
from study.outputs.cell import read_result
from study.outputs.checkpoint import CHECKPOINT, UNFIT, read_checkpoint, write_checkpoint
from study.outputs.series import read_curves
from tests import tiny
from tests.interrupted import EVERY_EPOCH, NEVER, Killed, killed_at, train_with_kills

POPULATION = (
    "seeds=2",
    "optimizer.lr=[0.01,0.05]",
    "trainer.max_epochs=3",
    "trainer.precision=32-true",
    "probes=default",
)
MOMENTUM = "optimizer.momentum=0.9"
NOISY = ("norm=batch", "norm.noise=0.1", "model.dropout=0.2", "input_noise=0.1")
CNN = ("model=cnn", "model.channels=[[4],[6]]", "norm=batch", "data.flip=true", "data.crop=1")
CELLS = {
    "sgd, alone": (MOMENTUM, *NOISY),
    "sgd, stacked": (MOMENTUM, *NOISY, "population.engine=stacked"),
    "sgd without momentum": ("schedule=cosine", "activation=prelu"),
    "adam, alone": ("optimizer=adam", *NOISY),
    "adam, stacked": ("optimizer=adam", *NOISY, "population.engine=stacked"),
    "rmsprop, stacked": ("optimizer=rmsprop", "optimizer.momentum=0.5", "activation=maxout",
                         "population.engine=stacked"),
    "cnn, alone": (MOMENTUM, *CNN),
    "cnn, stacked": ("optimizer=adam", *CNN, "population.engine=stacked"),
    "a stack, and one alone": ("seeds=3", "optimizer.lr=0.05", "trainer.threads=2", MOMENTUM,
                               "population.engine=stacked"),
    "by NumPy": (MOMENTUM, *NOISY, "population.engine=stacked", "population.products=numpy",
                 "trainer.precision=32-true"),
    "in parts": (MOMENTUM, "population.max_replicas=3", "outputs.weights=all"),
    "diverging": ("optimizer.lr=[0.05,1000000]", MOMENTUM),
    "lsuv": ("init=lsuv", "optimizer=adamw", "optimizer.weight_decay=0.01"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "every"), [*((name, 1) for name in CELLS), ("adam, stacked", 2), ("in parts", 2)]
)
def test_stopped_after_any_epoch_it_ends_the_same(
    root: Path, tmp_path: Path, name: str, every: int
) -> None:
    overrides = (*POPULATION, *CELLS[name], "outputs.tensorboard=none")
    tiny.train_to(tmp_path / "whole" / "cell", root, *overrides, NEVER)
    kills = train_with_kills(tmp_path / "stopped" / "cell", root, *overrides, every=every)
    assert kills >= 3 // every
    stopped = tmp_path / "stopped" / "cell"
    assert comparable(stopped) == comparable(tmp_path / "whole" / "cell")
    provenance = read_result(stopped)["provenance"]
    resumed = provenance["resumed"]
    assert not [line for line in differing_provenance(provenance, provenance) if "it had" in line]
    assert len(resumed) == kills
    threads = 2 if "trainer.threads=2" in overrides else 1
    assert {entry["threads"] for entry in resumed} == {threads}


@pytest.mark.parametrize("kind", ["autoencoder", "denoising_autoencoder", "rbm", "supervised"])
def test_pretraining_goes_on_too(root: Path, tmp_path: Path, kind: str) -> None:
    own = ("pretraining.persistent=true",) if kind == "rbm" else ()
    overrides = (*POPULATION, f"pretraining={kind}", "pretraining.epochs=2", "data.normalize=unit",
                 "activation=sigmoid", *own)  # fmt: skip
    for name in ("whole", "stopped"):
        directory = tmp_path / name / "cell"
        if name == "whole":
            tiny.train_to(directory, root, *overrides, NEVER)
        else:
            assert train_with_kills(directory, root, *overrides) == 2 * 2 + 3
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    assert comparable(stopped / "cell") == comparable(whole / "cell")
    (first,), (second,) = ((one / "pretraining").glob("*-*") for one in (whole, stopped))
    assert comparable_pretraining(first) == comparable_pretraining(second)
    (run,) = second.glob("seeds=*")
    for tag in EventAccumulator(str(run)).Reload().Tags()["scalars"]:
        assert [event.step for event in EventAccumulator(str(run)).Reload().Scalars(tag)] == [1, 2]


def test_equal_pretrainings_have_equal_hashes_of_their_weights(root: Path, tmp_path: Path) -> None:
    overrides = ("pretraining=autoencoder", "pretraining.epochs=1", "seeds=2")
    records = [
        tiny.train_to(tmp_path / name / "cell", root, *overrides)["pretraining"] for name in "ab"
    ]
    assert records[0]["weights_sha256"] == records[1]["weights_sha256"]
    assert set(records[0]["weights_sha256"]) == {"0", "1"}
    assert len(set(records[0]["weights_sha256"].values())) == 2


def test_a_checkpoint_is_taken_up_under_another_packing(root: Path, tmp_path: Path) -> None:
    """In float64 the continuation is that of the other packing to the last digits."""
    overrides = (*POPULATION, "trainer.precision=64-true", MOMENTUM, "norm=batch")
    tiny.train_to(tmp_path / "whole" / "cell", root, *overrides, NEVER)
    directory = tmp_path / "stopped" / "cell"
    for engine in ("stacked", "sequential", "stacked"):
        with pytest.raises(Killed), killed_at(1):
            tiny.train_to(directory, root, *overrides, EVERY_EPOCH, f"population.engine={engine}")
    record = tiny.train_to(directory, root, *overrides, "population.engine=sequential")
    assert [entry["packing"] for entry in record["provenance"]["resumed"]] == [
        [4], [1, 1, 1, 1], [4],
    ]  # fmt: skip
    one, other = (
        load_file(path / "weights.safetensors") for path in (directory, tmp_path / "whole" / "cell")
    )
    for name, value in one.items():
        assert value.numpy() == pytest.approx(other[name].numpy(), rel=1e-9, abs=1e-12)


def test_parts_of_another_size_start_over_but_finished_ones_stay(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = (*POPULATION, MOMENTUM, "outputs.weights=all")
    directory = tmp_path / "study" / "cell"
    with pytest.raises(Killed), killed_at(5):
        tiny.train_to(directory, root, *overrides, EVERY_EPOCH, "population.max_replicas=1")
    caplog.clear()
    record = tiny.train_to(directory, root, *overrides, "population.max_replicas=3")
    assert "1 replica at once" in caplog.text
    assert record["provenance"]["packing"] == [1, 1, 1, 1]
    tiny.train_to(tmp_path / "whole" / "cell", root, *overrides)
    assert comparable(directory)["replicas"] == comparable(tmp_path / "whole" / "cell")["replicas"]


def test_copies_stay_copies(root: Path, tmp_path: Path) -> None:
    """Even if the record that they were copied from is gone when the cell goes on."""
    overrides = (*POPULATION, "optimizer.lr=0.05", "outputs.tensorboard=none")
    study_dir = tmp_path / "study"
    tiny.train_to(study_dir / "one", root, *overrides, "seeds=1")

    def lose() -> None:
        (study_dir / "one").rename(tmp_path / "gone") if (study_dir / "one").exists() else None

    assert train_with_kills(study_dir / "three", root, *overrides, "seeds=3", meanwhile=lose) == 3
    record = read_result(study_dir / "three")
    assert ["copied_from" in replica for replica in record["replicas"]] == [True, False, False]
    assert record["provenance"]["packing"] == [1, 1]


def test_the_seconds_go_on_counting(root: Path, tmp_path: Path) -> None:
    overrides = (*POPULATION, "trainer.max_epochs=4")
    directory = tmp_path / "study" / "cell"
    train_with_kills(directory, root, *overrides)
    for seed in (0, 1):
        own = [row for row in read_curves(directory) if (row["seed"], row["lr"]) == (seed, 0.01)]
        seconds = [row["seconds"] for row in own]
        assert seconds == sorted(seconds)
    assert read_result(directory)["wall_seconds"] >= seconds[-1]


@pytest.mark.parametrize("curves", ["cell", "replicas"])
def test_tensorboard_shows_each_epoch_once(
    root: Path, tmp_path: Path, curves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that were drawn after the last checkpoint, by an attempt that then ended."""
    # Files of one second are read in the order of a number, as text: 10 before 9.
    numbers = itertools.count(100)
    monkeypatch.setattr(event_file_writer._global_uid, "get", lambda: next(numbers))
    overrides = (*POPULATION, f"outputs.tensorboard={curves}", "trainer.max_epochs=4")
    tiny.train_to(tmp_path / "whole" / "cell", root, *overrides, NEVER)
    directory = tmp_path / "study" / "cell"
    with pytest.raises(Killed), killed_at(2):
        tiny.train_to(directory, root, *overrides, EVERY_EPOCH)
    kept = (directory / CHECKPOINT).read_bytes()
    with pytest.raises(Killed), killed_at(2):
        tiny.train_to(directory, root, *overrides, EVERY_EPOCH)
    (directory / CHECKPOINT).write_bytes(kept)
    tiny.train_to(directory, root, *overrides)
    found, whole = (read(path) for path in (directory, tmp_path / "whole" / "cell"))
    assert set(found.Tags()["scalars"]) == set(whole.Tags()["scalars"])
    for tag in whole.Tags()["scalars"]:
        events = [[(event.step, event.value) for event in one.Scalars(tag)]
                  for one in (found, whole)]  # fmt: skip
        assert events[0] == events[1]


def read(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()


@pytest.fixture
def stopped(root: Path, tmp_path: Path) -> Path:
    """The directory of a cell killed after its second epoch; beside it stands whole/cell."""
    tiny.train_to(tmp_path / "whole" / "cell", root, *POPULATION, MOMENTUM)
    directory = tmp_path / "study" / "cell"
    with pytest.raises(Killed), killed_at(2):
        tiny.train_to(directory, root, *POPULATION, MOMENTUM, EVERY_EPOCH)
    return directory


def test_a_damaged_checkpoint_is_named_and_the_cell_starts_over(
    root: Path, tmp_path: Path, stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = stopped / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-1])
    caplog.clear()
    record = tiny.train_to(stopped, root, *POPULATION, MOMENTUM)
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert str(path) in message
    assert "starts over" in message
    assert record["provenance"]["resumed"] == []
    assert comparable(stopped) == comparable(tmp_path / "whole" / "cell")


def without_a_tensor(state: Any) -> None:
    """Takes one of the first replica's parameters out."""
    training = state["population"]["replicas"][0]["training"]
    training.pop(next(iter(training)))


@pytest.mark.parametrize("change", [without_a_tensor, lambda state: state.pop("populations")])
def test_a_checkpoint_of_other_code_is_put_aside_and_the_cell_starts_over(
    root: Path,
    tmp_path: Path,
    stopped: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], Any],
) -> None:
    path = stopped / CHECKPOINT
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["record"])
    checkpoint = read_checkpoint(path, record["signature"], "")
    assert checkpoint is not None
    change(checkpoint.state)
    write_checkpoint(path, record["signature"], checkpoint.record, checkpoint.state)
    caplog.clear()
    found = tiny.train_to(stopped, root, *POPULATION, MOMENTUM)
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert "of another version" in message
    assert "starts over" in message
    assert (stopped / UNFIT).exists()
    assert found["provenance"]["resumed"] == []
    assert comparable(stopped) == comparable(tmp_path / "whole" / "cell")


def test_a_failed_cell_goes_on_from_its_checkpoint(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever failed: here the disk, while the record was written."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError("No space left on device")

    directory = tmp_path / "study" / "cell"
    with monkeypatch.context() as patch:
        patch.setattr("study.launch.cell.write_cell", fail)
        with pytest.raises(OSError, match="No space"):
            tiny.train_to(directory, root, *POPULATION, EVERY_EPOCH)
    record = tiny.train_to(directory, root, *POPULATION)
    assert [entry["epoch"] for entry in record["provenance"]["resumed"]] == [3]


def test_the_record_of_a_checkpoint_tells_where_it_was_made(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    with pytest.raises(Killed), killed_at(2):
        tiny.train_to(directory, root, *POPULATION, EVERY_EPOCH)
    with pytest.raises(Killed), killed_at(1):
        tiny.train_to(directory, root, *POPULATION, EVERY_EPOCH)
    record = tiny.train_to(directory, root, *POPULATION)
    names = {"epoch", "git_commit", "git_diff_sha256", "torch", "processor", "device", "gpu",
             "threads", "packing"}  # fmt: skip
    assert [set(entry) for entry in record["provenance"]["resumed"]] == [names, names]
