"""What `import study` gives, and what the command says where the packages are not installed."""

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


def test_the_package_imports_nothing_until_asked() -> None:
    code = "import sys; before = set(sys.modules); import study; print(*set(sys.modules) - before)"
    done = without_packages("-c", code)
    assert {"study"} <= set(done.stdout.split()) <= {"study", "__future__"}


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import study

    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = study.lode
    assert {"load", "frame", "__version__"} <= set(dir(study))
