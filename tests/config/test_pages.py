"""Hydra's own pages, and the flags that lead to them."""

import shlex
import subprocess
import sys

import pytest

from study.__main__ import main
from study.config.configuration import CONF
from study.config.pages import asks_for_page, hydra_page
from study.config.refused import FLAGS
from study.errors import InputError


def test_a_bad_override_is_refused_before_a_page_is_printed() -> None:
    with pytest.raises(InputError, match="did you mean 'relu'"):
        hydra_page(["--cfg", "job", "activation=rleu"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cfg", "job", "activation=tanh", "optimizer.lr=[0.1,0.2]"], "name: tanh"),
        (["-c", "hydra"], "launcher:"),
        (["--info", "defaults"], "activation/relu"),
        (["--hydra-help"], "--cfg {job,hydra,all}"),
    ],
)
def test_hydras_own_pages_work(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "study", "train", *arguments]
    page = subprocess.run(
        command, cwd=CONF.parent, capture_output=True, text=True, check=True, timeout=120
    )
    assert says in page.stdout
    assert page.stderr == ""


def test_hydras_help_offers_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--hydra-help"]) == 0
    page = capsys.readouterr().out
    lines = [shlex.split(line) for line in page.splitlines() if line.startswith("  eval")]
    assert lines == [["eval", f"$(study -sc install={shell})"] for shell in ("bash", "zsh")]
    for refused in FLAGS:
        assert refused in ("--package", "-p", "--resolve") or f" {refused} " not in page
    for group in ("hydra/sweeper", "hydra/job_logging", "hydra.run", "hydra/env"):
        assert group not in page


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_this_projects_and_points_to_hydras(
    capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert not asks_for_page([flag])
    with pytest.raises(SystemExit) as end:
        main(["train", flag])
    assert end.value.code == 0
    page = capsys.readouterr().out
    for text in ("--dry-run", "--failed", "--missing", "-m", "--hydra-help", "--cfg job", "--info"):
        assert text in page
