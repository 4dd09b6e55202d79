"""What `import study` gives, and what the command says where the packages are not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study import __main__ as command

ROOT = Path(__file__).parents[1]


def without_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "line", ["table outputs/published/quickstart", "train experiment=quickstart"]
)
def test_a_python_without_the_packages_is_told_what_to_run(line: str) -> None:
    done = without_packages("-m", "study", *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"study: this Python ({sys.executable}) has no hydra; "
        "run `make setup`, then .venv/bin/study\n"
    )


def test_a_module_that_is_missing_beside_the_packages_is_no_matter_of_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(command.COMMANDS, "table", ("study.no_such_module", ""))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        command.main(["table"])


PARTS = [
    ("-m study.train -m activation=relu,tanh", " run `{} -m study train`"),
    ("-mstudy.training.population", " `{} -m study --help` lists the commands"),
    ("-m study.launch", " `{} -m study --help` lists the commands"),
    ("study/launch/train.py activation=tanh", " run `{} -m study train`"),
    ("study/analysis/pivot.py", " `{} -m study --help` lists the commands"),
]


@pytest.mark.parametrize(("line", "says"), PARTS, ids=[line for line, _ in PARTS])
def test_a_part_that_is_no_command_says_what_to_run(line: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, *line.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    python = (
        Path(sys.executable).name if shutil.which("python") == sys.executable else sys.executable
    )
    assert done.stderr.startswith("study: ")
    assert done.stderr.endswith(f" is a part of the package, no command:{says.format(python)}\n")


@pytest.mark.parametrize("name", sorted(command.COMMANDS))
def test_a_command_is_one_with_its_module(name: str) -> None:
    helps = [without_packages("-m", *words, "--help").stdout for words in ways(name)]
    assert helps[0] == helps[1]
    assert f"study {name}" in helps[0]


def ways(name: str) -> list[list[str]]:
    return [["study", name], [command.COMMANDS[name][0]]]


def test_the_package_imports_nothing_until_asked() -> None:
    code = "import sys; before = set(sys.modules); import study; print(*set(sys.modules) - before)"
    done = without_packages("-c", code)
    assert {"study"} <= set(done.stdout.split()) <= {"study", "__future__"}


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import study

    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = study.lode
    assert {"load", "frame", "__version__"} <= set(dir(study))
