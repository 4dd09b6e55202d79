"""What becomes of an attempt that did not finish, and which seconds a cell counts."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import study.launch.attempt
import study.launch.cell
from study.outputs import read_ledger, stale_directories
from study.outputs.cell import write_error
from study.outputs.results import parse_result
from tests import tiny
from tests.interrupted import EVERY_EPOCH, killed_at
from tests.synthetic import write_ledger

OVERRIDES = ("seeds=2", "optimizer.lr=[0.01,0.05]", "trainer.max_epochs=3", "norm=batch")


def test_an_unfinished_attempt_is_cleared_and_all_else_kept(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    (directory / "mine").mkdir(parents=True)
    others = {"lock", "mine", "notes.csv", "notes.txt"}
    ours = {*tiny.CELL_FILES - {"result.json"}, "probes.csv", "error.txt", "checkpoint.safetensors",
            ".curves.csv.1.partial", "events.out.tfevents.1"}  # fmt: skip
    for name in (ours | others) - {"mine"}:
        (directory / name).write_text("old")
    record = tiny.train_to(directory, root, "trainer.max_epochs=1", "outputs.tensorboard=none")
    assert {path.name for path in directory.iterdir()} == tiny.CELL_FILES | others
    assert set(record["files"]) == tiny.CELL_FILES - {"result.json"}
    assert [path.name for path in directory.parent.iterdir()] == ["cell"]


def test_an_error_stands_below_the_configuration_it_was_made_with(tmp_path: Path) -> None:
    config = {"seeds": [0, 1], "model": {"name": "mlp"}}
    write_error(tmp_path, config, "Traceback (most recent call last):\nValueError: as asked\n")
    text = (tmp_path / "error.txt").read_text(encoding="utf-8")
    above, below = text.split("Traceback")
    assert yaml.safe_load(above) == config
    assert below.splitlines()[-1] == "ValueError: as asked"


@pytest.mark.parametrize(
    "text", ["", '{"schema": 1, "status": "do', '{"schema": 9}', '{"schema": 1, "signature": "0"}']
)
def test_an_unusable_record_is_set_aside_with_all_that_is_beside_it(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """Damage, another cell's record or one of a later version: nothing of it is deleted."""
    study_dir = tmp_path / "study"
    directory = study_dir / "relu-01234567"
    directory.mkdir(parents=True)
    for number in (1, 2):
        old = {"result.json": text, "weights.safetensors": f"old {number}", "notes.txt": "mine"}
        for name, content in old.items():
            (directory / name).write_text(content, encoding="utf-8")
        (directory / "lock").touch()
        caplog.clear()
        record = tiny.train_to(directory, root, "trainer.max_epochs=1")
        aside = study_dir / f"relu-01234567.damaged-{number}"
        assert {p.name: p.read_text(encoding="utf-8") for p in aside.iterdir()} == old
        (message,) = [entry.getMessage() for entry in caplog.records]
        assert "\n" not in message
        assert str(directory) in message
        assert aside.name in message
        parse_result(record, record["signature"])
        for path in directory.iterdir():
            path.unlink()
    write_ledger(study_dir, [])
    names = [f"relu-01234567.damaged-{number}" for number in (1, 2)]
    assert stale_directories(read_ledger(study_dir)) == ["relu-01234567", *names]


def test_the_seconds_are_those_of_training_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that only the parts of a cell move: data 1000, each population 1."""
    clock = Clock()
    monkeypatch.setattr(study.launch.attempt, "time", clock)
    monkeypatch.setattr(
        study.launch.cell, "data_of", clock.taking(1000.0, study.launch.cell.data_of)
    )
    build = study.launch.attempt.build_population
    monkeypatch.setattr(study.launch.attempt, "build_population", clock.taking(1.0, build))
    first = tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", "trainer.max_epochs=1")
    copied = tiny.train_to(tmp_path / "study" / "one", root, "seeds=1", "trainer.max_epochs=1")
    assert first["wall_seconds"] == 1.0
    assert copied["wall_seconds"] == 0.0


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_and_an_exit_are_told_apart(
    root: Path, tmp_path: Path, end: type[BaseException]
) -> None:
    """Lightning makes either an exit; a launcher's exit of its worker must not look like Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)) as raised, killed_at(1, end):
            tiny.train_to(tmp_path / "study" / "cell", root, EVERY_EPOCH)
        assert raised.type is end
        if end is KeyboardInterrupt:
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)


class Clock:
    """A clock that stands still but for what it is told to count."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def taking(self, seconds: float, work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.now += seconds
            return work(*arguments)

        return counted
