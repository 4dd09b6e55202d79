import importlib.metadata
import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from study import installation
from study.environment import LOCKS

ROOT = installation.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ALL_LOCKS = [*LOCKS, "build", "audit"]
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+?)(?: ; (.*?))?(?: \\)?$", re.MULTILINE)


def text_of(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")


def pins(lock: str) -> dict[str, tuple[Version, str]]:
    """What a lock pins: {name: (version, marker)}."""
    return {name: (Version(pin), marker) for name, pin, marker in PIN.findall(text_of(lock))}


def wanted(requirements: list[str]) -> list[Requirement]:
    return [Requirement(requirement) for requirement in requirements]


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_requirement_of_a_lock_is_one_pinned_version_with_hashes(lock):
    text = re.sub(r"^#.*\n", "", text_of(lock), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(PIN.match(entry) and "--hash=sha256:" in entry for entry in entries)
    assert len(pins(lock)) == len(entries)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda p: p.name)
def test_requirements_name_no_address(path):
    text = path.read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_the_project_and_its_extra(lock):
    locked = pins(lock)
    for requirement in wanted(PROJECT["dependencies"] + EXTRAS.get(lock, [])):
        version, _ = locked[requirement.name]
        assert version in requirement.specifier, requirement


def test_the_locks_are_the_extras():
    assert {"run", *EXTRAS} == set(LOCKS)


@pytest.mark.parametrize("lock", EXTRAS)
def test_every_lock_holds_all_of_run(lock):
    assert pins("run").items() <= pins(lock).items()


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_locks_agree_with_each_other(lock):
    common = PIN.findall((ROOT / "requirements" / "versions.txt").read_text("utf-8"))
    versions = {name: Version(pin) for name, pin, _ in common}
    assert {name: pin for name, (pin, _) in pins(lock).items()}.items() <= versions.items()


@pytest.mark.parametrize("package", ["lightning", "pytorch-lightning"])
def test_the_releases_with_malware_cannot_be_chosen(package):
    requirement = next(r for r in wanted(PROJECT["dependencies"]) if r.name == package)
    assert not list(requirement.specifier.filter(["2.6.2", "2.6.3"]))
    assert all(pins(lock)[package][0] >= Version("2.6.4") for lock in LOCKS)


def test_mutants_meet_every_test_of_what_they_mutate():
    mutmut = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    patterns = ("tests/test_claims_*.py", "tests/test_statistics*.py")
    files = sorted(
        path.relative_to(ROOT).as_posix() for each in patterns for path in ROOT.glob(each)
    )
    assert mutmut["pytest_add_cli_args_test_selection"] == files
    assert all(list(ROOT.glob(pattern)) for pattern in mutmut["only_mutate"])


def test_the_bounds_are_those_of_the_project():
    low, high = installation.python_bounds()
    requirement = Requirement(f"python{PROJECT['requires-python']}")
    for minor in range(8, 20):
        assert (low <= minor < high) == (f"3.{minor}.1" in requirement.specifier)
    assert f"3.{low}" == "3.11"


@pytest.mark.parametrize("version", [(2, 7), (3, 8), (3, 10), (3, 14), (4, 11)])
def test_a_python_out_of_bounds_gets_one_line_that_names_another(version, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = installation.refusal(version)
    assert line is not None
    assert f"Python {version[0]}.{version[1]} is not supported, 3.11 to 3.13 are" in line
    assert "install one of them" in line
    assert "\n" not in line


@pytest.mark.skipif(os.name == "nt", reason="the names on PATH are other ones")
def test_the_line_names_the_newest_python_on_path_that_runs(tmp_path, monkeypatch):
    for name, status in [("python3.13", 1), ("python3.12", 0), ("python3.11", 0)]:
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    line = installation.refusal((3, 10))
    assert line is not None
    assert "python3.12 -m study" in line


def test_supported_pythons_are_not_refused():
    assert [installation.refusal((3, minor)) for minor in (11, 12, 13)] == [None] * 3
    assert installation.refusal((sys.version_info[0], sys.version_info[1])) is None


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Commands that an installation would run, made to succeed; `.failing` names one that fails."""
    calls = Installation()

    def run(command: list[str]) -> None:
        calls.append(command)
        if calls.failing and calls.failing in " ".join(command):
            if calls.leaving:
                (calls.path / "lib" / "python3.11" / "site-packages" / calls.leaving).touch()
            raise installation.SetupError("failed")
        if "venv" in command:
            python = installation.interpreter(Path(command[-1]))
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
            (Path(command[-1]) / "lib/python3.11/site-packages").mkdir(parents=True, exist_ok=True)
            (Path(command[-1]) / "pyvenv.cfg").write_text("version = 3.11.7\n")
            installation._stamp_path(Path(command[-1])).unlink(missing_ok=True)

    monkeypatch.setattr(installation, "_run_quietly", run)
    monkeypatch.setenv("STUDY_INSTALLER", "pip")
    monkeypatch.delenv("TORCH", raising=False)
    calls.path = tmp_path / ".venv"
    return calls


class Installation(list[list[str]]):
    path = Path()
    failing = ""
    leaving = ""

    def made_environments(self) -> int:
        return sum("venv" in command for command in self)


def test_a_second_set_up_runs_nothing(installed):
    assert installation.ensure("run", installed.path)
    installed.clear()
    assert not installation.ensure("run", installed.path)
    assert installed == []


def test_everything_comes_from_locks_with_hashes_or_from_here(installed):
    installation.ensure("dev", installed.path)
    installs = [command for command in installed if "install" in command]
    assert len(installs) == 3
    for command in installs:
        from_here = {"--no-deps", str(ROOT)} <= set(command)
        assert from_here or "--require-hashes" in command
        assert "--no-build-isolation" in command


ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="builds are for CPUs elsewhere")


def arguments_of(installed: list[list[str]], text: str) -> list[str]:
    (command,) = [each for each in installed if text in " ".join(each)]
    return command


@ONLY_LINUX
def test_torch_for_cpus_leaves_out_what_cuda_needs_and_keeps_all_other_hashes(
    installed, monkeypatch
):
    monkeypatch.setenv("TORCH", "cpu")
    monkeypatch.setenv("TORCH_INDEX", "somewhere")
    assert installation.ensure("dev", installed.path)
    torch = arguments_of(installed, "torch==")
    versions = {name: pins("dev")[name][0] for name in ("torch", "torchvision")}
    assert torch[-2:] == [f"{name}=={version}+cpu" for name, version in versions.items()]
    assert torch[torch.index("--index-url") + 1] == "somewhere"
    assert "--no-deps" in torch
    locked = arguments_of(installed, "cpu-dev.lock")
    assert {"--require-hashes", "--no-deps"} <= set(locked)
    kept = Path(locked[-1]).read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text_of("dev"))
    dropped = [entry.partition("==")[0] for entry in entries if entry not in kept]
    assert {"torch", "torchvision", "triton", "cuda-toolkit", "nvidia-cudnn-cu13"} <= set(dropped)
    assert all(re.match("torch$|torchvision$|triton$|cuda-|nvidia-", name) for name in dropped)
    assert len(re.split(r"\n(?=\S)", kept)) + len(dropped) == len(entries)


def test_nothing_but_torch_needs_what_is_left_out():
    """Of what is installed here, for CUDA or for CPUs."""
    left_out = {name for name in pins("run") if name.startswith(installation.CUDA)}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower()
        if name == "torch" or name in left_out:
            continue
        needed = wanted([each for each in distribution.requires or [] if "extra ==" not in each])
        assert left_out.isdisjoint(requirement.name for requirement in needed), name


@ONLY_LINUX
def test_the_builds_of_torch_stay_until_others_are_asked_for(installed, monkeypatch):
    monkeypatch.setenv("TORCH", "cpu")
    installation.ensure("run", installed.path)
    monkeypatch.delenv("TORCH")
    assert installation.is_current(installed.path, "run")
    assert installation.ensure("dev", installed.path)
    assert installed.made_environments() == 1
    arguments_of(installed, "cpu-dev.lock")
    monkeypatch.setenv("TORCH", "locked")
    assert installation.ensure("run", installed.path)
    assert installed.made_environments() == 2
    arguments_of(installed, "requirements/run.lock")
    monkeypatch.delenv("TORCH")
    assert installation.is_current(installed.path, "run")


@ONLY_LINUX
@pytest.mark.parametrize("folder", [False, True])
def test_builds_that_cannot_be_had_are_one_line_that_says_where_they_are(
    installed, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH", "cpu")
    monkeypatch.setenv("TORCH_INDEX", str(tmp_path) if folder else "")
    installed.failing = "+cpu"
    with pytest.raises(installation.SetupError, match=r"torch==\S+\+cpu.*TORCH_INDEX=ADDRESS"):
        installation.ensure("run", installed.path)
    assert ("--find-links" in installed[-1]) == folder
    assert "--index-url" not in installed[-1]
    assert not installation.is_current(installed.path, "run")


def test_other_builds_of_torch_are_refused_before_anything(installed, monkeypatch):
    monkeypatch.setenv("TORCH", "rocm")
    with pytest.raises(installation.SetupError, match="TORCH is 'rocm'; choose from: cpu, locked"):
        installation.ensure("run", installed.path)
    assert installed == []


def test_every_lock_brings_run_and_keeps_the_others(installed):
    installation.ensure("dev", installed.path)
    assert not installation.ensure("run", installed.path)
    assert installation.ensure("joblib", installed.path)
    assert not installation.ensure("dev", installed.path)
    assert installation.ensure("ray", installed.path)
    assert installed.made_environments() == 1


@pytest.mark.parametrize("stage", ["build.lock", "run.lock", "--editable", "ensurepip"])
def test_an_interrupted_installation_is_made_anew(installed, stage):
    installed.failing = stage
    with pytest.raises(installation.SetupError):
        installation.ensure("run", installed.path)
    assert not installation.is_current(installed.path, "run")
    installed.failing = ""
    assert installation.ensure("run", installed.path)
    assert installed.made_environments() == 2
    assert installation.is_current(installed.path, "run")


def test_a_failure_that_changed_nothing_leaves_the_environment_as_it_was(installed):
    installation.ensure("run", installed.path)
    installed.failing = "dev.lock"
    with pytest.raises(installation.SetupError):
        installation.ensure("dev", installed.path)
    assert installation.is_current(installed.path, "run")
    assert not installation.is_current(installed.path, "dev")


def test_a_failure_that_changed_something_is_made_anew(installed):
    installation.ensure("run", installed.path)
    installed.failing, installed.leaving = "dev.lock", "half"
    with pytest.raises(installation.SetupError):
        installation.ensure("dev", installed.path)
    assert not installation.is_current(installed.path, "run")


@pytest.mark.parametrize(
    ("key", "anew"), [("run.lock", 1), ("build.lock", 1), ("project", 1), ("root", 2)]
)
def test_a_change_is_installed_and_a_moved_environment_made_anew(installed, key, anew):
    installation.ensure("run", installed.path)
    stamp = installation._stamp_path(installed.path)
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), key: "before"}))
    assert installation.ensure("run", installed.path)
    assert installed.made_environments() == anew


@pytest.mark.parametrize("damage", ["stamp", "python", "configuration"])
def test_a_damaged_environment_is_made_anew(installed, damage):
    installation.ensure("run", installed.path)
    if damage == "python":
        installation.interpreter(installed.path).unlink()
    elif damage == "stamp":
        installation._stamp_path(installed.path).write_text("{")
    else:
        (installed.path / "pyvenv.cfg").write_text("version = 3.9.1\n")
    assert installation.ensure("run", installed.path)
    assert installed.made_environments() == 2


def test_the_environment_is_not_removed_under_the_python_that_runs(installed, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(installed.path))
    with pytest.raises(installation.SetupError, match="a Python outside it"):
        installation.ensure("run", installed.path)
    assert installed == []


@pytest.mark.parametrize("value", ["conda", "uv"])
def test_an_installer_that_cannot_be_used_is_refused_before_anything(
    installed, value, tmp_path, monkeypatch
):
    monkeypatch.setenv("STUDY_INSTALLER", value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(installation.SetupError, match="STUDY_INSTALLER"):
        installation.ensure("run", installed.path)
    assert installed == []


def test_a_refused_python_makes_nothing_and_says_one_line(installed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(installation.SetupError, match="Python 3.10 is not supported"):
        installation.ensure("run", installed.path)
    assert installed == []
    assert capsys.readouterr().out == ""


def test_a_failing_command_is_shown_with_what_it_said(capsys):
    with pytest.raises(installation.SetupError, match="failed with status 3"):
        installation._run_quietly([sys.executable, "-c", "print('no space'); raise SystemExit(3)"])
    assert capsys.readouterr().err == "no space\n"
    installation._run_quietly([sys.executable, "-c", "print('fine')"])
    assert capsys.readouterr() == ("", "")
