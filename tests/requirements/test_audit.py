"""What is said of pip-audit's answer, and that silence of the network is no clean bill."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from requirements import audit

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
FLAWED = {
    "name": "torch",
    "version": "2.14.1",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.14.2"]}],
}
SKIPPED = {"name": "six", "skip_reason": "Dependency not found and could not be audited: six (1)"}
LOCKS = {"run": {("torch", "2.14.1"), ("numpy", "2.4.6")}, "build": {("setuptools", "84.2.1")}}


def test_a_vulnerability_names_its_locks_and_what_mends_it() -> None:
    lines, vulnerable = audit.report([SOUND, FLAWED], LOCKS)
    assert vulnerable
    assert lines == [
        "torch 2.14.1 (run) has PYSEC-1/CVE-1, mended in 2.14.2",
        "2 of 2 packages audited, 1 known vulnerabilities",
    ]


def test_what_nobody_knows_is_not_called_sound() -> None:
    lines, vulnerable = audit.report([SOUND, SKIPPED, SKIPPED], LOCKS)
    assert not vulnerable
    assert lines == [
        "1 of 3 packages audited, 0 known vulnerabilities",
        "2 could not be: Dependency not found and could not be audited",
    ]


def test_every_pin_of_every_lock_is_asked_about() -> None:
    asked = audit.PIN.findall((audit.REQUIREMENTS / "versions.txt").read_text("utf-8"))
    assert len(asked) == len(set(asked)) > 100
    assert set().union(*audit.locks().values()) == set(asked)
    assert {"run", "dev", "build", "audit"} <= audit.locks().keys()


@pytest.mark.parametrize("answer", ["", "Traceback\nConnectionError: no network\n"])
def test_an_audit_that_cannot_be_made_is_one_line_and_keeps_the_locks(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=answer)

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main() == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "packages could be audited" in line
    assert line.endswith(answer.strip().splitlines()[-1] if answer else "said nothing")


@pytest.mark.parametrize("flawed", [False, True])
def test_the_pins_are_asked_about_without_their_markers(
    flawed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "--requirement" not in command:
            return subprocess.CompletedProcess(command, 0)
        asked.extend(Path(command[-1]).read_text("utf-8").splitlines())
        answer = json.dumps({"dependencies": [FLAWED if flawed else SOUND]})
        return subprocess.CompletedProcess(command, int(flawed), stdout=answer, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main() == int(flawed)
    assert ("PYSEC-1" in capsys.readouterr().err) == flawed
    assert len(asked) > 100
    assert not any(";" in line for line in asked)
