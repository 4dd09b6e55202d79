"""The Makefile, in a copy of the project whose Python only writes down what it is told."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="builds are for CPUs elsewhere")
TEXT = (ROOT / "Makefile").read_text("utf-8")
PYTHON = r"""#!/bin/sh
case "$*" in
"-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && : > said ;;
"-m pip "*)
    case "$*" in *"${FAILING:-no such}"*) echo no space >&2; exit 1 ;; esac
    echo "$*" >> said
    build=; case "$*" in *+cpu*) build=+cpu ;; esac
    case "$*" in *run.lock* | *dev.lock* | *+cpu*)
        site=.venv/lib/python3.11/site-packages
        test -d $site || mkdir -p $site/torch-2.14.1$build.dist-info ;;
    esac ;;
--version) echo Python 3.11.7 ;;
-c*) exit "${PYTHON_STATUS:-0}" ;;
*) echo "$*" >> said ;;
esac
"""


class Project:
    """A copy of what the Makefile reads, and of what was said to the Python of its `.venv`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("requirements", "study", "tests"):
            (root / name).mkdir(parents=True)
        for path in (*(ROOT / "requirements").glob("*.lock"), ROOT / "pyproject.toml"):
            shutil.copy(path, root / path.relative_to(ROOT))
        shutil.copy(ROOT / "Makefile", root)
        (root / "python").write_text(PYTHON)
        (root / "python").chmod(0o755)

    def make(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return subprocess.run(
            ["make", *arguments],
            cwd=self.root,
            env={**inherited, "PYTHON": "./python", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self, *arguments: str, **variables: str) -> list[list[str]]:
        """What pip was told by a make that succeeds."""
        (self.root / "said").write_text("")
        done = self.make(*arguments, **variables)
        assert done.returncode == 0, done.stderr
        lines = (self.root / "said").read_text().splitlines()
        return [line.split() for line in lines if line.startswith("-m pip")]

    def refused(self, *arguments: str, **variables: str) -> str:
        """The line of a make that fails without telling pip anything."""
        (self.root / "said").write_text("")
        done = self.make(*arguments, **variables)
        assert done.returncode == 2
        assert (self.root / "said").read_text() == ""
        line = done.stderr.splitlines()[0]
        assert line.startswith("make: ")
        return line


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def targets() -> set[str]:
    (phony,) = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
    return set(phony.replace("\\\n", " ").split())


def test_help_lists_all_targets(project: Project) -> None:
    done = project.make()
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert set(listed) == targets() - {"venv"}
    assert {"study", "setup", "check", "test", "format", "clusters", "lock"} <= set(listed)


@pytest.mark.parametrize("target", sorted(targets()))
def test_a_dry_run_of_every_target_makes_nothing(project: Project, target: str) -> None:
    done = project.make("-n", target, ARGS="-k some", STUDY="outputs/a")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (project.root / ".venv").exists()
    if target == "test":
        assert done.stdout.splitlines()[-1] == ".venv/bin/python -m pytest -k some"


def test_check_is_format_lint_types_and_documents(project: Project) -> None:
    *_, formatting, lint, types, documents = project.make("-n", "check").stdout.splitlines()
    assert formatting.endswith("ruff format --check .")
    assert (lint.split("/")[-1], types.split("/")[-1]) == ("ruff check .", "mypy")
    assert documents.endswith("-m docs --check")


def test_a_wheel_is_built_of_the_sources_alone(project: Project) -> None:
    first, build, last, _ = project.make("-n", "wheel").stdout.replace("\\\n", "").splitlines()[-4:]
    assert first == last == "rm -rf build"
    assert {"--no-deps", "--no-build-isolation"} <= set(build.split())
    assert build.split()[-3:] == ["--wheel-dir", "dist", "."]


def test_everything_comes_from_locks_with_hashes_or_from_here(project: Project) -> None:
    build, lock, here = project.installed("setup", "EXTRAS=dev", TORCH="")[:3]
    assert build[-3:] == ["--require-hashes", "-r", "requirements/build.lock"]
    assert lock[-3:] == ["--require-hashes", "-r", "requirements/run.lock"]
    assert here[-3:] == ["--no-deps", "--editable", "."]
    assert all("--no-build-isolation" in each for each in (build, lock, here))


def test_a_second_set_up_installs_nothing_and_every_lock_brings_run(project: Project) -> None:
    assert project.installed("with-dev")
    assert project.installed("setup") == project.installed("with-dev") == []
    assert project.installed("setup", "EXTRAS=joblib ray")
    assert project.installed("setup", "EXTRAS=ray joblib dev") == []


@pytest.mark.parametrize("changed", ["run.lock", "build.lock", "../pyproject.toml"])
def test_what_changed_is_installed(project: Project, changed: str) -> None:
    project.installed("setup")
    later = (project.root / ".venv/.run").stat().st_mtime + 1
    os.utime(project.root / "requirements" / changed, (later, later))
    assert project.installed("setup")


@pytest.mark.parametrize("stage", ["build.lock", "run.lock", "--editable"])
def test_an_installation_that_breaks_off_is_shown_and_goes_on(project: Project, stage: str) -> None:
    done = project.make("setup", FAILING=stage)
    assert done.returncode == 2
    assert "no space" in done.stderr
    assert not (project.root / ".venv/.run").exists()
    assert project.installed("setup")
    assert project.make("setup", FAILING=stage).returncode == 0


@ONLY_LINUX
def test_torch_for_cpus_leaves_out_what_cuda_needs_and_keeps_all_other_hashes(
    project: Project,
) -> None:
    _, torch, locked, here = project.installed("with-dev", TORCH="cpu", TORCH_INDEX="somewhere")
    text = (ROOT / "requirements/dev.lock").read_text("utf-8")
    versions = dict(re.findall(r"^(torch|torchvision)==(\S+)", text, re.MULTILINE))
    assert torch[-2:] == [f"{name}=={version}+cpu" for name, version in versions.items()]
    assert torch[torch.index("--index-url") + 1] == "somewhere"
    assert "--no-deps" in torch
    assert locked[-4:] == ["--no-deps", "--require-hashes", "-r", ".venv/cpu-dev.lock"]
    assert here[-1] == "."
    kept = (project.root / locked[-1]).read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    dropped = [entry.partition("==")[0] for entry in entries if entry not in kept]
    assert {"torch", "torchvision", "triton", "cuda-toolkit", "nvidia-cudnn-cu13"} <= set(dropped)
    assert all(re.match("torch$|torchvision$|triton$|cuda-|nvidia-", name) for name in dropped)
    assert len(re.split(r"\n(?=\S)", kept.strip())) + len(dropped) == len(entries)


def test_nothing_but_torch_needs_what_is_left_out() -> None:
    """Of what is installed here, for CUDA or for CPUs."""
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower()
        if re.match("torch$|triton$|cuda-|nvidia-", name):
            continue
        needed = [each for each in distribution.requires or [] if "extra ==" not in each]
        names = [Requirement(each).name for each in needed]
        assert not [each for each in names if re.match("nvidia-|cuda-|triton", each)], name


@ONLY_LINUX
def test_the_builds_of_torch_stay_until_the_environment_is_made_anew(project: Project) -> None:
    project.installed("setup", TORCH="cpu")
    assert project.installed("setup") == []
    assert ".venv/cpu-dev.lock" in project.installed("with-dev")[2]
    assert "has the other build of torch (cpu); `make distclean setup`" in project.refused(
        "setup", TORCH="locked"
    )
    assert "requirements/run.lock" in project.installed("distclean", "setup", TORCH="locked")[1]
    assert project.installed("setup") == []
    assert "has the other build of torch (locked)" in project.refused("setup", TORCH="cpu")


@ONLY_LINUX
@pytest.mark.parametrize("folder", [False, True])
def test_builds_that_cannot_be_had_are_one_line_that_says_where_they_are(
    project: Project, folder: bool, tmp_path: Path
) -> None:
    place = str(tmp_path) if folder else ""
    done = project.make("setup", TORCH="cpu", TORCH_INDEX=place, FAILING="+cpu")
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if "TORCH_INDEX=ADDRESS" in line)
    assert f"no torch for CPUs in {place or 'what pip asks'}; TORCH_INDEX=ADDRESS names" in line
    command = project.make("-n", "setup", TORCH="cpu", TORCH_INDEX=place).stdout
    assert ("--no-index --find-links" in command) == folder
    assert "--index-url" not in command


REFUSALS: Sequence[tuple[str, dict[str, str], str]] = (
    (
        "setup EXTRAS=slurm",
        {},
        "EXTRAS has no slurm; choose from: dev joblib mlflow mutants ray submitit wandb",
    ),
    ("setup", {"PYTHON_STATUS": "1"}, "./python is no Python 3.11 to 3.13; name one: make PYTHON="),
    ("setup", {"PYTHON": "./none"}, "./none is no Python 3.11 to 3.13"),
)


@pytest.mark.parametrize(("line", "variables", "said"), REFUSALS)
def test_what_cannot_be_made_is_refused_in_a_line(
    project: Project, line: str, variables: dict[str, str], said: str
) -> None:
    if "EXTRAS" in line:
        project.installed("setup")
    done = project.make(*line.split(), **variables)
    assert done.returncode == 2
    assert any(said in each for each in done.stderr.splitlines())
    assert (project.root / ".venv").exists() == ("EXTRAS" in line)


@ONLY_LINUX
def test_another_build_of_torch_is_refused_before_anything(project: Project) -> None:
    assert "TORCH is rocm; choose from: cpu locked" in project.refused("setup", TORCH="rocm")
    assert not (project.root / ".venv").exists()


def test_a_damaged_or_moved_environment_is_refused_with_what_makes_it_anew(
    project: Project,
) -> None:
    project.installed("setup")
    line = project.refused("setup", PYTHON_STATUS="1")
    assert line == (
        "make: .venv has no Python 3.11 to 3.13 that runs with pip; "
        "`make distclean setup` makes it anew"
    )
    moved = project.root.with_name("moved")
    project.root.rename(moved)
    project.root = moved
    assert "was installed for another folder; `make distclean" in project.refused("setup")
    assert project.installed("distclean", "setup")


def test_the_bounds_are_those_of_the_project() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (low, high) = re.findall(r"3\.(\d+)", requires["requires-python"])
    assert f"(3, {low}) <= sys.version_info < (3, {high})" in TEXT
    assert TEXT.count(f"3.{low} to 3.{int(high) - 1}") == 2


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not here")
def test_two_makes_at_once_install_once(project: Project) -> None:
    (project.root / "python").write_text(
        PYTHON.replace("mkdir -p .venv/bin", "sleep 1; mkdir -p .venv/bin")
    )
    environment = {"PATH": os.environ["PATH"], "PYTHON": "./python"}
    both = [
        subprocess.Popen(
            ["make", "setup"], cwd=project.root, env=environment, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [each.wait() for each in both] == [0, 0]
    assert (project.root / "said").read_text().count("run.lock") == 1
