"""A few of the faults that `make faults` has in plenty, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def faults(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "faults", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="broken processes are forks")
def test_a_few_of_each_fault_leave_a_study_as_it_should_be() -> None:
    ended = faults("--short")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 violations" in ended.stdout


def test_a_fault_that_there_is_not_is_one_line() -> None:
    ended = faults("fire")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("faults: unknown fault 'fire'")
