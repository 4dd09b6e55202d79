"""Whatever stands behind a key, group or option: a short line and exit status 2, or it is valid.

Of the command lines a part is run, another for each key; STUDY_EVERY_INPUT=1 runs all of them,
some thirteen thousand in half an hour.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from study.__main__ import main
from study.config.configuration import flatten, nest
from study.config.keys import KEYS, parse, parse_one
from study.config.kinds import MAX_WHOLE
from study.console import COMMANDS
from study.errors import LONGEST_LINE, InputError
from tests.synthetic import make_study
from tests.tiny_launch import TINY
from tests.wrong_input import WRONG, near, options, overrides, unquoted

EVERY = os.environ.get("STUDY_EVERY_INPUT") == "1"
STRIDE = 13
"""From one key or option to the next, so that all values have their turn."""
SUBJECTS = {"table": ["s"], "reproduce": ["s/CELL"]}
"""What an option is tried beside: whatever it says, nothing is trained, drawn or served."""

Output = pytest.CaptureFixture[str]


def values(texts: Sequence[str]) -> Iterator[Any]:
    """What Hydra reads of texts behind a key, where they are one value."""
    parser = OverridesParser.create()
    for text in texts:
        with contextlib.suppress(HydraException, RecursionError, ValueError):
            override = parser.parse_overrides([f"x={text}"])[0]
            if not override.is_sweep_override():
                yield override.value()


VALUES = list(values([text for text in WRONG if text.count("[") + text.count("{") < 100]))


def assert_short(message: str) -> None:
    assert len(message) <= LONGEST_LINE
    assert message.isprintable()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_takes_a_value_or_refuses_it_by_its_name(name: str) -> None:
    for value in [*VALUES, *values(list(near(KEYS[name].kind)))]:
        message = ""
        try:
            canonical = parse(dict(flatten(nest({name: value}))))
        except InputError as error:
            message = str(error)
        else:
            assert repr(parse(canonical)) == repr(canonical)
            assert not isinstance(value, Mapping)
        assert_short(message)
        assert name in message or not message


@pytest.mark.parametrize("name", KEYS)
def test_no_key_takes_a_number_that_records_cannot_hold(name: str) -> None:
    for value in (MAX_WHOLE + 1, -MAX_WHOLE - 1, 10**400):
        with contextlib.suppress(InputError):
            taken = parse_one(name, value)
            assert all(isinstance(each, float) for each in np.atleast_1d(taken).tolist())


# Whole command lines


def run(capsys: Output, root: Path, arguments: Sequence[str]) -> int:
    """The exit status of a command line, which if it is refused says so in a short line alone."""
    before = {str(path) for path in root.rglob("*")}
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert status in (0, 1, 2)
    if status == 2:
        assert out == ""
        assert err.startswith("study: ")
        assert err.count("\n") == 1
        assert_short(err.removeprefix("study: ").removesuffix("\n"))
        assert {str(path) for path in root.rglob("*")} == before
    return status


def some(lines: Sequence[str]) -> Iterator[str]:
    """Of each key one line, of one key after another another value; or every line."""
    found = list(dict.fromkeys(line.partition("=")[0] for line in lines))
    for place, name in enumerate(found):
        own = [line for line in lines if line.partition("=")[0] == name]
        yield from own if EVERY else [own[STRIDE * place % len(own)]]


@pytest.mark.parametrize("line", list(some(list(overrides()))), ids=lambda line: ascii(line)[:40])
def test_an_override_is_valid_or_refused_in_a_short_line(
    capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    others = [text for text in TINY if text.partition("=")[0] != line.partition("=")[0]]
    assert run(capsys, tmp_path, ["train", "--dry-run", *others, line]) in (0, 2)
    # Images are decoded before the cells are known, and kept where data.cache says.
    assert line.startswith("data.cache=") or list(tmp_path.iterdir()) == []


# Other commands


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory, and in it a finished study of two cells."""
    root = tmp_path_factory.mktemp("finished")
    cell, _ = make_study(root / "s", {"norm": ["none", "batch"]}, seeds=2, rates=(0.1,))
    SUBJECTS["reproduce"] = [f"s/{cell.name}"]
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_an_argument_is_valid_or_refused_in_a_short_line(
    capsys: Output, finished: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(finished)
    with pytest.raises(SystemExit):
        main([command, "--help"])
    named = options(capsys.readouterr().out)
    before = [[command], *([command, *SUBJECTS.get(command, ["nowhere"]), name] for name in named)]
    for place, words in enumerate(before):
        for value in WRONG if EVERY else WRONG[place % STRIDE :: STRIDE]:
            run(capsys, finished, [*words, unquoted(value)])
