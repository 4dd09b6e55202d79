"""What the locks pin: every release with its hash, one version for all, as pyproject.toml asks."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = ["run", *EXTRAS]
ALL_LOCKS = [*LOCKS, "build", "audit"]
PINNED = sorted({*(ROOT / "requirements").glob("*.lock"), ROOT / "requirements" / "versions.txt"})
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


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
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


def test_every_extra_has_a_lock() -> None:
    paths = (ROOT / "requirements").glob("*.lock")
    assert sorted(path.stem for path in paths) == sorted(ALL_LOCKS)


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
    patterns = [f"tests/analysis/{wing}/test_*.py" for wing in ("claims", "statistics")]
    files = sorted(
        path.relative_to(ROOT).as_posix() for each in patterns for path in ROOT.glob(each)
    )
    assert sorted(mutmut["pytest_add_cli_args_test_selection"]) == files
    assert all(list(ROOT.glob(pattern)) for pattern in mutmut["only_mutate"])
