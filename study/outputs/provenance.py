"""Where a result comes from: code, versions, machine."""

import functools
import hashlib
import importlib.metadata
import itertools
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from study.console import CONFIG_DIR
from study.files import CHECKOUT, sha256

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "numpy",
    "safetensors",
    "tensorboard",
)


@functools.cache
def code_and_machine() -> dict[str, Any]:
    """Commit, hash of uncommitted changes (null if there are none), versions, machine, command."""
    path = Path("/proc/cpuinfo")  # What Linux says, of the first processor first.
    first = path.read_text().partition("\n\n")[0] if path.is_file() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    cpu = {name.strip(): value.strip() for name, _, value in pairs}
    # They tell processors of one name apart, where the system says them.
    numbers = [cpu.get(name) for name in ("cpu family", "model", "stepping")]
    model = None if None in numbers else "family {}, model {}, stepping {}".format(*numbers)
    return {
        "git_commit": git_commit(),
        "git_diff_sha256": _git_diff_sha256(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": cpu.get("model name") or platform.processor() or platform.machine(),
        "processor_model": model,
        "command": shlex.join(["study", *sys.argv[1:]]),
    }


def launch_overrides(command: object) -> list[str] | None:
    """What a recorded command line of `study train` gave: -m, --config-dir=DIR, and its overrides.

    None for a command that is another, as that of a launcher's worker.
    """
    try:
        words = shlex.split(str(command))
        given = words[words.index("train") + 1 :]
    except ValueError:
        return None
    multirun = ["-m"] if {"-m", "--multirun"} & set(given) else []
    found = []
    for before, text in itertools.pairwise(["", *given]):
        flag, equals, folder = text.partition("=")
        if before in CONFIG_DIR or (flag in CONFIG_DIR and equals):
            found.append(f"{CONFIG_DIR[1]}={folder if flag in CONFIG_DIR else text}")
        elif not text.startswith("-"):
            found.append(text)
    return [*multirun, *found]


def available_threads() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def git_commit() -> str | None:
    """The checkout's commit, or `None` outside one."""
    commit = _git("rev-parse", "HEAD")
    return commit.decode().strip() if commit else None


def differs_from_commit(path: Path, commit: str | None) -> bool | None:
    """Whether a text file of the checkout is not as that commit has it; `None` without a commit."""
    if commit is None or CHECKOUT is None:
        return None
    committed = _git("show", f"{commit}:./{Path(os.path.relpath(path, CHECKOUT)).as_posix()}")
    return committed.decode(errors="replace").splitlines() != path.read_text("utf-8").splitlines()


def _git_diff_sha256() -> str | None:
    """Hash of all that the commit does not say: changes, and new files of code and configuration.

    `None` if there is nothing of the kind, or outside a checkout.
    """
    if CHECKOUT is None:
        return None
    diff = _git("diff", "HEAD", "--", ".", ":!outputs")
    listed = _git("ls-files", "--others", "--exclude-standard", "-z", "--", "study", "conf")
    new = sorted(name for name in listed.split(b"\0") if name)
    if not diff and not new:
        return None
    digest = hashlib.sha256(diff)
    for name in new:
        digest.update(name + b"\0" + sha256(CHECKOUT / os.fsdecode(name)).encode() + b"\n")
    return digest.hexdigest()


def _git(*arguments: str) -> bytes:
    if CHECKOUT is None:  # The checkout around an installed package is another project's.
        return b""
    try:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
