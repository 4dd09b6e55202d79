"""Cells as jobs of a launcher: Hydra's own in this process, joblib's in two, and faked ones."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import study.launch.launchers
from study.__main__ import main
from study.config.compose import hydra_ready
from study.config.labels import level_words
from study.launch.launchers import SlurmJobs, run_on_launcher
from study.outputs import read_cells, read_ledger
from study.outputs.cell import write_error
from study.outputs.ledger import record_launch
from tests.launch.test_cells import TINY, cells, failing

SWEEP = ("-m", "hydra/launcher=basic", "model.widths=[8],[9]", "optimizer=sgd,adam")


def test_a_job_takes_its_factors_from_the_ledger_and_prints_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TINY, *SWEEP, f"outputs_dir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    records = read_cells(tmp_path / "scratch")
    assert len(records) == 4
    for record in records:
        assert record.finished.factors == record.factors
        assert record.factors["model"] == "mlp"
        words = f"optimizer={record.factors['optimizer']}, "
        words += f"model.widths={level_words('model.widths', record.factors['model.widths'])}"
        assert f"\n{words}: test error" in out
    assert "[1/" not in out
    assert "sweep.max_failures is not applied" in out
    assert main(["train", *TINY, *SWEEP, f"outputs_dir={tmp_path}"]) == 0
    assert "0 to train" in capsys.readouterr().out


def test_every_failed_job_is_counted_and_none_stops_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda config: RuntimeError("no"))
    assert main(["train", *TINY, *SWEEP, "sweep.max_failures=1", f"outputs_dir={tmp_path}"]) == 1
    out, err = capsys.readouterr()
    assert "stopped" not in out
    assert err.startswith("4 cells failed; what is done is kept.")
    assert "4 x RuntimeError: no" in err


def test_a_launch_leaves_nothing_outside_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, *SWEEP, "study=here", "outputs_dir=mine"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["here"]


def hashes(directory: Path) -> dict[str, list[str]]:
    found = {}
    for record in read_cells(directory):
        found[record.directory] = [each.weights_sha256 for each in record.finished.replicas]
    return found


def test_two_workers_of_joblib_give_the_weights_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra joblib is absent")
    sweep = ("-m", "optimizer=sgd,adam", "seeds=2", f"outputs_dir={tmp_path}")
    launcher = ("hydra/launcher=machine", "hydra.launcher.n_jobs=2")
    assert main(["train", *TINY, *sweep, "study=one"]) == 0
    assert main(["train", *TINY, *sweep, "study=two", *launcher]) == 0
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


class FakeLauncher:
    """What stands in for an engine: `launch` is given the jobs and may do, or raise, anything."""

    def __init__(self, launch: Callable[[Sequence[Sequence[str]]], None]) -> None:
        self._launch = launch

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        assert initial_job_idx == 0
        self._launch(jobs)


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs two cells on a fake launcher, with or without a queue."""
    monkeypatch.setattr(study.launch.launchers, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(study.launch.launchers.time, "sleep", lambda _: None)

    def run(doing: Callable[[Sequence[Sequence[str]]], None], jobs: SlurmJobs | None = None) -> Any:
        swept = cells("optimizer=sgd,adam", f"outputs_dir={tmp_path}", "study=s")
        (tmp_path / "s").mkdir()
        record_launch(tmp_path / "s", study="s", threads=1, cells=swept, experiment=None, claims=[])
        monkeypatch.setattr(
            study.launch.launchers, "_launcher", lambda *_: (FakeLauncher(doing), None)
        )
        monkeypatch.setattr(study.launch.launchers, "_slurm_jobs", lambda _: jobs)
        with hydra_ready():
            return run_on_launcher(tmp_path / "s", swept, [])

    return run


def test_a_launcher_that_says_it_is_done_is_not_believed(launch: Callable[..., Any]) -> None:
    outcome = launch(lambda jobs: None)
    assert [failure.kind for failure in outcome.failures] == ["missing"] * 2
    assert "its job left no result" in outcome.failures[0].message


def test_a_launcher_that_gives_up_is_quoted_and_its_other_cells_count(
    launch: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(jobs: Sequence[Sequence[str]]) -> None:
        first = read_ledger(tmp_path / "s").cells[0]
        (tmp_path / "s" / first.directory).mkdir()
        write_error(tmp_path / "s" / first.directory, {"a": 1}, "ValueError: bad weights")
        raise OSError("\n a worker was killed\n more")

    first, second = launch(die).failures
    assert (first.kind, first.message) == ("ValueError", "bad weights")
    assert second.message == "its job left no result; OSError: a worker was killed"
    assert "the launcher gave up: OSError: a worker was killed" in capsys.readouterr().err


class FakeJobs(SlurmJobs):
    """Two jobs of Slurm, and what the queue answers, one answer after the other."""

    def __init__(self, folder: Path, answers: list[Any]) -> None:
        super().__init__(folder)
        self.answers = answers

    def numbers(self) -> list[str]:
        return ["12_0", "12_1"]

    def queued(self) -> dict[str, str]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def test_jobs_in_the_queue_are_waited_for_and_then_named(
    launch: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = FakeJobs(
        tmp_path / "jobs",
        [
            {"12_0": "RUNNING", "12_1": "PENDING"},
            subprocess.TimeoutExpired("squeue", 60),
            {"12_1": "RUNNING"},
            {"12_1": "RUNNING"},
            {},
        ],
    )
    first, second = launch(lambda jobs: None, jobs).failures
    assert jobs.answers == []
    assert capsys.readouterr().out.splitlines()[1:] == [
        "waiting for 2 jobs in Slurm's queue (1 running, 1 pending)",
        "waiting for 2 jobs in Slurm's queue (2 unknown)",
        "waiting for 1 job in Slurm's queue (1 running)",
    ]
    assert "Slurm job 12_0: it left no log" in first.message
    assert "Slurm job 12_1: " in second.message


def test_without_squeue_nothing_is_waited_for(launch: Callable[..., Any], tmp_path: Path) -> None:
    outcome = launch(lambda jobs: None, FakeJobs(tmp_path / "jobs", [FileNotFoundError("squeue")]))
    assert len(outcome.failures) == 2


def test_cells_that_are_being_trained_are_waited_for(
    launch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = iter(["running", "running", "running", "missing", "done", "done"])

    class Record:
        def __init__(self, status: str) -> None:
            self.status = status

    read = study.launch.launchers.read_cell
    monkeypatch.setattr(
        study.launch.launchers,
        "read_cell",
        lambda *cell: Record(state) if (state := next(states, None)) else read(*cell),
    )
    launch(lambda jobs: None)
    out = capsys.readouterr().out
    assert "waiting for 2 cells in training\nwaiting for 1 cell in training\n" in out


def test_interrupted_one_is_told_what_slurm_keeps(
    launch: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(jobs: Sequence[Sequence[str]]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(interrupt, FakeJobs(tmp_path / "jobs", []))
    assert "`scancel 12` ends them" in capsys.readouterr().err
