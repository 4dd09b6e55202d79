"""Malformed files and command lines: no traceback, and no finished cell is ever changed by them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bad_input import overrides
from tiny_launch import TINY

from study.__main__ import main
from study.outputs.sealed import seal

Damage = Callable[[bytes], bytes]
Output = pytest.CaptureFixture[str]
SWEEP = (
    *("train", "-m", *TINY, "activation=relu,tanh", "outputs_dir=.", "study=s"),
    *("seeds=2", "pairs.points=3"),
)
CELL_FILES = (
    *("result.json", "config.yaml", "curves.csv", "probes.csv", "pairs.csv"),
    *("predictions.npz", "filters.npz", "weights.safetensors"),
)
STRAY = ("lock", "owner.json", "checkpoint.safetensors", "error.txt")
BESIDE = ("preflight.json", "pretraining/rbm-01234567/seed=0.safetensors", ".study.json.lock")
HARMLESS = (0, 1)
"""What a command answers that can do its work all the same: all is well, or something is not."""

bounded = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished study of two cells."""
    path = tmp_path_factory.mktemp("trained")
    with inside(path):
        assert main(SWEEP) == 0
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


class inside:  # noqa: N801
    """A block in another working directory."""

    def __init__(self, path: Path) -> None:
        self.path, self.before = path, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self.path)

    def __exit__(self, *exception: object) -> None:
        os.chdir(self.before)


def copied(trained: Path, scratch: Path) -> Path:
    shutil.rmtree(scratch)
    shutil.copytree(trained, scratch)
    return scratch / "s"


def cells_of(study: Path) -> list[Path]:
    return sorted(path.parent for path in study.glob("mnist-*/config.yaml"))


def contents(cell: Path) -> dict[str, str]:
    """A hash of each of the files that make a finished cell."""
    return {
        name: hashlib.sha256((cell / name).read_bytes()).hexdigest()
        for name in CELL_FILES
        if (cell / name).is_file()
    }


def said(capsys: Output, status: int) -> str:
    """What a command said; of bad input it must be one line."""
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    if status == 2:
        assert err.startswith("study: ")
        assert err.count("\n") == 1
    return str(out + err)


# Damage

shares = st.floats(0, 1, exclude_max=True)
JUNK = ["", "null", "[]", "{}", "[[[[", '{"schema": 1}', "a: [1", "1e999", "\x00\x00", "{" * 3000]
junk = st.one_of(st.binary(max_size=60), st.sampled_from(JUNK).map(str.encode))


def truncated(share: float) -> Damage:
    return lambda content: content[: int(share * len(content))]


def flipped(flips: list[tuple[float, int]]) -> Damage:
    def flip(content: bytes) -> bytes:
        changed = bytearray(content or b"\x00")
        for share, bit in flips:
            changed[int(share * len(changed))] ^= 1 << bit
        return bytes(changed)

    return flip


def spliced(share: float, piece: bytes) -> Damage:
    def splice(content: bytes) -> bytes:
        place = int(share * len(content))
        return content[:place] + piece + content[place:]

    return splice


damages = st.one_of(
    st.builds(truncated, shares),
    st.builds(flipped, st.lists(st.tuples(shares, st.integers(0, 7)), min_size=1, max_size=3)),
    st.builds(spliced, shares, st.binary(min_size=1, max_size=20)),
    junk.map(lambda content: lambda _: content),
)
places = st.one_of(
    st.tuples(st.just("s"), st.sampled_from(["study.json", *BESIDE])),
    st.tuples(st.just("cell"), st.sampled_from([*CELL_FILES, *STRAY])),
)
READERS = (
    ["status", "s"],
    ["status", "s", "--json"],
    ["table", "s"],
    ["verify", "s"],
    ["clean", "s"],
)


def damage(study: Path, place: tuple[str, str], change: Damage) -> Path:
    """Damages one file of the study, or of its first cell; makes it if it is not there."""
    path = (study if place[0] == "s" else cells_of(study)[0]) / place[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(change(path.read_bytes() if path.exists() else b""))
    return path


@bounded
@given(places, damages, st.sampled_from(READERS))
def test_no_damage_makes_a_reader_stumble_or_write(
    capsys: Output,
    trained: Path,
    scratch: Path,
    place: tuple[str, str],
    change: Damage,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    damage(study, place, change)
    before = [contents(cell) for cell in cells_of(study)]
    with inside(scratch):
        status = main(command)
    said(capsys, status)
    assert status in HARMLESS or place[1] == "study.json" or command[0] == "table"
    if command[0] == "verify" and place[1] in CELL_FILES:
        assert status == int(contents(cells_of(study)[0]) != contents(cells_of(trained / "s")[0]))
    assert [contents(cell) for cell in cells_of(study)] == before


@settings(bounded, max_examples=40)
@given(places, damages)
def test_a_launch_after_any_damage_trains_what_is_damaged_and_nothing_else(
    capsys: Output, trained: Path, scratch: Path, place: tuple[str, str], change: Damage
) -> None:
    study = copied(trained, scratch)
    before = {cell.name: contents(cell) for cell in cells_of(study)}
    path = damage(study, place, change)
    if path.name == "owner.json":
        os.utime(path, (0, 0))
    with inside(scratch):
        status = main(SWEEP)
        words = said(capsys, status)
        if status == 2:
            assert path.name == "study.json"
            assert path.name in words
        else:
            assert status == 0
            assert main(["verify", "s"]) == int(place[1] in BESIDE[:2])
    capsys.readouterr()
    after = {cell.name: contents(cell) for cell in cells_of(study)}
    assert all(after[name] == before[name] for name in before if name != path.parent.name)


# A ledger as older versions wrote it, which proves nothing, with any one value another

values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 2**70, 1.5, "", "x", "../x", "a/b", [], [None], {}, {"a": {}}, [[1]]]
)


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key])


@bounded
@given(st.integers(0, 10**6), values, st.sampled_from([*READERS, [*SWEEP, "--dry-run"]]))
def test_a_ledger_with_another_value_is_read_or_refused(
    capsys: Output,
    trained: Path,
    scratch: Path,
    number: int,
    value: Any,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    ledger = json.loads((study / "study.json").read_text(encoding="utf-8"))
    del ledger["sha256"]
    found = [*places_in(ledger), *5 * [(ledger, key) for key in ledger]]
    container, key = found[number % len(found)]
    container[key] = value
    (study / "study.json").write_text(json.dumps(ledger), encoding="utf-8")
    shutil.rmtree(cells_of(study)[-1])
    before = [contents(cell) for cell in cells_of(study)]
    with inside(scratch):
        said(capsys, main(command))
    assert [contents(cell) for cell in cells_of(study)] == before


# Records with a valid seal that were made by hand

SEALED = ("result.json", "study.json")
TABLES = ("curves.csv", "probes.csv", "pairs.csv")
fields = st.sampled_from(["", "x", "nan", "-1", "1.5", "1e999", "9" * 30, "1,2", '"', "inf"])
DROPPED = "(dropped)"
forged: st.SearchStrategy[Any] = st.sampled_from(
    [DROPPED, None, True, 0, -1, 2**70, 1.5, 1e300, "", "x", "../x", [], [None], {}, {"a": {}}]
)
REPORT = ["report", "s"]


def reseal(study: Path) -> None:
    """Gives both records of a study, and the tables that they name, hashes that fit."""
    cell = cells_of(study)[0]
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))
    files = record.get("files")
    for name in TABLES if isinstance(files, dict) else ():
        if (cell / name).is_file() and name in files:
            files[name] = hashlib.sha256((cell / name).read_bytes()).hexdigest()
    for path in (cell / "result.json", study / "study.json"):
        content = record if path.name == "result.json" else json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(seal(content)), encoding="utf-8")


def forge_record(path: Path, number: int, value: Any) -> None:
    """Another value, or none, at one place of a record; every key of its own is often taken."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [*places_in(content), *20 * [(content, key) for key in content]]
    container, key = found[number % len(found)]
    if value == DROPPED:
        del container[key]
    else:
        container[key] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def forge_table(path: Path, number: int, text: str) -> None:
    """Another text in one field of a table, or one of its columns left out."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    place = number % len(rows[0])
    if text == "x" and number % 2:
        rows = [row[:place] + row[place + 1 :] for row in rows]
    else:
        rows[number % len(rows)][place] = text
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")


def run_on_forged(study: Path, command: list[str], capsys: Output) -> None:
    """No traceback; a refusal is one line, and a cell that is passed over is named with a key."""
    cell = cells_of(study)[0]
    with inside(study.parent):
        status = main([f"s/{cell.name}" if word == "CELL" else word for word in command])
        words = said(capsys, status)
        if "result.json" in words or "study.json" in words:
            assert "its " in words or "it has" in words


@settings(bounded, max_examples=40)
@given(
    st.sampled_from(SEALED),
    st.integers(0, 10**6),
    forged,
    st.sampled_from([*READERS, REPORT, ["reproduce", "CELL"]]),
)
def test_a_record_made_by_hand_is_read_or_refused(
    capsys: Output,
    trained: Path,
    scratch: Path,
    name: str,
    number: int,
    value: Any,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    forge_record((study if name == "study.json" else cells_of(study)[0]) / name, number, value)
    reseal(study)
    run_on_forged(study, command, capsys)


@settings(bounded, max_examples=40)
@given(st.sampled_from(TABLES), st.integers(0, 10**6), fields, st.sampled_from([*READERS, REPORT]))
def test_a_table_made_by_hand_is_read_or_refused(
    capsys: Output,
    trained: Path,
    scratch: Path,
    name: str,
    number: int,
    text: str,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    forge_table(cells_of(study)[0] / name, number, text)
    reseal(study)
    run_on_forged(study, command, capsys)


# Command lines beside a finished study

words = st.one_of(overrides, st.text(max_size=8), st.sampled_from(["s", "-m", "--json", "--rows"]))
COMMANDS = ("status", "table", "verify", "reproduce", "clean", "report", "preflight", "data")
POISON = ("data.train_size=60000", "nowhere")
"""What makes sure that the command is refused: as the last word the one or the other does."""


@bounded
@given(st.sampled_from(COMMANDS), st.lists(words, max_size=2))
def test_no_command_line_changes_a_finished_cell(
    capsys: Output, trained: Path, command: str, typed: list[str]
) -> None:
    pages = ("-c", "-h", "-i", "--", "-")
    arguments = [text for text in typed if not text.startswith(pages) or text in ("-m", "--json")]
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    poison = POISON[0] if command == "preflight" else POISON[1]
    with inside(trained):
        try:
            status = main([command, *arguments, poison])
        except SystemExit as stop:
            status = int(stop.code or 0)
    assert status == 2
    assert said(capsys, status)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
