"""The command `study`: one sub-command for each thing that one does with a study."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from study import __version__
from study.console import COMMANDS, as_invoked, command, importing
from study.errors import InputError, bounded_line

PACKAGES = ("hydra", "lightning", "pandas", "rich", "safetensors", "scipy", "torch", "torchvision")


def usage() -> str:
    """What `study --help` prints."""
    rows = [(name, text) for name, (_, text) in COMMANDS.items()]
    lines = [f"  study {name:12} {text}" for name, text in rows]
    page = [f"usage: {command()} COMMAND ...", "", *lines, "", "study COMMAND --help says more"]
    page += ["study train --hydra-help says how TAB completes"]
    return as_invoked("\n".join(page))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit status, 2 for bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # PyTorch's threads spin while they wait for each other: on a machine that is doing anything
    # else, a step then takes up to 60 times as long (measured). Asleep they cost nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _dispatch(arguments)
    except InputError as error:
        print("study:", error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        from study.files import unwritable

        if (line := unwritable(error)) is None:
            raise
        print("study:", bounded_line(line), file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("--help", "-h", "help"):
        print(usage())
        return 0
    if name in ("--version", "-V"):
        print(f"study {__version__}")
        return 0
    try:
        if name in ("-sc", "--shell-completion"):
            from study.config.pages import answer

            return answer(rest)
        if name not in COMMANDS:
            from study.errors import unknown

            raise unknown("command", name, COMMANDS)
        if name not in ("train", "preflight"):  # of which it is a key
            rest = _without_levels(rest)
        with importing():
            module = importlib.import_module(COMMANDS[name][0])
        return int(module.main(rest))
    except ModuleNotFoundError as error:
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if not missing:
            raise
        lacks = f"this Python ({sys.executable}) has no {missing[0]}"
        raise InputError(f"{lacks}; run `make setup`, then .venv/bin/study") from error


def _without_levels(arguments: list[str]) -> list[str]:
    """The arguments without `levels=DIR`, whose levels are known from then on."""
    named = [argument for argument in arguments if argument.startswith("levels=")]
    if named or (os.environ.get("STUDY_LEVELS") and not {"-h", "--help"} & set(arguments)):
        from study.config.configuration import use_levels

        use_levels(named)
    return [argument for argument in arguments if argument not in named]


if __name__ == "__main__":
    sys.exit(main())
