"""`study list`: every experiment, level and key, with a line each."""

from collections.abc import Sequence

from study.arguments import Parser
from study.configuration import CONF, levels
from study.keys import GROUPS, KEYS


def main(arguments: Sequence[str]) -> int:
    """Prints the catalogue."""
    _parser().parse_args(list(arguments))
    print("\n".join(catalogue()))
    return 0


def _parser() -> Parser:
    return Parser("study list", "Prints every experiment, level and key, with a line each.")


def catalogue() -> list[str]:
    """The lines that `study list` prints."""
    lines = ["experiments"]
    lines += [_line(name, headline("experiment", name)) for name in levels("experiment")]
    for group in (*GROUPS, "trainer", "hydra/launcher"):
        lines += ["", f"{group}="]
        lines += [_line(name, headline(group, name)) for name in levels(group)]
    lines += ["", "keys"]
    lines += [_line(name, f"{key.help}: {key.kind.expects}") for name, key in KEYS.items()]
    return lines


def _line(name: str, text: str) -> str:
    return f"  {name:22} {text}"


def headline(group: str, level: str) -> str:
    """The first comment of a level's file."""
    text = (CONF / group / f"{level}.yaml").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    return next(line for line in comments if "@package" not in line).lstrip("# ")
