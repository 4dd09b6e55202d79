"""The commands that make the project's environment and run the tools in it.

Like `study.installation`, in the standard library and the syntax of Python 3.8 alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys

from study.installation import (
    ENVIRONMENT,
    ROOT,
    SetupError,
    ensure,
    interpreter,
    is_current,
    script,
)

LOCKS = {
    "run": "what training and reports need",
    "dev": "run, and what checks and tests need",
    "joblib": "run, and hydra/launcher=joblib",
    "mutants": "run, and what `make mutants` needs",
    "ray": "run, and hydra/launcher=ray",
    "submitit": "run, and hydra/launcher=submitit_slurm",
}
TEST_HELP = """usage: study test [ARGUMENT ...]

Runs the tests. Arguments go to pytest:

  study test tests/analysis/test_table.py       the tests of one file
  study test -k status                 those with status in their name
  study test -n 0 -x                   in one process, up to the first that fails

.venv is first brought up to date with requirements/dev.lock. Its bin/pytest --help has the rest."""
PACKAGES = ["hydra", "lightning", "pandas", "rich", "safetensors", "scipy", "torch", "torchvision"]


def main(command: str, arguments: list[str]) -> int:
    """Run `setup`, `check` or `test` and return the exit status of what it ran.

    `setup [LOCK ...]` makes or brings up to date `.venv` with those locks (default: run), by pip,
    or by uv where the variable STUDY_INSTALLER is `uv`; with TORCH=cpu with PyTorch's builds for
    CPUs, from the index or folder that TORCH_INDEX names. `check` is format, lint, types and what
    documents quote; `test` hands its arguments to pytest; both set up what they need first.
    """
    try:
        return {"setup": setup, "check": check, "test": test}[command](arguments)
    except SetupError as error:
        print(f"study {command}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(f"study {command}: interrupted", file=sys.stderr)
        return 130


def missing_packages_line() -> str | None:
    """One line on what to run when this Python lacks the project's packages; None if it has all."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    lacks = f"this Python ({sys.executable}) has no {missing[0]}"
    try:
        ready = is_current(ENVIRONMENT, "run")
    except SetupError:  # TORCH is set to what no build is called; the set-up will say so
        ready = False
    if ready:
        return f"{lacks}; run {script(ENVIRONMENT, 'study')} instead"
    return f"{lacks}; run `make study`, or `python -m study setup` first"


def setup(arguments: list[str]) -> int:
    """Install the locks that are named, `run` if none is, and say what was done."""
    parser = argparse.ArgumentParser(
        prog="study setup",
        description="Makes .venv from the locks.",
        epilog="Variables: STUDY_INSTALLER=uv installs by uv. TORCH=cpu takes torch and "
        "torchvision for CPUs, from TORCH_INDEX (an index's address, or a folder of wheels) or "
        "where the installer looks; TORCH=locked takes those of the lock again.",
    )
    what = ", ".join(f"{name} ({text})" for name, text in LOCKS.items())
    parser.add_argument("locks", nargs="*", metavar="LOCK", help=f"{what}; default: run")
    locks = parser.parse_args(arguments).locks or ["run"]
    for name in locks:
        if name not in LOCKS:
            raise SetupError(f"unknown lock {name!r}; choose from: {', '.join(LOCKS)}", 2)
    installed = [ensure(name) for name in locks]
    if not any(installed):
        print(f"study setup: .venv is up to date ({', '.join(locks)})")
    return 0


def check(arguments: list[str]) -> int:
    """Formatting, lint, types, and whether documents quote what the saved outputs give.

    All four run, and the first status that is not 0 is returned.
    """
    description = "Formatting, lint, types, and whether documents quote what outputs give."
    argparse.ArgumentParser(prog="study check", description=description).parse_args(arguments)
    ensure("dev")
    quotations = ["docs.refresh", "--check"]
    tools = (["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], quotations)
    return next((status for status in [_run_module(tool) for tool in tools] if status), 0)


def test(arguments: list[str]) -> int:
    """The test suite: pytest with `arguments`. Help is printed, and nothing installed for it."""
    if {"-h", "--help"} & set(arguments):
        print(TEST_HELP)
        return 0
    ensure("dev")
    return _run_module(["pytest", *arguments])


def _run_module(arguments: list[str]) -> int:
    """Run a module of `.venv` at the root of the checkout and return its exit status."""
    python = str(interpreter(ENVIRONMENT))
    return subprocess.run([python, "-m", *arguments], cwd=ROOT, check=False).returncode
