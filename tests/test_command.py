"""The command on a disk: what is trained, skipped, copied, retried."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import study.launch.cells
from study.__main__ import main
from study.config.compose import hydra_ready
from study.config.sweep import plan
from study.launch.cell import train_cell
from study.outputs import read_cells, read_ledger
from study.outputs.results import ReplicaResult
from tests.tiny_launch import TINY

Train = Callable[..., int]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """`study train` on tiny cells, into tmp_path/scratch."""

    def run(*arguments: str) -> int:
        flags = [text for text in arguments if text.startswith("-")]
        overrides = [text for text in arguments if text not in flags]
        return main(["train", *flags, *TINY, f"outputs_dir={tmp_path}", *overrides])

    return run


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def snapshot(study_dir: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of every cell."""
    return {
        str(path.relative_to(study_dir)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in study_dir.glob("*/*")
    }


def statuses(study_dir: Path) -> list[str]:
    return [cell.status for cell in read_cells(study_dir)]


class Broken:
    """Stands in for `train_cell`: raises for the cells that `breaks` names, as often as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Any], Exception | None]):
        self.calls = 0
        self.breaks = breaks
        monkeypatch.setattr(study.launch.cells, "train_cell", self)

    def __call__(self, config: Any, directory: Path, **options: Any) -> Any:
        self.calls += 1
        if error := self.breaks(config):
            raise error
        return train_cell(config, directory, **options)


def breaks_on(activation: str, error: BaseException) -> Callable[[Any], Any]:
    return lambda config: error if config.activation.name == activation else None


def test_a_finished_cell_is_skipped(
    train: Train, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    first = snapshot(scratch)
    (cell,) = read_cells(scratch)
    assert {path.name.partition(".tfevents")[0] for path in cell.path.iterdir()} == {
        "config.yaml",
        "curves.csv",
        "events.out",
        "filters.npz",
        "predictions.npz",
        "probes.csv",
        "result.json",
        "weights.safetensors",
    }
    capsys.readouterr()
    assert train() == 0
    assert snapshot(scratch) == first
    assert "1 cell, 0 to train" in capsys.readouterr().out
    assert train("--dry-run") == 0
    assert "1 cell, 0 to train" in capsys.readouterr().out
    assert snapshot(scratch) == first


def test_what_changes_no_result_changes_no_cell(train: Train, scratch: Path) -> None:
    assert train() == 0
    first = snapshot(scratch)
    assert train("outputs.weights=all", "trainer.threads=2", "sweep.max_failures=9") == 0
    assert snapshot(scratch) == first


def test_a_failed_cell_is_named_and_does_not_stop_the_others_and_runs_again(
    train: Train,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ("-m", "activation=relu,tanh,sigmoid")
    with monkeypatch.context() as patch:
        Broken(patch, breaks_on("tanh", RuntimeError("out of luck\nand a second line")))
        assert train(*sweep) == 1
    assert statuses(scratch) == ["done", "failed", "done"]
    out, err = capsys.readouterr()
    failed = read_cells(scratch)[1]
    assert "1 x RuntimeError: out of luck" in err
    assert f"{failed.path / 'error.txt'}" in err
    assert "failed: activation=tanh: out of luck\n" in out
    assert err.startswith("1 cell failed; what is done is kept.")
    assert "Traceback" in (failed.path / "error.txt").read_text()
    before = snapshot(scratch)
    assert train(*sweep, "--missing") == 0
    assert snapshot(scratch) == before
    assert train(*sweep, "--failed") == 0
    assert statuses(scratch) == ["done", "done", "done"]
    assert not (failed.path / "error.txt").exists()
    after = snapshot(scratch)
    assert all(after[name] == before[name] for name in before if "tanh" not in name)


@pytest.mark.parametrize("option", ["--failed", "--missing"])
def test_that_none_is_failed_or_missing_is_said(
    train: Train, scratch: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    first = snapshot(scratch)
    capsys.readouterr()
    assert train(option) == 0
    assert f"{scratch}: 1 cell, none {option[2:]}\n" in capsys.readouterr().out
    assert snapshot(scratch) == first


def test_only_the_missing_cells_may_be_asked_for(
    train: Train, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Broken(patch, breaks_on("tanh", RuntimeError("no")))
        assert train("activation=tanh") == 1
    assert train("-m", "activation=tanh,relu", "--missing") == 0
    assert statuses(scratch) == ["failed", "done"]


def test_it_stops_when_all_fail_alike(
    train: Train,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = Broken(monkeypatch, lambda config: RuntimeError("no luck"))
    sweep = ("-m", "activation=relu,tanh,sigmoid,elu,gelu", "sweep.max_failures=2")
    assert train(*sweep) == 1
    assert broken.calls == 2
    out, err = capsys.readouterr()
    assert "stopped: the first 2 cells all failed alike" in out
    assert err.startswith("2 cells failed, 3 cells not tried; what is done is kept.")
    assert statuses(scratch) == ["failed"] * 2 + ["missing"] * 3
    broken.calls = 0
    broken.breaks = breaks_on("relu", RuntimeError("no"))
    assert train(*sweep) == 1
    assert broken.calls == 5
    assert statuses(scratch) == ["failed"] + ["done"] * 4


def test_failures_of_several_kinds_do_not_stop_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {"relu": OSError("a"), "tanh": ValueError("a"), "elu": OSError("b")}
    broken = Broken(monkeypatch, lambda config: errors[config.activation.name])
    assert train("-m", "activation=relu,tanh,elu", "sweep.max_failures=2") == 1
    assert broken.calls == 3


def test_an_interrupt_ends_with_130_and_the_same_command_goes_on(
    train: Train,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ("-m", "activation=relu,tanh,sigmoid")

    def interrupt(config: Any, directory: Path, **options: Any) -> Any:
        if config.activation.name == "tanh":
            (directory / "config.yaml").write_text("half of it")
            raise KeyboardInterrupt
        return train_cell(config, directory, **options)

    with monkeypatch.context() as patch:
        patch.setattr(study.launch.cells, "train_cell", interrupt)
        assert train(*sweep) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on from here\n"
    assert statuses(scratch) == ["done", "missing", "missing"]
    first = snapshot(scratch / ".")
    done = {name: value for name, value in first.items() if "relu" in name}
    assert train(*sweep) == 0
    assert statuses(scratch) == ["done"] * 3
    assert {name: value for name, value in snapshot(scratch).items() if "relu" in name} == done


def replicas(study_dir: Path) -> dict[tuple[int, float], ReplicaResult]:
    """Every replica of the ledger's one cell."""
    (cell,) = read_cells(study_dir)
    return {(each.seed, each.lr): each for each in cell.finished.replicas}


def test_raising_seeds_copies_the_finished_replicas(train: Train, scratch: Path) -> None:
    rates = "optimizer.lr=[0.01,0.1]"
    assert train("seeds=2", rates) == 0
    old = replicas(scratch)
    (first,) = read_cells(scratch)
    assert train("seeds=3", rates) == 0
    new = replicas(scratch)
    assert new.keys() == {(seed, lr) for seed in range(3) for lr in (0.01, 0.1)}
    for key, replica in old.items():
        copied = new[key].copied_from
        assert copied is not None
        assert copied.signature == first.signature
        assert replace(new[key], copied_from=None) == replica
    assert all(new[2, lr].copied_from is None for lr in (0.01, 0.1))
    assert len(read_ledger(scratch).cells) == 1


def test_a_copied_replica_is_what_training_would_give(train: Train, tmp_path: Path) -> None:
    sequential = "population.engine=sequential"
    assert train("seeds=1", "study=grown", sequential) == 0
    assert train("seeds=2", "study=grown", sequential) == 0
    assert train("seeds=2", "study=whole", sequential) == 0
    grown, whole = replicas(tmp_path / "grown"), replicas(tmp_path / "whole")
    assert grown.keys() == whole.keys()
    for key, replica in whole.items():
        assert grown[key].weights_sha256 == replica.weights_sha256
        assert grown[key].test_error == replica.test_error


def test_an_altered_record_is_not_copied_from(train: Train, scratch: Path) -> None:
    assert train("seeds=1") == 0
    (cell,) = read_cells(scratch)
    curves = cell.path / "curves.csv"
    curves.write_text(curves.read_text().replace("0", "1"))
    assert train("seeds=2") == 0
    assert all(replica.copied_from is None for replica in replicas(scratch).values())


def test_the_ledger_names_the_experiment_and_its_cells(tmp_path: Path) -> None:
    experiment = ("experiment=quickstart", "init=zeros", "activation=relu", "norm=none")
    given = [text for text in TINY if not text.startswith("model.")]
    command = ["train", *given, *experiment, "model.widths=[4]", "optimizer.lr=0.1", "study=tiny"]
    assert main([*command, f"outputs_dir={tmp_path}"]) == 0
    ledger = read_ledger(tmp_path / "tiny")
    assert ledger.experiment is not None
    assert ledger.experiment["name"] == "quickstart"
    assert str(ledger.experiment["text"]).startswith("# @package _global_")
    assert [cell.factors["activation"] for cell in ledger.cells] == ["relu"]


def test_a_dry_run_writes_nothing(train: Train, tmp_path: Path) -> None:
    assert train("--dry-run") == 0
    assert list(tmp_path.iterdir()) == []


def test_no_lock_is_left_where_another_process_was_quicker(train: Train, scratch: Path) -> None:
    assert train() == 0
    (cell,) = read_cells(scratch)
    with hydra_ready():
        cells = study.launch.cells.identify(plan([*TINY, "study=scratch"], multirun=False).cells)
    assert study.launch.cells.run(scratch, cells, threads=1, max_failures=1).failures == []
    assert not (cell.path / "lock").exists()


def test_a_file_in_a_cells_place_does_not_stop_the_others(train: Train, scratch: Path) -> None:
    sweep = ("-m", "activation=relu,tanh")
    assert train(*sweep) == 0
    relu, tanh = read_cells(scratch)
    for cell in (relu, tanh):
        for path in cell.path.iterdir():
            path.unlink()
    relu.path.rmdir()
    relu.path.write_text("in the way")
    assert train(*sweep) == 1
    assert statuses(scratch)[1] == "done"


def test_flags_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"outputs_dir={tmp_path}"
    assert main(["train", *TINY, "-m", place, "--dry-run", "activation=relu,tanh"]) == 0
    assert "2 cells" in capsys.readouterr().out
