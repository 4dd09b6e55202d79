"""The project's environment: `.venv`, installed from locks with hashes.

Standard library only, and in the syntax of Python 3.8: an interpreter that is too old, or that has
no package yet, must get as far as the line that says so.
"""

from __future__ import annotations

import collections
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
UNFINISHED = "unfinished"
LOCKED, CPU = "locked", "cpu"
"""Which builds of torch and torchvision: those of the locks, on Linux for CUDA, or for CPUs."""
CUDA = ("nvidia-", "cuda-", "triton")
"""How the names begin of what on Linux only torch's builds for CUDA need."""


class SetupError(Exception):
    """What keeps the environment from being made, in one line, and the status to exit with."""

    def __init__(self, line: str, status: int = 1) -> None:
        super().__init__(line)
        self.status = status


def ensure(lock: str, environment: Path = ENVIRONMENT) -> bool:
    """Bring `environment` up to `lock`; False if it was already, which takes milliseconds.

    An installation that is broken off leaves the environment marked, and the next one makes it
    anew; one that fails before it has changed anything (no network) leaves it as it was.
    """
    if is_current(environment, lock):
        return False
    started = time.monotonic()
    installer, torch = _installer(), _torch(environment)
    usable = _usable(environment)
    if not usable:
        _refuse_what_cannot_make(environment)
    path = _lock_path(lock).relative_to(ROOT)
    what = path if torch == LOCKED else f"{path}, with torch for CPUs,"
    size = "" if usable else f" ({_size(torch)}: minutes)"
    print(f"study setup: {installer} installs {what} into {environment.name}{size}", flush=True)
    if not usable:
        _make(environment)
    _install(installer, environment, lock, _read_stamp(environment) if usable else {}, torch)
    took = f"{time.monotonic() - started:.0f} s"
    print(f"study setup: ready, Python {_version_of(environment)}, {took}", flush=True)
    return True


def is_current(environment: Path, lock: str) -> bool:
    """Whether a finished installation of `lock` as it is now lies in `environment`, here."""
    stamp = _read_stamp(environment)
    return (
        interpreter(environment).exists()
        and _identity(environment).items() <= stamp.items()
        and _torch(environment) == stamp.get("torch", LOCKED)
        and stamp.get(f"{lock}.lock") == _sha256(_lock_path(lock))
    )


def interpreter(environment: Path) -> Path:
    """The Python of `environment`, on Windows or elsewhere."""
    return script(environment, "python")


def script(environment: Path, name: str) -> Path:
    """The program `name` of `environment`, on Windows or elsewhere."""
    if os.name == "nt":
        return environment / "Scripts" / f"{name}.exe"
    return environment / "bin" / name


def python_bounds() -> tuple[int, int]:
    """The first minor version of Python 3 that pyproject.toml admits, and the first it does not."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', text, re.MULTILINE)
    assert found, "pyproject.toml: requires-python reads >=3.A,<3.B"
    return int(found[1]), int(found[2])


def refusal(version: tuple[int, int]) -> str | None:
    """One line for a Python of this (major, minor) version that is not supported, else None."""
    low, high = python_bounds()
    if _supported(f"{version[0]}.{version[1]}."):
        return None
    line = f"Python {version[0]}.{version[1]} is not supported, 3.{low} to 3.{high - 1} are"
    pattern = "py -3.{}" if os.name == "nt" else "python3.{}"
    names = [pattern.format(minor) for minor in reversed(range(low, high))]
    other = next((name for name in names if _runs(name)), None)
    if other is None:
        return f"{line}; install one of them"
    return f"{line}; run `{other} -m study ...`, or `make PYTHON='{other}' ...`"


def _supported(version: str) -> bool:
    low, high = python_bounds()
    return any(version.startswith(f"3.{minor}.") for minor in range(low, high))


def _runs(command: str) -> bool:
    """Whether `command` starts a Python: a version manager's shim may lie on PATH for none."""
    program, *arguments = command.split()
    if shutil.which(program) is None:
        return False
    done = subprocess.run([program, *arguments, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


def _usable(environment: Path) -> bool:
    """Whether `environment` holds a supported Python, made here, with no installation half done."""
    stamp = _read_stamp(environment)
    return (
        interpreter(environment).exists()
        and _supported(_version_of(environment))
        and stamp.get("root", str(ROOT)) == str(ROOT)
        and _torch(environment) == stamp.get("torch", LOCKED)
        and UNFINISHED not in stamp
    )


def _refuse_what_cannot_make(environment: Path) -> None:
    """Raise where the running Python is not supported, or lies in what would be removed."""
    line = refusal((sys.version_info[0], sys.version_info[1]))
    if line:
        raise SetupError(line, 2)
    if Path(sys.prefix).resolve() == environment.resolve():
        raise SetupError(f"{environment} must be made anew: run this with a Python outside it", 2)


def _make(environment: Path) -> None:
    """Make `environment` anew with the running Python."""
    _run_quietly([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)])
    _write_stamp(environment, {UNFINISHED: "pip"})
    if importlib.util.find_spec("ensurepip"):
        _run_quietly([str(interpreter(environment)), "-m", "ensurepip", "--default-pip"])


def _version_of(environment: Path) -> str:
    """The version of the environment's Python, read from its configuration; '' without one."""
    try:
        text = (environment / "pyvenv.cfg").read_text("utf-8")
    except OSError:
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def _installer() -> str:
    name = os.environ.get("STUDY_INSTALLER", "pip")
    if name not in ("pip", "uv"):
        raise SetupError(f"STUDY_INSTALLER is {name!r}; choose from: pip, uv", 2)
    if name == "uv" and shutil.which("uv") is None:
        raise SetupError("STUDY_INSTALLER is 'uv', and no uv is on PATH", 2)
    return name


def _torch(environment: Path) -> str:
    """LOCKED or CPU: what the variable TORCH says, or else what is installed; `SetupError`.

    Only on Linux the builds that the locks name are not for CPUs.
    """
    installed = _read_stamp(environment).get("torch", LOCKED)
    name = os.environ.get("TORCH") or installed
    if name not in (LOCKED, CPU):
        raise SetupError(f"TORCH is {name!r}; choose from: {CPU}, {LOCKED}", 2)
    return name if sys.platform == "linux" else LOCKED


def _size(torch: str) -> str:
    if sys.platform != "linux":
        return "1 GB"
    return "1.6 GB" if torch == CPU else "6 GB, of which CUDA 4; TORCH=cpu does without"


def _install(
    installer: str, environment: Path, lock: str, stamp: dict[str, str], torch: str
) -> None:
    """Install what builds, `lock` and the project; `stamp` says what was installed before."""
    before = _contents(environment)
    _write_stamp(environment, {UNFINISHED: lock})
    install = _install_command(installer, environment)
    path = _lock_path(lock)
    try:
        locked = [*install, "--require-hashes"]
        if torch == CPU:
            _install_torch_for_cpus(install, path)
            path = _without_cuda(path, environment)
            locked.append("--no-deps")  # the lock names all of them, but for those two
        for each in (_lock_path("build"), path):
            _run_quietly([*locked, "-r", str(each)])
        _run_quietly([*install, "--no-deps", "--editable", str(ROOT)])
    except (SetupError, KeyboardInterrupt):
        if stamp and _contents(environment) == before:
            _write_stamp(environment, stamp)
        raise
    _write_stamp(environment, {**_updated(stamp, environment, lock), "torch": torch})


def _install_torch_for_cpus(install: list[str], lock: Path) -> None:
    """Install the builds for CPUs of the locked torch and torchvision, from where they are.

    That is PyTorch's own index, or a folder of wheels: TORCH_INDEX names it, or the installer's own
    settings do. No lock has their hashes; their versions are the locked ones.
    """
    found = dict(re.findall(r"^(torch|torchvision)==(\S+)", lock.read_text("utf-8"), re.MULTILINE))
    builds = [f"{name}=={version}+cpu" for name, version in sorted(found.items())]
    index = os.environ.get("TORCH_INDEX", "")
    where = ["--index-url", index] if index else []
    if index and Path(index).is_dir():
        where = ["--no-index", "--find-links", index]
    try:
        _run_quietly([*install, "--no-deps", *where, *builds])
    except SetupError:
        raise SetupError(
            f"{' and '.join(builds)} cannot be installed from "
            f"{index or 'where the installer looks'}: TORCH_INDEX=ADDRESS names the index of "
            "PyTorch's builds for CPUs (its page on installing has the address), or a folder of "
            "wheels; without TORCH=cpu the builds of the locks are taken"
        ) from None


def _without_cuda(lock: Path, environment: Path) -> Path:
    """A lock beside the environment's stamp, without torch, torchvision and what CUDA needs."""
    entries = re.split(r"\n(?=\S)", lock.read_text("utf-8"))
    kept = [entry for entry in entries if not entry.startswith((*CUDA, "torch==", "torchvision=="))]
    path = environment / f"{CPU}-{lock.name}"
    path.write_text("\n".join(kept), "utf-8")
    return path


def _install_command(installer: str, environment: Path) -> list[str]:
    """The start of an installation into `environment`, whose own build tools build what is built.

    Where Python came without ensurepip, the pip beside it installs into the environment.
    """
    python = str(interpreter(environment))
    if installer == "uv":
        return ["uv", "pip", "install", "--python", python, "--no-build-isolation"]
    own = any((folder / "pip").exists() for folder in _site_packages(environment))
    pip = [python, "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", python]
    return [*pip, "install", "--disable-pip-version-check", "--no-build-isolation", "--use-pep517"]


def _run_quietly(command: list[str]) -> None:
    """Run `command`, showing one moving line on a terminal, and all it said only if it fails."""
    said: collections.deque[str] = collections.deque(maxlen=200)
    width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if width:
                print(f"\r{line.strip()[:width]:{width}}", end="", flush=True)
    if width:
        print(f"\r{'':{width}}\r", end="", flush=True)
    if process.returncode:
        print("".join(said), end="", file=sys.stderr)
        raise SetupError(f"`{' '.join(command)}` failed with status {process.returncode}")


def _site_packages(environment: Path) -> list[Path]:
    folders = [*environment.glob("lib/python3*"), environment / "Lib"]
    return [path for path in (folder / "site-packages" for folder in folders) if path.is_dir()]


def _contents(environment: Path) -> list[tuple[str, int]]:
    """What is installed, and when each part was last written."""
    parts = [part for folder in _site_packages(environment) for part in folder.iterdir()]
    return sorted((part.name, part.stat().st_mtime_ns) for part in parts)


def _lock_path(lock: str) -> Path:
    return ROOT / "requirements" / f"{lock}.lock"


def _stamp_path(environment: Path) -> Path:
    return environment / "study-setup.json"


def _read_stamp(environment: Path) -> dict[str, str]:
    """What was installed: empty without a stamp, unfinished where it cannot be read."""
    try:
        stamp: dict[str, str] = json.loads(_stamp_path(environment).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return {UNFINISHED: "unknown"}
    return stamp


def _write_stamp(environment: Path, stamp: dict[str, str]) -> None:
    temporary = _stamp_path(environment).with_suffix(".tmp")
    temporary.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", "utf-8")
    temporary.replace(_stamp_path(environment))


def _updated(stamp: dict[str, str], environment: Path, lock: str) -> dict[str, str]:
    """The stamp after `lock` was installed: every lock holds all of `run`, so it is there too."""
    identity = _identity(environment)
    kept = stamp if identity.items() <= stamp.items() else {}
    installed = {f"{name}.lock": _sha256(_lock_path(name)) for name in ("run", lock)}
    return {**kept, **identity, **installed}


def _identity(environment: Path) -> dict[str, str]:
    """What beside the lock makes an installation another one."""
    return {
        "root": str(ROOT),
        "python": _version_of(environment),
        "project": _sha256(ROOT / "pyproject.toml"),
        "build.lock": _sha256(_lock_path("build")),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
