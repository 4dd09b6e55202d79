"""What `make clusters` compares and cleans up, without any engine."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import clusters.packages
from clusters.__main__ import _report, main
from clusters.daemons import ClusterError, free_ports, output_of, wait_until
from clusters.packages import ensure
from clusters.runs import LONG, SMALL, Run, compared
from study.__main__ import main as study
from study.config.compose import hydra_ready
from study.config.sweep import plan
from study.errors import InputError
from tests.tiny_launch import TINY


def trained(directory: Path, *overrides: str, status: int = 0) -> Run:
    place = (f"outputs_dir={directory.parent}", f"study={directory.name}")
    assert study(["train", *TINY, "-m", "optimizer=sgd,adam", *place, *overrides]) == 0
    return Run(directory.name, directory, status, 1.0, ["a note"])


def test_equal_studies_are_equal_and_a_bit_makes_them_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = trained(tmp_path / "one"), trained(tmp_path / "two")
    assert compared(one, two) == ("2 of 2", [])
    assert _report([(one, None), (two, one)]) == 0
    assert "every replica is the same everywhere" in capsys.readouterr().out
    failed = Run("two", two.directory, 1, 1.0)
    assert compared(one, failed) == ("2 of 2", ["two: exit status 1"])

    cells = two.cells()
    first = min(cells)
    next(iter(cells[first]["replicas"].values()))["weights_sha256"] = "0"
    theirs = {one.directory: one.cells(), two.directory: cells}
    monkeypatch.setattr(Run, "cells", lambda run: theirs[run.directory])
    assert compared(one, two) == ("1 of 2", [f"two: {first} differs in its replicas"])
    del cells[first]
    assert compared(one, two) == ("1 of 2", [f"two: {first} is not finished"])
    assert _report([(one, None), (two, one)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_the_studies_are_what_they_are_said_to_be() -> None:
    with hydra_ready():
        small, long = (plan(each, multirun=True).cells for each in (SMALL, LONG))
    assert (len(small), len(long)) == (4, 2)
    pretrained = [cell.factors["pretraining"] != "none" for cell in small]
    assert sum(pretrained) == 1
    assert {cell.config.trainer.threads for cell in [*small, *long]} == {1}
    assert {cell.config.trainer.checkpoint_seconds for cell in long} == {0}


def test_a_name_that_is_no_engine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"unknown engine 'pbs'"):
        main(["pbs"])


def test_who_cannot_install_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    ensure({Path(sys.executable).name: "python3", "sh": "dash"})
    monkeypatch.setattr(clusters.packages.os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"only root .*: apt-get install .* slurm-of-nowhere$"):
        ensure({"no-such-slurmd": "slurm-of-nowhere", "sh": "dash"})


def test_a_command_that_fails_is_quoted_with_its_last_words() -> None:
    assert output_of(["sh", "-c", "echo $SAID"], {"SAID": "so"}) == "so\n"
    with pytest.raises(ClusterError, match=r"failed: no$"):
        output_of(["sh", "-c", "echo well >&2; echo no >&2; exit 3"])
    with pytest.raises(ClusterError, match="waited 0 s in vain for Godot"):
        wait_until(lambda: False, "Godot", seconds=0)
    assert len(set(free_ports(3))) == 3


HOUSEHOLD = """
import subprocess, sys
from clusters.household import leaving_nothing

def main():
    subprocess.run(["sh", "-c", "(setsid sleep 600 & echo $!) ; trap '' TERM"], check=True)
    return 7

sys.exit(leaving_nothing(main))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="orphans are found on Linux alone")
def test_what_outlives_its_parents_does_not_outlive_the_household() -> None:
    done: Any = subprocess.run(
        [sys.executable, "-c", HOUSEHOLD],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    (number,) = done.stdout.split()
    assert not Path(f"/proc/{number}").exists()
