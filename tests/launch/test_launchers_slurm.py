"""What is made of Slurm's answers, from programs that answer in its stead."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from study.launch.launchers import SlurmJobs

Answer = Callable[[str], None]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Puts a program `squeue` on the path, from a shell's script."""
    if os.name == "nt":
        pytest.skip("Slurm is not for Windows")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def write(script: str) -> None:
        (folder / "squeue").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "squeue").chmod(0o755)

    return write


def submitted(folder: Path, *numbers: str) -> None:
    for number in numbers:
        (folder / number).mkdir(parents=True)


def test_jobs_are_those_of_this_launch_in_the_order_of_its_cells(tmp_path: Path) -> None:
    submitted(tmp_path, "7_0", "7_1", "not-a-job")
    jobs = SlurmJobs(tmp_path)
    assert jobs.numbers() == []
    submitted(tmp_path, "12", *(f"12_{index}" for index in (10, 2, 0, 1)))
    assert jobs.numbers() == ["12_0", "12_1", "12_2", "12_10"]
    assert SlurmJobs(tmp_path / "nowhere").numbers() == []


def test_the_queue_is_asked_for_living_jobs_alone(tmp_path: Path, squeue: Answer) -> None:
    jobs = SlurmJobs(tmp_path / "jobs")
    submitted(tmp_path / "jobs", "12_0", "12_1", "12_2")
    squeue(f'echo "$@" > {tmp_path}/asked\necho "12_0 RUNNING\n12_2 PENDING\n99 RUNNING\n"')
    assert jobs.queued() == {"12_0": "RUNNING", "12_2": "PENDING"}
    assert "--array" in (tmp_path / "asked").read_text()
    squeue("true")
    assert jobs.queued() == {}


def test_no_answer_is_not_an_empty_queue(
    tmp_path: Path, squeue: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = SlurmJobs(tmp_path / "jobs")
    squeue("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1")
    with pytest.raises(subprocess.CalledProcessError):
        jobs.queued()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        jobs.queued()


def test_a_dead_jobs_last_line_is_quoted(tmp_path: Path) -> None:
    jobs = SlurmJobs(tmp_path)
    submitted(tmp_path, "12_0", "12_1")
    assert jobs.last_line("12_0") == f"it left no log in {tmp_path / '12_0'}"
    log = tmp_path / "12_1" / "12_1_0_log.err"
    log.write_text("")
    assert jobs.last_line("12_1") == f"{log} is empty"
    log.write_text("loading\nRuntimeError: no\n\n")
    assert jobs.last_line("12_1") == f"{log} says: RuntimeError: no"
    log.write_text("loading\nslurmstepd: error: Detected 1 oom_kill event\nKilled\n")
    assert jobs.last_line("12_1").endswith("says: slurmstepd: error: Detected 1 oom_kill event")
