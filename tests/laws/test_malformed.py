"""Malformed files and command lines: no traceback, and no finished cell is ever changed by them."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.__main__ import main
from tests.finished_study import (
    CELL_FILES,
    READERS,
    SWEEP,
    Output,
    bounded,
    cells_of,
    contents,
    copied,
    places_in,
    said,
    train,
)
from tests.laws.test_bad_input import overrides

Damage = Callable[[bytes], bytes]
STRAY = ("lock", "owner.json", "checkpoint.safetensors", "error.txt")
BESIDE = ("preflight.json", "pretraining/rbm-01234567/seed=0.safetensors", "lock", "owner.json")
HARMLESS = (0, 1)
"""What a command answers that can do its work all the same: all is well, or something is not."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


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
    with contextlib.chdir(scratch):
        status = main(command)
    said(capsys, status)
    assert status in HARMLESS or place[1] == "study.json" or command[0] == "table"
    if command[0] == "verify" and place[1] in CELL_FILES:
        assert status == int(contents(cells_of(study)[0]) != contents(cells_of(trained / "s")[0]))
    assert [contents(cell) for cell in cells_of(study)] == before


@settings(bounded, max_examples=16)
@given(places, damages)
def test_a_launch_after_any_damage_trains_what_is_damaged_and_nothing_else(
    capsys: Output, trained: Path, scratch: Path, place: tuple[str, str], change: Damage
) -> None:
    study = copied(trained, scratch)
    before = {cell.name: contents(cell) for cell in cells_of(study)}
    path = damage(study, place, change)
    if path.name == "owner.json":
        os.utime(path, (0, 0))
    with contextlib.chdir(scratch):
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
    with contextlib.chdir(scratch):
        said(capsys, main(command))
    assert [contents(cell) for cell in cells_of(study)] == before


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
    with contextlib.chdir(trained):
        try:
            status = main([command, *arguments, poison])
        except SystemExit as stop:
            status = int(stop.code or 0)
    assert status == 2
    assert said(capsys, status)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
