"""A power cut at any moment leaves whole files, and a cell that a relaunch finishes as it would be.

A process that is killed leaves what it wrote to the system, which writes it out; a power cut does
not. So a missing fsync passes every kill. Here a model of the disk records what a program asks of
the system, and builds what may be there after a cut: what was written to a file since its last
fsync in full, in part or not at all; each name as it was after the last fsync of its directory, or
as any later change made it.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from study import files
from study.locks import owned
from study.outputs.checkpoint import CHECKPOINT, read_checkpoint
from study.outputs.records import LedgerCell, read_cell
from study.outputs.series import with_files_checked
from tests import tiny

State = Mapping[str, bytes]
"""The files of a disk, by their paths below its root."""
MOST_STATES = 300
"""So many states of one moment are looked at; fewer, where every writer flushes what it wrote."""


@dataclass(eq=False)
class File:
    """What a file holds on the disk, and what the program has written to it."""

    kept: bytes = b""
    now: bytes = b""

    def contents(self) -> set[bytes]:
        is_kept = self.kept == self.now
        return {self.now} if is_kept else {self.kept, self.now[: len(self.now) // 2], self.now}


@dataclass
class Disk:
    """What may be on a disk: for each name the files that it may stand for, the last one now."""

    root: Path
    names: dict[str, list[File | None]] = field(default_factory=dict)
    cuts: dict[frozenset[tuple[str, bytes]], State] = field(default_factory=dict)
    """Every state that a cut up to now could have left."""
    most: int = 0
    """The states of one moment."""

    def __post_init__(self) -> None:
        for path in self.root.iterdir():
            self.names[path.name] = [File(path.read_bytes(), path.read_bytes())]

    def name_of(self, path: object) -> str | None:
        """A path below the root, of a file that matters to the model."""
        whole = Path(str(path))
        is_ours = whole.is_relative_to(self.root) and ".tfevents." not in whole.name
        return str(whole.relative_to(self.root)) if is_ours else None

    def now(self, name: str) -> File | None:
        return self.names.get(name, [None])[-1]

    def point(self, name: str | None, file: File | None) -> None:
        if name is not None:
            self.names.setdefault(name, [None]).append(file)

    def read(self, path: object) -> None:
        """Takes over what was written to a file."""
        if (name := self.name_of(path)) and (file := self.now(name)):
            file.now = Path(str(path)).read_bytes()

    def settle(self) -> None:
        self.names = {name: choices[-1:] for name, choices in self.names.items()}

    def states(self) -> Iterator[State]:
        """What a cut at this moment may leave. Unfinished files lie about in every one."""
        whole = {name: set(each) for name, each in self.names.items() if ".partial" not in name}
        choices = [
            [(name, content) for file in each for content in (file.contents() if file else [None])]
            for name, each in whole.items()
        ]
        for chosen in itertools.product(*choices):
            yield {name: content for name, content in chosen if content is not None}

    def cut(self) -> None:
        """Keeps the states of this moment."""
        states = list(itertools.islice(self.states(), MOST_STATES))
        self.most = max(self.most, len(states))
        self.cuts |= {frozenset(state.items()): state for state in states}


@contextmanager
def recorded(root: Path, *, ignored: str | None = None) -> Iterator[Disk]:
    """A block whose changes of a directory a model of the disk follows.

    What is there is on the disk. An `ignored` fsync, of a `file` or a `directory`, does nothing.
    """
    disk = Disk(root)
    paths: dict[int, Path] = {}
    plain = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "link", "unlink")}
    opened = Path.open

    def open_file(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = opened(path, mode, *rest, **options)
        if mode in ("wb", "xb"):
            paths[os.fstat(file.fileno()).st_ino] = path
            disk.point(disk.name_of(path), File())
            disk.cut()
        return file

    def fsync(descriptor: int) -> Any:
        status = os.fstat(descriptor)
        is_root = os.path.samestat(status, root.stat())
        path = root if is_root else paths.get(status.st_ino, Path())
        if (name := disk.name_of(path)) is None:
            return plain["fsync"](descriptor)
        disk.read(path)
        disk.cut()
        if ignored == ("directory" if is_root else "file"):
            return None
        if is_root:
            disk.settle()
        elif file := disk.now(name):
            file.kept = file.now
        disk.cut()
        return None

    def renamed(change: str) -> Callable[..., None]:
        def call(source: Any, target: Any, **options: Any) -> None:
            disk.read(source)
            plain[change](source, target, **options)
            start, end = disk.name_of(source), disk.name_of(target)
            disk.point(end, disk.now(start) if start else None)
            if change != "link":
                disk.point(start, None)
            disk.cut()

        return call

    def unlink(path: Any, **options: Any) -> None:
        plain["unlink"](path, **options)
        if (name := disk.name_of(path)) in disk.names:
            disk.point(name, None)
        disk.cut()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_file)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "unlink", unlink)
        for change in ("replace", "rename", "link"):
            patch.setattr(os, change, renamed(change))
        yield disk


def built(state: State, root: Path) -> Path:
    """A disk on which there is this."""
    for name, content in state.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if path.name == "owner.json":
            os.utime(path, (0, 0))  # starting the machine took longer than owners are waited for
    return root


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_is_old_or_new_and_new_once_it_is_written(tmp_path: Path, old: bytes | None) -> None:
    if old is not None:
        (tmp_path / "name").write_bytes(old)
    with recorded(tmp_path) as disk:
        files.write_text(tmp_path / "name", "new")
        after = list(disk.states())
    assert {state.get("name") for state in disk.cuts.values()} == {old, b"new"}
    assert after == [{"name": b"new"}]


def a_cell(place: Path, root: Path) -> dict[str, Any]:
    """Trains a cell in three epochs, each of which ends with a checkpoint."""
    with owned(place, wait=False):
        return tiny.train_to(place, root, "trainer.checkpoint_seconds=0", "trainer.max_epochs=3")


def problems(place: Path, entry: LedgerCell) -> tuple[str, ...]:
    """What is wrong with a cell after a power cut: with its record, or with its checkpoint."""
    record = with_files_checked(read_cell(place, entry))
    found = record.problems
    path = place / CHECKPOINT
    if path.exists() and read_checkpoint(path, entry.signature, "nothing") is None:
        found += (f"{CHECKPOINT} is not whole",)
    return found


def cuts_of_a_cell(
    tmp_path: Path, root: Path, ignored: str | None = None
) -> tuple[dict[str, Any], LedgerCell, list[State]]:
    """A cell's record, its entry, and what cuts while it was trained can leave of its directory."""
    place = tmp_path / "study" / "cell"
    place.mkdir(parents=True)
    (place / "error.txt").write_text("of an earlier attempt")
    with recorded(place, ignored=ignored) as disk:
        record = a_cell(place, root)
    entry = LedgerCell("cell", record["signature"], record["factors"])
    assert (disk.most < MOST_STATES) == (ignored is None)
    return record, entry, list(disk.cuts.values())


def test_a_cell_is_finished_as_if_there_had_been_no_cut(tmp_path: Path, root: Path) -> None:
    record, entry, cuts = cuts_of_a_cell(tmp_path, root)
    kinds = [frozenset(state) for state in cuts]
    assert frozenset({"owner.json", "config.yaml", CHECKPOINT}) in kinds
    assert any("result.json" in kind for kind in kinds)
    for number, state in enumerate(cuts):
        place = built(state, tmp_path / str(number) / "cell")
        place.mkdir(parents=True, exist_ok=True)
        assert problems(place, entry) == (), sorted(state)
        if "result.json" not in state:
            weights = [each["weights_sha256"] for each in a_cell(place, root)["replicas"]]
            assert weights == [each["weights_sha256"] for each in record["replicas"]]
            assert problems(place, entry) == ()


@pytest.mark.parametrize(
    ("ignored", "found"),
    [("file", f"{CHECKPOINT} is not whole"), ("directory", "cell/curves.csv is not used")],
)
def test_the_model_finds_a_missing_fsync(
    tmp_path: Path, root: Path, ignored: str, found: str
) -> None:
    _, entry, cuts = cuts_of_a_cell(tmp_path, root, ignored)
    places = (built(state, tmp_path / str(number) / "cell") for number, state in enumerate(cuts))
    assert any(found in line for place in places for line in problems(place, entry))
