"""The hash of what the commit does not say."""

import shutil
import subprocess
from pathlib import Path

import pytest

from study.outputs import provenance
from study.outputs.provenance import _git_diff_sha256, code_and_machine, git_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(checkout: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(checkout), *who, *arguments], check=True, capture_output=True)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean checkout in place of this project's."""
    write(tmp_path / ".gitignore", "*.pyc\n")
    for name in ("study/a.py", "conf/a.yaml", "README.md"):
        write(tmp_path / name, "old\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "first")
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_clean_checkout_has_none(checkout: Path) -> None:
    write(checkout / "study" / "a.pyc", "ignored")
    write(checkout / "outputs" / "quickstart" / "study.json", "results")
    write(checkout / "notes.txt", "of no effect")
    assert _git_diff_sha256() is None
    assert git_commit() is not None


def test_every_change_and_every_new_file_is_in_it(checkout: Path) -> None:
    seen = [_git_diff_sha256()]
    for name, text in (
        ("study/a.py", "new\n"),
        ("study/b.py", "one\n"),
        ("study/b.py", "two\n"),
        ("study/deep/\u00e9 c.py", ""),
        ("conf/activation/mine.yaml", "name: mine\n"),
    ):
        write(checkout / name, text)
        seen.append(_git_diff_sha256())
    (checkout / "study" / "b.py").rename(checkout / "study" / "d.py")
    seen.append(_git_diff_sha256())
    assert len(set(seen)) == len(seen)
    assert _git_diff_sha256() == seen[-1]


def test_a_new_file_alone_is_in_it(checkout: Path) -> None:
    write(checkout / "study" / "b.py", "")
    assert _git_diff_sha256() is not None
    git(checkout, "add", ".")
    git(checkout, "commit", "--message", "second")
    assert _git_diff_sha256() is None


def test_outside_a_checkout_there_is_neither_commit_nor_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "study" / "a.py", "")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    code_and_machine.cache_clear()
    found = code_and_machine()
    code_and_machine.cache_clear()
    assert (found["git_commit"], found["git_diff_sha256"]) == (None, None)
