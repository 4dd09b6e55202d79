"""A study shared by processes that stop, wake and die at any step: no cell is written by two.

The processes are threads of which one runs at a time, by a clock of their own. Before each of its
steps on the disk a process waits for a moment, and may be stopped for longer than others wait, or
killed, as the seed has it. Everything else is as always: `Sharing`, files, locks and heartbeats.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study import locks
from study.files import write_json, write_text
from study.launch import sharing
from study.locks import HEARTBEAT_SECONDS, STALE_SECONDS, owned
from study.outputs.results import Result, parse_result
from tests.many_processes import cell, record_of

NUM_SEEDS = 40
BEGINNING = 1e9
"""The time at which each simulation starts."""
STEP_SECONDS = 0.02
"""At most so long a step on the disk takes, unless its process is stopped."""
MOST_STOPS = 10
"""Of one process: then it gets on with its work."""
LATEST = BEGINNING + 3 * 3600.0


class Killed(BaseException):
    """Ends a thread of a process that is dead: it does nothing more."""


@dataclass
class Process:
    host: str
    pid: int
    asleep_until: float = 0.0
    is_killed: bool = False
    was_silent: bool = False
    num_stops: int = 0
    held: dict[Path, locks.Ownership] = field(default_factory=dict)
    descriptors: set[int] = field(default_factory=set)


class Thread:
    """A thread of a simulated process, which runs when the world lets it."""

    def __init__(self, world: "World", process: Process, target: Callable[[], None]) -> None:
        self.world, self.process, self.target = world, process, target
        self.wake, self.is_done = world.clock, False
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.world.threads.append(self)
        self.thread.start()

    def join(self) -> None:
        while not self.is_done:
            self.world.sleep(0.001)

    def _run(self) -> None:
        self.turn.acquire()
        try:
            with suppress(Killed):
                self.world.sleep(0.0)
                self.target()
        except BaseException as error:
            self.world.wrong.append(f"process {self.process.pid}: {error!r}")
        self.is_done = True
        self.world.back.release()


class Event:
    """An event that a thread of the world waits for."""

    def __init__(self, world: "World") -> None:
        self.world, self.is_set = world, False
        self.waiting: Thread | None = None

    def set(self) -> None:
        self.is_set = True
        if self.waiting:
            self.waiting.wake = self.world.clock

    def wait(self, seconds: float) -> bool:
        self.waiting = self.world.current
        if not self.is_set:
            self.world.sleep(seconds)
        return self.is_set


class World:
    """Processes, the clock, and what they did; `stops` and `kills` are chances of a step."""

    def __init__(
        self, study: Path, seed: int, kernel_locks: str, *, stops: float = 0.0, kills: float = 0.0
    ) -> None:
        self.study, self.draw, self.kernel_locks = study, random.Random(seed), kernel_locks
        self.stops, self.kills = stops, kills
        self.lengths = [share * STALE_SECONDS for share in (0.1, 0.9, 1.1, 3.0)]
        self.clock = BEGINNING
        self.current: Thread | None = None
        self.threads: list[Thread] = []
        self.back = threading.Semaphore(0)
        self.workers: dict[Path, Process] = {}
        self.begun: list[tuple[float, str, Process]] = []
        self.results: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, until: float = LATEST) -> None:
        """Lets the threads run, whoever is next, until all have ended."""
        while living := [each for each in self.threads if not each.is_done]:
            thread = min(living, key=lambda each: max(each.wake, each.process.asleep_until))
            due = max(thread.wake, thread.process.asleep_until)
            if due > until:
                return
            self.clock, self.current = max(self.clock, due), thread
            locks._held = self.here.held
            if self.kernel_locks == "of each host":
                locks.LOCK = f"lock of {self.here.host}"
            thread.turn.release()
            self.back.acquire()
            self._close_files(thread.process)
        self.current = None

    def _close_files(self, process: Process) -> None:
        """The kernel closes what a dead process had open."""
        own = [each for each in self.threads if each.process is process]
        if process.is_killed and all(each.is_done for each in own):
            for descriptor in process.descriptors:
                os.close(descriptor)
            process.descriptors.clear()

    def kill(self, process: Process) -> None:
        process.is_killed, process.asleep_until = True, self.clock
        for thread in self.threads:
            if thread.process is process:
                thread.wake = self.clock

    def sleep(self, seconds: float) -> None:
        """Lets others run, for so long."""
        thread = self.current
        assert thread is not None
        if thread.process.is_killed:
            raise Killed
        thread.wake = self.clock + seconds
        self.back.release()
        thread.turn.acquire()
        if thread.process.is_killed:
            raise Killed

    def step(self) -> None:
        """The moment before a step on the disk."""
        process, chance = self.here, self.draw.random()
        if not process.is_killed and chance < self.kills and self._others(process):
            self.kill(process)
        elif chance > 1.0 - self.stops and process.num_stops < MOST_STOPS:
            process.num_stops += 1
            seconds = self.draw.choice(self.lengths)
            process.was_silent |= seconds > STALE_SECONDS - HEARTBEAT_SECONDS - 1.0
            process.asleep_until = self.clock + seconds
        self.sleep(STEP_SECONDS * self.draw.random())

    def _others(self, process: Process) -> bool:
        """Whether another process is left to do the work."""
        return any(
            not each.is_done and not each.process.is_killed
            for each in self.threads
            if each.process is not process
        )

    def share(self, process: Process, num_cells: int) -> None:
        """Starts a process that trains cells with the others."""

        def train(cell: Any, directory: Path, tick: Callable[[int], None]) -> Result:
            self.begun.append((self.clock, cell.directory, process))
            for epoch in range(3):
                self.sleep(self.draw.uniform(10.0, 60.0))
                tick(1)
                write_text(directory / "checkpoint.safetensors", f"{process.pid} {epoch}")
            write_json(directory / "result.json", record := record_of(cell))
            return parse_result(record)

        progress: Any = SimpleNamespace(
            **dict.fromkeys(("say", "passed", "finished"), lambda *_: None),
            cell=lambda _: nullcontext(lambda count: None),
        )
        cells: list[Any] = [cell(number) for number in range(num_cells)]

        def work() -> None:
            failures = list(sharing.Sharing(self.study, progress, train).each(cells))
            self.wrong += [f"process {process.pid}: {each}" for each in failures if each]

        Thread(self, process, work).start()

    @property
    def here(self) -> Process:
        assert self.current is not None
        return self.current.process

    def is_inside(self) -> bool:
        """Whether it is a thread of the world that asks."""
        return self.current is not None and threading.current_thread() is self.current.thread

    def _stepping(self, name: str) -> Callable[..., Any]:
        """A system call that takes a moment, by the world's clock."""
        plain = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if not self.is_inside():
                return plain(*arguments, **options)
            self.step()
            if name == "utime":
                options["times"] = (self.clock, self.clock)
            done = plain(*arguments, **options)
            if name == "open":
                self.here.descriptors.add(done)
            if name == "replace":
                self._replaced(Path(arguments[1]))
            return done

        return call

    def _replaced(self, path: Path) -> None:
        if self.workers[path.parent] is not self.here:
            self.wrong.append(f"{path} was written late, by process {self.here.pid}")
        if path.name == "result.json":
            self.results[path.parent.name] += 1

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Puts the world between its processes and the system."""
        close, open_file, pid, flock = os.close, Path.open, os.getpid, locks._flock

        def close_file(descriptor: int) -> None:
            if self.is_inside():
                self.here.descriptors.discard(descriptor)
            close(descriptor)

        def open_path(path: Path, *how: Any, **options: Any) -> Any:
            if self.is_inside():
                self.step()
            return open_file(path, *how, **options)

        def fsync(descriptor: int) -> None:
            self.step()
            os.utime(descriptor)

        @contextmanager
        def working(directory: Path, **how: Any) -> Iterator[locks.Ownership]:
            with owned(directory, **how) as ownership:
                with suppress(OSError), open_file(directory / "owner.json", "rb") as file:
                    if file.read() == ownership.owner.json():
                        self.workers[directory] = self.here
                yield ownership

        def process_start(pid: int) -> int | None:
            alive = {each.process.pid for each in self.threads if not each.process.is_killed}
            return pid if pid in alive else None

        clock = {**vars(time), "time": lambda: self.clock, "sleep": self.sleep}
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "rename", "replace", "link", "unlink", "utime"):
                patch.setattr(os, name, self._stepping(name))
            patch.setattr(os, "fsync", fsync)
            patch.setattr(os, "close", close_file)
            patch.setattr(os, "getpid", lambda: self.here.pid if self.is_inside() else pid())
            patch.setattr(Path, "open", open_path)
            patch.setattr(sharing, "owned", working)
            for name, value in {
                "time": SimpleNamespace(**clock),
                "platform": SimpleNamespace(node=lambda: self.here.host),
                "secrets": SimpleNamespace(
                    token_hex=lambda count: self.draw.randbytes(count).hex()
                ),
                "threading": SimpleNamespace(
                    Event=lambda: Event(self),
                    Thread=lambda target, **_: Thread(self, self.here, target),
                ),
                "_process_start": process_start,
                "_held": {},
                "LOCK": "lock",
                "_flock": (lambda *_, **__: None) if self.kernel_locks == "none" else flock,
            }.items():
                patch.setattr(locks, name, value)
            patch.setattr(sharing, "time", SimpleNamespace(**clock))
            yield

    def check(self, num_cells: int) -> None:
        """The laws."""
        assert self.wrong == []
        assert not [each for each in self.threads if not each.is_done], "it does not end"
        names = [cell(number).directory for number in range(num_cells)]
        assert self.results == dict.fromkeys(names, 1)
        for name in names:
            begun = [process for _, cell, process in self.begun if cell == name]
            alive = [each for each in begun if not each.is_killed and not each.was_silent]
            assert len(alive) <= 1, f"{name} is trained twice"


DISKS = [("of the disk", "aaa"), ("of each host", "aabc"), ("none", "abb")]
"""Whether hosts see each other's locks, and the hosts of the processes."""


@pytest.mark.parametrize("chances", [(0.0, 0.0), (0.01, 0.0), (0.005, 0.005)], ids=str)
@pytest.mark.parametrize(("kernel_locks", "hosts"), DISKS)
def test_no_cell_is_written_by_two(
    tmp_path: Path, kernel_locks: str, hosts: str, chances: tuple[float, float]
) -> None:
    for seed in range(NUM_SEEDS):
        study = tmp_path / str(seed)
        study.mkdir()
        world = World(study, seed, kernel_locks, stops=chances[0], kills=chances[1])
        with world.patched():
            for pid, host in enumerate(hosts, start=1000):
                world.share(Process(host, pid), 3)
            world.run()
        world.check(3)


@pytest.mark.parametrize(("kernel_locks", "hosts"), DISKS)
def test_a_dead_owner_has_one_successor(tmp_path: Path, kernel_locks: str, hosts: str) -> None:
    """All find it dead at once, and are stopped on their way to its place, yet not for long."""
    for seed in range(NUM_SEEDS):
        study = tmp_path / str(seed)
        directory = study / cell(0).directory
        directory.mkdir(parents=True)
        (directory / "owner.json").write_text('{"host": "d", "pid": 7, "token": "ab"}')
        os.utime(directory / "owner.json", (0, 0))
        world = World(study, seed, kernel_locks, stops=0.1)
        world.lengths = [0.1, 5.0]
        with world.patched():
            for pid, host in enumerate(hosts, start=1000):
                world.share(Process(host, pid), 1)
            world.run()
        world.check(1)


@pytest.mark.parametrize(("kernel_locks", "hosts"), DISKS)
def test_a_dead_owner_is_replaced_at_once_on_its_host_and_after_its_lease_on_another(
    tmp_path: Path, kernel_locks: str, hosts: str
) -> None:
    for seed in range(NUM_SEEDS):
        study = tmp_path / str(seed)
        study.mkdir()
        world = World(study, seed, kernel_locks)
        first, second = Process(hosts[0], 1000), Process(hosts[-1], 1001)
        with world.patched():
            world.share(first, 1)
            world.run(BEGINNING + 1.0)
            world.share(second, 1)
            died = world.draw.uniform(2.0, 3.0)
            world.run(BEGINNING + died)
            world.kill(first)
            world.run()
        world.check(1)
        assert [process for *_, process in world.begun] == [first, second]
        waited = world.begun[1][0] - BEGINNING - died
        if first.host == second.host:
            assert waited < 5.0
        else:
            assert STALE_SECONDS - HEARTBEAT_SECONDS - 5.0 < waited < STALE_SECONDS + 5.0
