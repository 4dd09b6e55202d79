"""Slurm jobs that are thrown out while they train, and go on."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from clusters.daemons import ClusterError, output_of, wait_until
from clusters.runs import LONG, Run, start
from clusters.slurm import CORES
from study.outputs.records import read_cells, read_ledger

WARNING = "USR2"
"""The signal by which Slurm warns a job of submitit's of its time limit."""


def preempted(directory: Path, environment: Mapping[str, str]) -> Run:
    """Runs the long study on Slurm and stops its jobs twice: as a time limit does, and for others.

    Raises `ClusterError` where a job could not be stopped in the middle.
    """
    begun = time.monotonic()
    process = start(LONG, directory, "hydra/launcher=slurm", environment=environment)
    try:
        _wait_for_checkpoints(directory, process, since=0)
        moment = time.time()
        output_of(["scancel", f"--signal={WARNING}", *_jobs(environment)], environment)
        _start_again(environment)
        _wait_for_checkpoints(directory, process, since=moment + 1)
        urgent = ["sbatch", "--wait", "--partition=urgent", f"--ntasks={CORES}"]
        output_of([*urgent, "--output=/dev/null", "--wrap=sleep 2"], environment)
        _start_again(environment)
        status = process.wait()
    finally:
        process.kill()
    return Run(directory.name, directory, status, time.monotonic() - begun, _notes(directory))


def _wait_for_checkpoints(
    directory: Path, process: "subprocess.Popen[str]", *, since: float
) -> None:
    """Waits until every cell that is to be trained has a checkpoint younger than a moment."""

    def all_have() -> bool:
        if process.poll() is not None:
            raise ClusterError(f"the jobs ended too early to be stopped; see {directory}.log")
        files = list(directory.glob("*/checkpoint.safetensors"))
        return len(files) == 2 and all(_changed(path) > since for path in files)

    wait_until(all_have, f"checkpoints; see {directory}.log", seconds=120)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _start_again(environment: Mapping[str, str]) -> None:
    """Spares requeued jobs the two minutes that Slurm would have them wait."""
    jobs = _jobs(environment)
    wait_until(lambda: _jobs(environment, "--states=PENDING") == jobs, "requeued jobs")
    for job in jobs:
        output_of(["scontrol", "update", f"JobId={job}", "StartTime=now"], environment)


def _jobs(environment: Mapping[str, str], *options: str) -> list[str]:
    listed = ["squeue", "--noheader", "--array", "--format=%i", *options]
    return sorted(output_of(listed, environment).split())


def _notes(directory: Path) -> list[str]:
    """From which epochs each cell went on."""
    notes = []
    for record in read_cells(read_ledger(directory)):
        if record.result:
            epochs = [entry.epoch for entry in record.result.provenance.resumed]
            notes.append(f"resumed after epochs {epochs}" if epochs else "never resumed")
    return notes
