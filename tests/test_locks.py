"""A directory has one owner at a time, whoever dies where."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from study import locks
from study.locks import (
    DAMAGED_SECONDS,
    LOCK,
    OWNER,
    KernelLock,
    Lost,
    Owned,
    Owner,
    Ownership,
    owned,
    owner_of,
    read_owner,
)
from tests.many_processes import await_that, ended, launched, notes


def overlaps(directory: Path) -> list[list[str]]:
    """Each entry of the log at which another process was inside that went out later."""
    lines = notes(directory)
    outs = {(process, index) for index, (what, process) in enumerate(lines) if what == "out"}
    last_in: dict[str, int] = {}
    found = []
    for index, (what, process) in enumerate(lines):
        if what == "out":
            del last_in[process]
            continue
        found += [
            lines[index]
            for other, since in last_in.items()
            if any(who == other and since < when for who, when in outs)
        ]
        last_in[process] = index
    return found


def test_the_rounds_of_four_processes_never_overlap(tmp_path: Path) -> None:
    ended([launched("rounds", tmp_path, 50) for _ in range(4)])
    assert len(notes(tmp_path)) == 4 * 50 * 2
    assert overlaps(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_nor_do_those_of_hosts_that_see_each_others_heartbeat_alone(tmp_path: Path) -> None:
    """Each host has a lock of its own; all processes of one are killed on the way, inside."""
    doomed = launched("rounds", tmp_path, 10_000, "a")
    others = [launched("rounds", tmp_path, 40, host) for host in ("b", "b", "c")]
    await_that(lambda: len(notes(tmp_path)) > 40)
    await_that(lambda: _killed_inside(tmp_path, doomed))
    ended(others)
    assert overlaps(tmp_path) == []
    assert sum(what == "out" for what, _ in notes(tmp_path)) >= 3 * 40


def _killed_inside(directory: Path, process: "subprocess.Popen[str]") -> bool:
    """Stops a process; kills it if it is inside then, else lets it go on."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.005)
    if notes(directory)[-1] != ["in", str(process.pid)]:
        process.send_signal(signal.SIGCONT)
        return False
    process.kill()
    process.communicate()
    return True


def test_an_owner_is_named_while_it_works_and_leaves_nothing(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    with owned(tmp_path, wait=False):
        owner = owner_of(tmp_path)
        assert owner is not None
        assert (owner.host, owner.pid) == (platform.node(), os.getpid())
        assert owner.label == f"host {platform.node()}, process {os.getpid()}"
        content = json.loads((tmp_path / OWNER).read_text())
        assert {"host", "pid", "process_start", "started"} <= content.keys()
        with pytest.raises(Owned, match=f"host .*, process {os.getpid()} works in"):
            owned(tmp_path, wait=False).__enter__()
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, OWNER}
    assert owner_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_killed_owner_is_recognized_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from study.locks import owned\n"
        "with owned(Path(sys.argv[1]), wait=False): print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        owner = owner_of(tmp_path)
        assert owner is not None
        assert owner.pid == process.pid
        process.send_signal(signal.SIGKILL)
        await_that(lambda: owner_of(tmp_path) is None)
        assert not owner.is_running
    assert read_owner(tmp_path / OWNER) == owner
    assert owner_of(tmp_path) is None
    with owned(tmp_path, wait=False):
        assert read_owner(tmp_path / OWNER) != owner
    assert list(tmp_path.iterdir()) == []


def test_whoever_waits_is_told_once_for_whom(tmp_path: Path) -> None:
    said: list[str] = []
    got: list[str] = []

    def wait() -> None:
        with owned(tmp_path, wait=True, say=said.append):
            got.append("it")

    waiting = threading.Thread(target=wait)
    with owned(tmp_path, wait=False):
        waiting.start()
        await_that(lambda: bool(said))
        time.sleep(0.3)
        assert got == []
    waiting.join()
    assert got == ["it"]
    assert said == [
        f"waiting for {tmp_path}: host {platform.node()}, process {os.getpid()} works there"
    ]


def of_another_host(directory: Path, silent: float, **changes: Any) -> Owner:
    """Makes an owner of another host, last heard of so many seconds ago."""
    content = {"host": "elsewhere", "pid": 7, "process_start": 1, "started": "2026-11-01T00:00:00Z"}
    path = directory / OWNER
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    os.utime(path, (time.time() - silent, time.time() - silent))
    owner = read_owner(path)
    assert owner is not None
    return owner


@contextmanager
def taken_over(directory: Path) -> Iterator[Ownership]:
    """A process of another host owns a directory of this one's, which slept for too long."""
    with pytest.MonkeyPatch.context() as there:
        there.setattr(platform, "node", lambda: "elsewhere")
        there.setattr("study.locks._flock", lambda *_, **__: None)
        there.setattr(locks, "_held", {})
        theirs = None
        while theirs is None:  # as often as the other's heart beats in between
            os.utime(directory / OWNER, (0, 0))
            other = owned(directory, wait=False)
            with suppress(Owned):
                theirs = other.__enter__()
    try:
        yield theirs
    finally:
        other.__exit__(None, None, None)


def test_another_hosts_owner_lives_while_its_heart_beats(tmp_path: Path) -> None:
    owner = of_another_host(tmp_path, silent=30)
    assert owner_of(tmp_path) == owner
    with pytest.raises(Owned) as error:
        owned(tmp_path, wait=False).__enter__()
    assert error.value.owner.label == "host elsewhere, process 7"
    assert read_owner(tmp_path / OWNER) == owner
    owner = of_another_host(tmp_path, silent=100)
    assert owner_of(tmp_path) is None
    with owned(tmp_path, wait=False):
        assert read_owner(tmp_path / OWNER) != owner


def test_a_host_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    of_another_host(tmp_path, silent=30, host=platform.node(), boot="another start of it")
    assert owner_of(tmp_path) is not None
    with pytest.raises(Owned):
        owned(tmp_path, wait=False).__enter__()


def test_where_there_are_no_locks_this_hosts_processes_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.locks._flock", lambda *_, **__: None)
    with owned(tmp_path, wait=False):
        assert owner_of(tmp_path) is not None
        with pytest.raises(Owned):
            owned(tmp_path, wait=False).__enter__()
    of_another_host(tmp_path, silent=0, host=platform.node(), pid=os.getpid(), process_start=1)
    assert owner_of(tmp_path) is None
    with owned(tmp_path, wait=False):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"host": 3, "pid": "x"}'])
def test_a_damaged_owner_is_an_unknown_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / OWNER
    path.write_bytes(content)
    assert owner_of(tmp_path) == Owner()
    with pytest.raises(Owned, match="another process"):
        owned(tmp_path, wait=False).__enter__()
    # Nobody keeps such a file alive: it is waited for as long as writing one can take.
    written = time.time() - DAMAGED_SECONDS - 0.1
    os.utime(path, (written, written))
    assert owner_of(tmp_path) is None
    with owned(tmp_path, wait=False):
        assert read_owner(path) not in (None, Owner())


def test_the_heart_beats_and_sees_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.01)
    path = tmp_path / OWNER
    with owned(tmp_path, wait=False) as mine:
        os.utime(path, (0, 0))
        await_that(lambda: path.stat().st_mtime > 0)
        mine.check()
        with taken_over(tmp_path) as theirs:
            with pytest.raises(Lost, match="taken over by host elsewhere, process"):
                mine.check()
            theirs.check()
        # The heart does not beat for a directory that another has had, and left again.
        time.sleep(0.1)
        assert not path.exists()
        with pytest.raises(Lost, match="taken over by another process"):
            mine.check()
        of_another_host(tmp_path, silent=0)
    assert path.exists()


def test_a_lock_whose_file_is_gone_is_none(tmp_path: Path) -> None:
    first, second = KernelLock(tmp_path / LOCK), KernelLock(tmp_path / LOCK)
    assert first.acquire()
    assert locks._is_locked(tmp_path / LOCK)
    assert not second.acquire()
    first.remove()
    assert not first.is_at_its_path()
    assert second.acquire()
    first.release()
    assert second.is_at_its_path()
    second.release()
    assert not locks._is_locked(tmp_path / LOCK)


def test_a_directory_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        owned(tmp_path / "nowhere", wait=True).__enter__()
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OSError, match="directory"):
        owned(tmp_path, wait=True).__enter__()


def test_where_links_cannot_be_made_the_owner_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with owned(tmp_path, wait=False), pytest.raises(Owned, match=f"process {os.getpid()}"):
        owned(tmp_path, wait=False).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_one_that_died_while_it_broke_another_is_in_nobodys_way(tmp_path: Path) -> None:
    gone = {"host": platform.node(), "boot": Owner.myself().boot, "token": "ab"}
    first = of_another_host(tmp_path, silent=0, **gone)
    (tmp_path / OWNER).rename(tmp_path / f".{OWNER}.ab.partial")
    assert of_another_host(tmp_path, silent=0, **gone) == first
    with owned(tmp_path, wait=False):
        assert read_owner(tmp_path / OWNER) != first
    assert list(tmp_path.iterdir()) == []


def test_a_dead_owner_has_one_successor(tmp_path: Path) -> None:
    of_another_host(tmp_path, silent=100, token="ab")
    breaker = tmp_path / f".{OWNER}.ab.partial"
    breaker.write_bytes(Owner.myself().json())
    with pytest.raises(Owned, match=f"process {os.getpid()}"):
        owned(tmp_path, wait=False).__enter__()
    breaker.unlink()
    with owned(tmp_path, wait=False):
        pass


def test_what_others_are_about_to_claim_by_stays(tmp_path: Path) -> None:
    names = {f".{OWNER}.ab.partial", f"..{OWNER}.ab.partial.0123.7.partial"}
    for name in (*names, ".curves.csv.0123.7.partial"):
        (tmp_path / name).touch()
    with owned(tmp_path, wait=False):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, OWNER, *names}


def test_what_the_dead_were_about_to_claim_by_goes(tmp_path: Path) -> None:
    dead = Owner(host=platform.node(), pid=7, process_start=0, boot=Owner.myself().boot, token="ab")
    (tmp_path / f".{OWNER}.0123.7.partial").write_bytes(dead.json())
    mine = tmp_path / f".{OWNER}.4567.8.partial"
    mine.write_bytes(Owner.myself().json())
    with owned(tmp_path, wait=False):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, OWNER, mine.name}


def test_it_goes_where_only_some_files_are_the_owners(tmp_path: Path) -> None:
    dead = Owner(host=platform.node(), pid=7, process_start=0, boot=Owner.myself().boot, token="ab")
    (tmp_path / f".{OWNER}.0123.7.partial").write_bytes(dead.json())
    other = tmp_path / ".report.html.0123.7.partial"
    other.touch()
    with owned(tmp_path, wait=False, files=("study.json",)):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, OWNER, other.name}
