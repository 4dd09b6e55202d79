"""One progress bar for a whole sweep, with the time left."""

import contextlib
import errno
import math
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from study.config.configuration import RECONSTRUCTION
from study.config.labels import counted
from study.outputs.metrics import METRICS
from study.outputs.results import TORCH, Provenance, Result

if TYPE_CHECKING:
    from study.config.sweep import Cell


class SweepProgress:
    """The bar of a sweep; where output is no terminal, a line for each cell alone.

    `alone`: this is one of several processes that print at the same time, each of which knows its
    own cell alone, so that there is no bar and no cell has a number. `bar`: there is to be one.
    """

    def __init__(
        self, num_cells: int, total: int, *, alone: bool = False, bar: bool = True
    ) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.num_cells = num_cells
        self.alone = alone
        self.started = 0
        self._said: set[str] = set()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            disable=alone or not bar or not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> "SweepProgress":
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        """Prints a line above the bar; that a full disk cannot take it stops no sweep."""
        try:
            self.console.print(line, markup=False)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    @contextlib.contextmanager
    def cell(self, cell: "Cell") -> Iterator[Callable[[float], None]]:
        """The span of one cell; yields what to call after an epoch of some replicas."""
        begun = self.bar.tasks[0].completed
        self._start_another()
        try:
            yield lambda count: self.bar.advance(self.task, count)
        except BaseException:
            self.started -= 1
            self.bar.update(self.task, completed=begun)
            raise
        self.bar.update(self.task, completed=begun + cell.replica_epochs)

    def passed(self, cell: "Cell") -> None:
        """Counts a cell that ended elsewhere."""
        self._start_another()
        self.bar.advance(self.task, cell.replica_epochs)

    def _start_another(self) -> None:
        self.started += 1
        self.bar.update(self.task, description=f"cell {self.started}/{self.num_cells}")

    def finished(self, cell: "Cell", result: Result) -> None:
        """Prints what a cell came to: the mean over seeds at its chosen learning rate.

        How replicas were trained together is said once for each way of it.
        """
        provenance = result.provenance
        if provenance.packing and (not self.alone or provenance.alone):
            line = packing_text(cell.config.population.engine, provenance)
            if line not in self._said:
                self._said.add(line)
                self.say(line)
        number = "" if self.alone else f"[{self.started}/{self.num_cells}] "
        self.say(
            f"{number}{cell.label}: {error_text(result)} at lr {result.chosen_lr:g}, "
            f"{result.wall_seconds:.1f} s"
        )
        if broken := sum(replica.symmetry_broken is not None for replica in result.replicas):
            self.say(
                f"{number}{cell.label}: rounding told apart units that started equal, in "
                f"{broken} of {counted(len(result.replicas), 'replica')} "
                "(symmetry_broken in result.json)"
            )


def error_text(result: Result) -> str:
    """The mean test error over seeds at the chosen learning rate, such as `test error 1.72 %`.

    Where replicas diverged it is the median: `2 of 5 diverged, median test error 90.20 %`.
    """
    found = result.value(METRICS["test_error"])
    errors, lost = list(found.values.values()), found.num_diverged
    number = median(errors) if lost else sum(errors) / len(errors)
    said = f"{lost} of {len(errors)} diverged, median " if lost else ""
    if result.task != RECONSTRUCTION:
        return f"{said}test error {100 * number:.2f} %"
    return f"{said}squared error {f'{number:.2f}' if math.isfinite(number) else 'not finite'}"


def packing_text(asked: str, provenance: Provenance) -> str:
    """How replicas were trained together, such as `2 stacks of 6 replicas, on 2 threads`."""
    sizes = provenance.packing
    shape = " and ".join(
        f"{counted(number, 'stack')} of {size} replicas" if size > 1 else f"{number} alone"
        for size, number in sorted(Counter(sizes).items(), reverse=True)
    )
    threads = counted(provenance.threads, "thread")
    why = f" ({provenance.alone})" if provenance.alone else ""
    by = "" if provenance.products == TORCH else f", products by {provenance.products}"
    return f"engine {provenance.engine} (population.engine={asked}): {shape}, on {threads}{by}{why}"
