"""Printed commands work where they are printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from study import console as program
from study.config.configuration import CONF
from study.console import as_invoked, command

MODULE = str(Path(program.__file__).with_name("__main__.py"))


def invoked(monkeypatch: pytest.MonkeyPatch, path: str, *, found: str | None = None) -> str:
    monkeypatch.setattr(sys, "argv", [path, "train"])
    monkeypatch.setattr(program.shutil, "which", lambda name: found)
    return command("table", Path("outputs/my study"))


def test_a_command_names_the_program_as_it_was_invoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "table 'outputs/my study'"
    monkeypatch.setattr(sys, "orig_argv", ["python3.11", "-m", "study"])
    assert invoked(monkeypatch, ".venv/bin/study") == f".venv/bin/study {table}"
    other = str(tmp_path / "other" / "study")
    assert invoked(monkeypatch, ".venv/bin/study", found=other) == f".venv/bin/study {table}"
    script = tmp_path / "study"
    script.touch()
    assert invoked(monkeypatch, str(script), found=str(script)) == f"study {table}"
    assert invoked(monkeypatch, "pytest") == f"study {table}"
    assert invoked(monkeypatch, "/x/pytest/__main__.py") == f"study {table}"
    assert invoked(monkeypatch, MODULE) == f"python3.11 -m study {table}"
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python", "-m", "study"])
    module = invoked(monkeypatch, MODULE, found="/usr/bin/python")
    assert module == f".venv/bin/python -m study {table}"


def test_a_page_names_it_at_the_start_of_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["./study"])
    monkeypatch.setattr(program.shutil, "which", lambda name: None)
    assert as_invoked("a study\n  study list\nstudying") == "a study\n  ./study list\nstudying"


def test_what_is_printed_can_be_typed() -> None:
    page = subprocess.run(
        [sys.executable, "-m", "study"], cwd=CONF.parent, capture_output=True, text=True, check=True
    )
    line = next(line for line in page.stdout.splitlines() if " list " in line)
    typed = line[: line.index(" list ") + len(" list")]
    again = subprocess.run(typed, shell=True, cwd=CONF.parent, capture_output=True, check=True)
    assert b"experiments" in again.stdout
