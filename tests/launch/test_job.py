"""A launcher's job: which cell it trains, what it leaves when it cannot, and how it is ended."""

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import study.launch.job
from study.__main__ import main
from study.errors import InputError
from study.launch.job import STOPPED_BY_SIGTERM, Job, ended_by_sigterm
from study.outputs import LedgerCell, read_cells, read_ledger
from tests.test_locks import of_another_host
from tests.tiny_launch import TINY

SWEEP = ("-m", "hydra/launcher=basic", "optimizer=sgd,adam")


def launched(tmp_path: Path, *overrides: str) -> int:
    return main(["train", *TINY, *SWEEP, f"outputs_dir={tmp_path}", *overrides])


def statuses(tmp_path: Path) -> list[tuple[str, str | None]]:
    return [(cell.status, cell.error) for cell in read_cells(tmp_path / "scratch")]


def test_what_keeps_a_job_from_its_cell_is_in_the_cells_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def identify(cells: Any) -> Any:
        raise InputError("trainer.accelerator=cuda: this machine has none")

    monkeypatch.setattr(study.launch.job, "identify", identify)
    assert launched(tmp_path) == 1
    for status, error in statuses(tmp_path):
        assert status == "failed"
        assert error is not None
        assert error.endswith("trainer.accelerator=cuda: this machine has none")
    assert "2 x InputError: trainer.accelerator=cuda" in capsys.readouterr().err
    monkeypatch.undo()
    assert launched(tmp_path) == 0
    assert [status for status, _ in statuses(tmp_path)] == ["done", "done"]


def test_a_job_that_finds_other_data_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify = study.launch.job.identify

    def other(cells: Any) -> Any:
        (cell,) = identify(cells)
        object.__setattr__(cell, "signature", "0" * 64)
        return [cell]

    monkeypatch.setattr(study.launch.job, "identify", other)
    assert launched(tmp_path) == 1
    for status, error in statuses(tmp_path):
        assert status == "failed"
        assert "are not what they were when the study was launched" in str(error)


def test_an_error_is_never_written_into_a_finished_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launched(tmp_path) == 0
    ledger = read_ledger(tmp_path / "scratch")

    def train(*_: Any) -> None:
        raise InputError("no")

    monkeypatch.setattr(study.launch.job, "_train", train)
    hydra: Any = HydraConfig.instance()
    before = hydra.cfg
    hydra.cfg = OmegaConf.create({"hydra": {"job": {"name": ledger.cells[0].directory}}})
    try:
        with pytest.raises(InputError, match="no"):
            Job(tmp_path, ledger.directory)(DictConfig({}))
    finally:
        hydra.cfg = before
    assert [status for status, _ in statuses(tmp_path)] == ["done", "done"]
    assert not list(tmp_path.glob("scratch/*/error.txt"))


def test_nor_into_one_that_another_process_has(tmp_path: Path) -> None:
    entry = LedgerCell("cell-00000000", "0" * 64, {})
    directory = tmp_path / entry.directory
    directory.mkdir()
    of_another_host(directory, silent=0)
    study.launch.job._keep_error(directory, entry, {"seeds": 1})
    assert [path.name for path in directory.iterdir() if path.name != "lock"] == ["owner.json"]
    of_another_host(directory, silent=100)
    study.launch.job._keep_error(directory, entry, {"seeds": 1})
    assert [path.name for path in directory.iterdir()] == ["error.txt"]


def test_relative_paths_count_from_where_the_launch_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "home")
    call = Job.__call__

    def from_elsewhere(job: Job, config: DictConfig) -> None:
        monkeypatch.chdir(tmp_path / "elsewhere")
        call(pickle.loads(pickle.dumps(job)), config)
        monkeypatch.chdir(tmp_path / "home")

    monkeypatch.setattr(Job, "__call__", from_elsewhere)
    assert main(["train", *TINY, *SWEEP, "outputs_dir=o"]) == 0
    assert not list((tmp_path / "elsewhere").iterdir())
    assert statuses(tmp_path / "home" / "o") == [("done", None)] * 2


def test_sigterm_is_an_exit_and_the_handler_before_comes_back() -> None:
    def before(*_: object) -> None:
        raise AssertionError("not in the block")

    kept = signal.signal(signal.SIGTERM, before)
    try:
        with pytest.raises(SystemExit) as caught, ended_by_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.code == STOPPED_BY_SIGTERM
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, kept)
