"""Completion by TAB: what shells are offered, and the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.__main__ import main
from study.config.compose import hydra_ready, parse_overrides
from study.config.configuration import CONF, levels
from study.config.keys import GROUPS, KEYS
from study.config.pages import SHELLS, SWITCHES, completions
from study.console import COMMANDS


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("study tra", ["train"]),
        (".venv/bin/study tab", ["table"]),
        ("study help ver", ["verify"]),
        ("study list sch", ["schedule"]),
        ("study activations lea", ["leaky_relu"]),
        ("study data fash", ["fashion_mnist"]),
        ("study data image_folder data.", ["data.root=", "data.cache="]),
        ("study data image_folder data.root=./stud", ["data.root=./study"]),
        ("study data mnist norm=", []),
        ("study train activation=lea", ["activation=leaky_relu"]),
        ("study preflight -m norm=no", ["norm=none"]),
        ("study train -m activation=relu,tan", ["activation=relu,tanh"]),
        ("study train experiment=quickst", ["experiment=quickstart"]),
        ("study train init=constant init.v", ["init.value="]),
        ("study train init=he_normal init.v", []),
        ("study train init=constant init.value=", ["init.value=0.1"]),
        ("study train norm.pos", []),
        ("study train norm=batch norm.position=", ["norm.position=before", "norm.position=after"]),
        ("study train trainer.precision=b", ["trainer.precision=bf16-mixed"]),
        ("study train model.wid", ["model.widths="]),
        ("study train seed", ["seeds="]),
        ("study train trainer=de", ["trainer=default"]),
        ("study train activation.na", []),
        ("study train sweep.ax", []),
        ("study train hydr", ["hydra/launcher="]),
        ("study train hydra.", []),
        ("study train hydra/launcher=slurm_g", ["hydra/launcher=slurm_gpu"]),
        ("study train hydra/sw", []),
        ("study train --dr", ["--dry-run"]),
        ("study table --wh", ["--where"]),
        ("study table outputs/", []),
        ("study trian act", []),
        ("study train ~ '", []),
        ("study train init='normal std=0.1' activation=tan", ["activation=tanh"]),
    ],
)
def test_what_is_offered(line: str, offered: list[str]) -> None:
    assert completions(line) == offered


def test_every_command_and_every_level_is_offered() -> None:
    assert set(completions("study ")) == {*COMMANDS, "help"}
    for group in GROUPS:
        assert completions(f"study train {group}=") == [f"{group}={each}" for each in levels(group)]


def test_only_what_the_command_takes_is_offered() -> None:
    offered = completions("study train ")
    assert {f"{group}=" for group in GROUPS} <= set(offered)
    parts = [text for text in offered if text.endswith(".")]
    assert {part.partition(".")[0] for part in parts} <= {key.partition(".")[0] for key in KEYS}
    offered += [
        text for part in ("model.", "sweep.") for text in completions(f"study train {part}")
    ]
    ends = {text[:-1] for text in offered if text.endswith("=")}
    assert {"batch_size", "model.widths", "sweep.exclude"} <= ends
    assert ends <= {*SWITCHES, *KEYS}
    with hydra_ready():
        parse_overrides([f"{end}=0" for end in ends if end in KEYS])


def test_a_file_whose_name_a_shell_would_run_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("$(touch gone)", "`id`", "plain"):
        Path(name).touch()
    assert completions("study train data.root=./") == ["data.root=./plain"]


@pytest.mark.parametrize("line", ["", "install", "install=csh", "bash=install", "install=bash x"])
def test_a_request_that_is_none_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-sc", *line.split()]) == 2
    err = capsys.readouterr().err
    assert f" {' '.join(['-sc', *line.split()])}: write -sc install=bash" in err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("how", [["-sc"], ["train", "-sc"], ["train", "--shell-completion"]])
def test_scripts_are_hydras_for_the_name_of_this_command(
    how: list[str], shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*how, f"install={shell}"]) == 0
    script = capsys.readouterr().out
    assert f"-sc query={'fish' if shell == 'fish' else 'bash'}" in script
    assert ("complete -c study " if shell == "fish" else "-F hydra_bash_completion study") in script
    assert ("bashcompinit" in script) is (shell == "zsh")
    assert main([*how, f"uninstall={shell}"]) == 0
    assert capsys.readouterr().out


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `study` is this checkout's."""
    script = tmp_path / "study"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m study "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


BASH = """
eval "$(study -sc install=bash)"
asked() {
    COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=($1) COMPREPLY=()
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    hydra_bash_completion
    echo "${COMPREPLY[@]}"
}
complete -p study | grep -o "hydra_bash_completion study"
asked "study verif"
asked "study train activation=leak"
"""

ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
said() { zpty -r -m shell line "*$1*" && echo "$1" }
zpty -w shell 'eval "$(study -sc install=zsh)"; echo rea""dy'
said ready
zpty -w -n shell $'study verif\t'
said 'study verify'
zpty -w -n shell $'\025study train activation=leak\t'
said 'leaky_relu'
"""

SESSIONS = {
    "bash": (BASH, ["hydra_bash_completion study", "verify", "activation=leaky_relu"]),
    "zsh": (ZSH, ["ready", "study verify", "leaky_relu"]),
}


@pytest.mark.parametrize("shell", ["bash", *(["zsh"] if shutil.which("zsh") else [])])
def test_a_shell_completes(shell: str, path: str) -> None:
    script, said = SESSIONS[shell]
    home = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "TERM": "dumb"}
    done = subprocess.run(
        [shell, "-c", script], cwd=CONF.parent, env=home, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == said, done.stderr
