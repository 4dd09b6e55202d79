"""What a command line needs before it answers: help and a slip of the pen do not wait for PyTorch.

Every command runs as `study NAME`, `python -m study.MODULE` and `python study/MODULE.py` alike.
"""

import importlib
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from study import __version__
from study.__main__ import main
from study.config.configuration import CONF
from study.console import COMMANDS

ROOT = CONF.parent
SLIPS = (
    ["train", "activation=arctn"],
    ["train", "init=he"],
    ["train", "epochs=5"],
    ["train", "hydra.run.dir=x"],
    ["preflight", "norm=BatchNorm"],
    ["activations", "arctn"],
    ["data", "mnits"],
    ["reproduce", "nowhere"],
    ["verify", "nowhere"],
    ["-sc", "install=csh"],
)


def imported(lines: Sequence[Sequence[str]], modules: Sequence[str]) -> str:
    """Which of the modules a fresh Python holds after these command lines, and their statuses."""
    code = (
        "import contextlib, io, sys\n"
        "from study.__main__ import main\n"
        "def status(line):\n"
        "    try: return main(line)\n"
        "    except SystemExit as end: return end.code\n"
        f"statuses = [status(line) for line in {list(map(list, lines))!r}]\n"
        f"found = [name for name in {list(modules)!r} if name in sys.modules]\n"
        "print('found:', *found, 'statuses:', *statuses)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_help_and_version_need_no_package() -> None:
    helps = [[name, "--help"] for name in COMMANDS]
    lines = [["--version"], ["help", "train"], ["-h"], *helps]
    heavy = ("torch", "lightning", "hydra", "omegaconf", "numpy", "pandas", "scipy", "matplotlib")
    zeros = " 0" * len(lines)
    assert imported(lines, heavy) == f"found: statuses:{zeros}"


def test_a_slip_of_the_pen_needs_no_torch() -> None:
    twos = " 2" * len(SLIPS)
    assert imported(SLIPS, ("torch", "lightning", "numpy")) == f"found: statuses:{twos}"


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_told(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    assert capsys.readouterr().out == f"study {__version__}\n"


@pytest.mark.parametrize("name", ["train", "table", "data"])
def test_help_of_a_command_is_that_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for line in (["help", name], [name, "--help"]):
        with pytest.raises(SystemExit) as end:
            main(line)
        assert end.value.code == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert f"study {name}" in pages[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_module_is_that_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = COMMANDS[name][0]
    monkeypatch.setattr(sys, "argv", [f"{module}.py", "--no-such-option"])
    for each in (module, "study.__main__"):
        package, _, name_in_it = each.rpartition(".")
        # What is imported anew becomes an attribute of its package, too: both are put back.
        own = getattr(importlib.import_module(package), name_in_it, None)
        monkeypatch.setattr(importlib.import_module(package), name_in_it, own, raising=False)
        monkeypatch.delitem(sys.modules, each, raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    assert end.value.code == 2
    assert f"study {name} --help" in capsys.readouterr().err
    assert sys.argv[1:] == [name, "--no-such-option"]  # as provenance records it


@pytest.mark.parametrize("how", ["study.launch.train", "study train"])
def test_training_can_be_asked_for_by_its_module(how: str, tmp_path: Path) -> None:
    # A launch that is refused once all that training needs has been imported.
    arguments = ["-m", "activation=relu,tanh", "data.train_size=60000", f"outputs_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", *how.split(), *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("study: activation=relu: data.train_size=60000 must be from 1 to")
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])
