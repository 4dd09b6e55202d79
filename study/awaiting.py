"""After a launcher has returned: waiting for what it left running or queued."""

import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from study.launch import LaunchCell, status_of
from study.outputs.records import FINISHED
from study.slurm import SlurmJobs
from study.words import counted

LONGEST_PAUSE = 30.0
UNKNOWN = "unknown"
"""The state of a job that Slurm, asked, gives no answer on."""


def await_jobs(study: Path, cells: Sequence[LaunchCell], jobs: SlurmJobs | None) -> None:
    """Waits while a cell that is not finished is being trained, or has a job in Slurm's queue.

    Says what it waits for whenever that changes. Which job of the queue is whose is not asked: a
    queued job of the launch counts as long as any of its cells is not finished.
    """
    said, pause = "", 0.5
    while True:
        # First the queue: what has left it by then has left its result.
        queued = _queued(jobs)
        statuses = [status_of(study, cell).status for cell in cells]
        num_running = statuses.count("running")
        if all(status in FINISHED for status in statuses) or not (queued or num_running):
            return
        if (words := _words(queued, num_running)) != said:
            print(f"waiting for {words}", flush=True)
            said = words
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _queued(jobs: SlurmJobs | None) -> Mapping[str, str]:
    """The live jobs and their states; all of them, where Slurm does not answer for now."""
    if jobs is None:
        return {}
    try:
        return jobs.queued()
    except FileNotFoundError:
        return {}
    except (OSError, subprocess.SubprocessError):
        return dict.fromkeys(jobs.numbers(), UNKNOWN)


def _words(queued: Mapping[str, str], num_running: int) -> str:
    parts = []
    if num_running:
        parts.append(f"{counted(num_running, 'cell')} in training")
    if queued:
        states = Counter(queued.values()).most_common()
        shown = ", ".join(f"{number} {state.lower()}" for state, number in states)
        parts.append(f"{counted(len(queued), 'job')} in Slurm's queue ({shown})")
    return " and ".join(parts)
