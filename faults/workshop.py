"""The small study that is broken, how it should come out, and everything that must hold of it."""

import hashlib
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from faults.launches import Launch, launch, warm_up
from faults.moments import Plan, Tally
from faults.transplant import transplanted
from study.launch.reproduce.comparable import comparable, comparable_pretraining, differences
from study.launch.reproduce.saved import header_of
from study.outputs.cell import read_result
from study.outputs.clean import Leftover, leftovers
from study.outputs.records import FINISHED, read_cells, read_ledger
from study.outputs.verify import verify

BASE = (
    "data=image_folder",
    "data.val_size=200",
    "data.normalize=unit",
    "activation=sigmoid",
    "init=xavier_normal",
    "model.widths=[32,32]",
    "seeds=2",
    "optimizer.lr=[0.05,0.1]",
    "batch_size=50",
    "trainer.max_epochs=3",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "trainer.checkpoint_seconds=0",
    "pairs.points=3",
)
SIX = ("pretraining=none,'autoencoder epochs=2','rbm epochs=2'", "optimizer=sgd,adam")
"""6 cells, 2 of each pretraining."""
TWO = ("pretraining=none,'rbm epochs=2'", "optimizer=sgd")
"""2 cells, for a quick look."""
CROWD = (
    "pretraining=none,'autoencoder epochs=1'",
    "optimizer=sgd,adam",
    "batch_size=32,50",
    "model.dropout=0.0,0.1,0.2",
    "seeds=1",
    "pairs.points=0",
    "optimizer.lr=0.1",
)
"""24 cells of one replica, of which 12 share one pretraining."""
MOST_SHOWN = 5


@dataclass
class Row:
    """A line of the table: a fault, how often it struck, and what must not have happened."""

    fault: str
    struck: int = 0
    result: str = ""
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def expect(self, holds: object, otherwise: str) -> None:
        """Notes a violation unless something holds."""
        if not holds:
            self.wrong.append(otherwise)


@dataclass
class Study:
    """One study on disk, launched as often as it takes, and the tally of its processes.

    `log` is what the latest of them printed.
    """

    workshop: "Workshop"
    directory: Path
    axes: Sequence[str]
    tally: Tally
    log: Path
    num_launches: int = 0

    def launch(
        self, plan: Plan | None = None, *, command: str = "train", host: str | None = None
    ) -> Launch:
        """Starts `study train`, or another command that takes the same, on it, of some host."""
        self.num_launches += 1
        self.log = self.log.with_name(f"log {self.num_launches}")
        place = [
            f"data.root={self.workshop.images}",
            f"outputs_dir={self.directory.parent}",
            f"study={self.directory.name}",
        ]
        arguments = [command, "-m", *BASE, *place, *self.axes]
        return self.workshop.command(
            arguments, log=self.log, tally=self.tally, plan=plan, host=host
        )

    @property
    def cells(self) -> list[Path]:
        """The directories of the cells that its ledger lists."""
        ledger = read_ledger(self.directory)
        return [self.directory / cell.directory for cell in ledger.cells]

    def problems(self) -> list[str]:
        """What `study verify` finds; nothing before there is a ledger."""
        if not (self.directory / "study.json").exists():
            return []
        return verify(read_ledger(self.directory)).problems

    def _leftovers(self) -> list[Leftover]:
        ledger = read_ledger(self.directory)
        return leftovers(ledger, read_cells(ledger))

    def finished(self) -> dict[str, str]:
        """The finished cells, each with a hash over its record and the files that it names."""
        if not (self.directory / "study.json").exists():
            return {}
        found = {}
        for cell in read_cells(self.directory):
            if cell.result is not None and cell.status in FINISHED:
                digest = hashlib.sha256()
                for name in ("result.json", *sorted(cell.result.files)):
                    digest.update((cell.path / name).read_bytes())
                found[cell.directory] = digest.hexdigest()
        return found

    def check_unfinished(self, row: Row, before: dict[str, str]) -> dict[str, str]:
        """What must hold whenever a launch has ended; the finished cells by now."""
        now = self.finished()
        row.expect(before.items() <= now.items(), f"{self.log}: a finished cell has changed")
        row.expect("Traceback" not in self.log.read_text(), f"{self.log}: it printed a traceback")
        if problems := self.problems():
            row.wrong.append(f"{self.log}: study verify: {problems[0]}")
        return now

    def check_finished(self, row: Row, *, once: bool = True) -> None:
        """What must hold in the end: every cell as in the study that nothing happened to."""
        reference = self.workshop.reference(self.axes)
        row.wrong += [f"{self.log}: study verify: {line}" for line in self.problems()[:MOST_SHOWN]]
        try:
            found = differences(reference.content, content(self))
        except (OSError, ValueError) as error:
            row.wrong.append(f"{self.log}: {error}")
            return
        row.wrong += [f"{self.log}: {each}" for each in found[:MOST_SHOWN]]
        if once:
            counts = self.tally.counts()
            row.expect(
                max(counts.values(), default=0) <= 1, f"{self.log}: cells finished twice: {counts}"
            )
        left = [path for path in self.directory.rglob("*") if _is_passing(path)]
        known = {path for each in self._leftovers() for path in each.files}
        lost = sorted(set(left) - known)
        row.expect(not lost, f"{self.log}: study clean does not find {', '.join(map(str, lost))}")

    def check_report(self, row: Row) -> None:
        """The report is that of the reference, once it has the reference's times and provenance."""
        reference = self.workshop.reference(self.axes)
        twin = transplanted(self.directory, reference.study.directory, self.workshop.room())
        again = report(self.workshop, twin)
        row.expect(
            reference.report == again,
            f"{self.log}: reports differ in {sorted(_unequal(reference.report, again))[:3]}",
        )


def _unequal(one: dict[str, bytes], other: dict[str, bytes]) -> Iterator[str]:
    yield from (name for name in {*one, *other} if one.get(name) != other.get(name))


def _is_passing(path: Path) -> bool:
    """Whether a file is of those that a finished study needs no more."""
    names = ("lock", "owner.json", "checkpoint.safetensors", "error.txt")
    aside = ".damaged-" in path.parent.name
    return not aside and (path.name in names or path.name.endswith(".partial"))


def content(study: Study) -> dict[str, Any]:
    """All of a study that must come out the same, whatever happened to it."""
    caches = (study.directory / "pretraining").glob("*-*")
    return {
        "cells": {path.name: comparable(path) for path in study.cells if path.is_dir()},
        "pretraining": {path.name: comparable_pretraining(path) for path in sorted(caches)},
        "together": _together(study),
        "lost": [path.name for path in study.cells if not (path / "result.json").exists()],
    }


def _together(study: Study) -> dict[str, Any]:
    """Which replicas were trained together, and which seeds pretrained.

    The bits of networks this small do not tell: they are the same in any company.
    """
    records = [(path.name, read_result(path)) for path in study.cells if path.is_dir()]
    weights = sorted(study.directory.glob("pretraining/*/seed=*.safetensors"))
    return {
        **{name: record["provenance"].get("populations") for name, record in records},
        **{f"{path.parent.name} {path.stem}": header_of(path).get("seeds") for path in weights},
    }


@dataclass(frozen=True)
class Reference:
    """A study that nothing happened to."""

    study: Study
    content: dict[str, Any]
    moments: int
    seconds: float

    @cached_property
    def report(self) -> dict[str, bytes]:
        """Every file of its report."""
        directory = self.study.directory
        workshop = self.study.workshop
        return report(workshop, transplanted(directory, directory, workshop.room()))


def report(workshop: "Workshop", study: Path) -> dict[str, bytes]:
    """Every file of `study report` on a study."""
    log = study.with_suffix(".log")
    made = workshop.command(["report", study.name], log=log, tally=workshop.spare, cwd=study.parent)
    if made.end():
        raise RuntimeError(f"study report failed: {made.output}")
    root = study / "report"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


class Workshop:
    """A directory to break studies in, the images they train on, and the draw of what happens.

    `axes` are those of the study that is broken where no others are asked for.
    """

    def __init__(self, directory: Path, seed: int, axes: Sequence[str]) -> None:
        self.directory, self.draw, self.axes = directory, random.Random(seed), axes
        self.images, self.modules = directory / "images", directory / "modules"
        self.spare = Tally(directory / "spare finished", directory / "spare moments")
        self._references: dict[Sequence[str], Reference] = {}
        self._number = 0

    def room(self) -> Path:
        """A new empty directory."""
        self._number += 1
        path = self.directory / str(self._number)
        path.mkdir()
        return path

    def study(self, axes: Sequence[str] | None = None, *, outputs: Path | None = None) -> Study:
        """A new study, of which nothing is on disk; `outputs` is where it will be."""
        room = self.room()
        tally = Tally(room / "finished", room / "moments")
        place = (outputs or room) / "faults"
        return Study(self, place, axes or self.axes, tally, room / "log")

    def copy(self, original: Study) -> Study:
        """A study that is where another is."""
        study = self.study(original.axes)
        shutil.copytree(original.directory, study.directory, symlinks=True)
        return study

    def command(
        self,
        arguments: Sequence[str],
        *,
        log: Path,
        tally: Tally,
        plan: Plan | None = None,
        cwd: Path | None = None,
        host: str | None = None,
    ) -> Launch:
        """Starts a command of `study`."""
        place = cwd or self.directory
        modules = None if self._references else self.modules
        return launch(
            arguments, cwd=place, log=log, tally=tally, plan=plan, modules=modules, host=host
        )

    def reference(self, axes: Sequence[str] | None = None) -> Reference:
        """The study of these axes that nothing happened to, trained when it is first asked for."""
        axes = axes or self.axes
        if axes not in self._references:
            self._references[axes] = self._untouched(axes)
        return self._references[axes]

    def _untouched(self, axes: Sequence[str]) -> Reference:
        study = self.study(axes)
        if not self._references:
            # What a first launch has to import would count as its time.
            self.study(axes).launch().end()
            warm_up(self.modules)
        started = time.monotonic()
        running = study.launch()
        if running.end():
            raise RuntimeError(f"the study cannot be trained at all: {running.output}")
        seconds = time.monotonic() - started
        moments = study.tally.moments.stat().st_size
        return Reference(study, content(study), moments, seconds)
