"""What Slurm says of the jobs of one launch: which wait or run, and what a dead one said last."""

import getpass
import re
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from study.config.labels import counted
from study.config.sweep import Cell
from study.launch.cells import status_of
from study.outputs.records import FINISHED

LIVE_STATES = "PENDING,RUNNING,SUSPENDED,COMPLETING"


class SlurmJobs:
    """The jobs that submitit hands to Slurm for one launch, in the order of their cells.

    submitit makes a directory for each job in `folder`, by the job's number (`12_3` is job 3 of
    array 12). What is there at the beginning belongs to earlier launches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._earlier = set(self._listed())

    def numbers(self) -> list[str]:
        """The numbers of the launch's jobs."""
        return [number for number in self._listed() if number not in self._earlier]

    def queued(self) -> dict[str, str]:
        """The state of each job that waits or runs.

        Raises OSError where there is no `squeue`, and `subprocess.SubprocessError` where it gets no
        answer: neither means that the queue is empty.
        """
        asked = ["squeue", "--noheader", "--array", "--format=%i %T", f"--states={LIVE_STATES}"]
        answer = subprocess.run(
            [*asked, f"--user={getpass.getuser()}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        states = dict(line.split() for line in answer.stdout.splitlines() if line.strip())
        return {number: states[number] for number in self.numbers() if number in states}

    def last_words(self, number: str) -> str:
        """Where a job's errors went, and the last line of them, or of what Slurm says there."""
        log = self.folder / number / f"{number}_0_log.err"
        try:
            text = log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return f"it left no log in {log.parent}"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return f"{log} is empty"
        said = [line for line in lines if line.startswith(("slurmstepd", "srun: error"))]
        return f"{log} says: {(said or lines)[-1]}"

    def _listed(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir()]
        numbers = list(filter(re.compile(r"\d+(_\d+)?").fullmatch, names))
        # A whole array has a directory as well, for what was submitted.
        arrays = {number.partition("_")[0] for number in numbers if "_" in number}
        return sorted(set(numbers) - arrays, key=_order)


def _order(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split("_")))


# After a launcher has returned: waiting for what it left running or queued.


LONGEST_PAUSE = 30.0
UNKNOWN = "unknown"
"""The state of a job that Slurm, asked, gives no answer on."""


def await_jobs(study: Path, cells: Sequence[Cell], jobs: SlurmJobs | None) -> None:
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
