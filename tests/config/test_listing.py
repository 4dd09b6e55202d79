"""`study list` and `study --help` leave nothing out."""

import itertools
import subprocess
import sys

import pytest

from study.__main__ import main
from study.config.configuration import CONF, levels
from study.config.keys import GROUPS, KEYS
from study.config.listing import about, catalogue, headline
from study.console import COMMANDS
from study.errors import InputError


def test_every_experiment_level_and_key_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == catalogue()
    rest = iter(printed)
    assert "experiments" in rest
    for group in ("experiment", *GROUPS, "trainer"):
        assert group == "experiment" or f"{group}=" in rest
        for level in levels(group):
            text = headline(group, level).removeprefix(f"{level}: ")
            assert f"  {level:22} {text}" in rest
    assert "keys" in rest
    for name, key in KEYS.items():
        line = next(rest)
        assert line.split()[0] == name
        assert key.help in line
        assert key.kind.expects in line


def test_a_group_is_listed_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "norm"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert titles == ["norm=", "", "keys"]
    lines = about("norm")
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    assert names == [*levels("norm"), *(key for key in KEYS if key.startswith("norm."))]
    assert about("experiments") == about("experiment")
    assert about("experiments")[0] == "experiments"
    assert about("launcher") == about("hydra/launcher")
    assert len(about("keys")) == 1 + len(KEYS)


def test_a_word_lists_the_lines_that_have_it() -> None:
    for word in ("Glorot", "glorot"):
        lines = about(word)
        assert [line for line in lines if line.endswith("=")] == ["activation=", "init="]
        assert all("glorot" in line.lower() for line in lines if line.startswith(" "))
    with pytest.raises(InputError, match="nothing listed has 'zzz'; choose from: experiments, "):
        about("zzz")


def test_every_file_of_the_configuration_is_a_level_of_it() -> None:
    groups = {path.parent.name for path in CONF.glob("*/*.yaml")}
    assert groups == {*GROUPS, "trainer", "experiment"}


def test_a_headline_says_something() -> None:
    for group in (*GROUPS, "trainer", "experiment"):
        for level in levels(group):
            assert len(headline(group, level)) > 5
            assert not headline(group, level).startswith(("#", "@"))


@pytest.mark.parametrize("name", levels("experiment"))
def test_an_experiments_header_says_the_command_the_result_and_the_time(name: str) -> None:
    text = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    header = list(itertools.takewhile(lambda line: line.startswith("#"), text.splitlines()))
    for begins in (f"#   study train experiment={name}", "# Expected: ", "# Time: "):
        found = [line for line in header if line.startswith(begins)]
        assert len(found) == 1, (
            f"conf/experiment/{name}.yaml: one line should begin with {begins!r}"
        )
        (line,) = found
        if not begins.endswith(": "):
            assert line.removeprefix(begins)[:1] in ("", " ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert f"study {name} " in out
        assert text in out


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys, study.__main__\n"
        "study.__main__.main(['list']); study.__main__.main(['--help'])\n"
        "sys.exit(sorted({'torch', 'lightning', 'hydra'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CONF.parent, check=True, capture_output=True)
