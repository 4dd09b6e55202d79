"""The tables of docs/configuration.md: every key with its default, its range and its effect.

`<!-- study keys GROUP -->` is replaced by the levels of the group and a table of its keys; `other`
stands for the keys that no group of docs/configuration.md holds.
"""

from collections.abc import Sequence
from typing import Any

from study.catalogue import headline
from study.configuration import defaults, levels, sound_levels
from study.errors import unknown
from study.key import Key
from study.keys import GROUPS, KEYS
from study.kinds import shown
from study.lecture.tables import table
from study.report import quoted

TREES = ("streams", "pairs", "trainer", "population", "outputs", "sweep", "report")
"""Keys with a dot that are no level of a factor."""
OTHER = "other"
SECTIONS = (OTHER, *GROUPS, *TREES)
COLUMNS = ("key", "default", "range", "effect", "what it is")


def section_of(name: str) -> str:
    """The section that a key belongs to: what stands before its dot."""
    head, dot, _ = name.partition(".")
    return head if dot else OTHER


def printed(arguments: Sequence[str]) -> str:
    """The table of a section, after a list of its levels where it has some."""
    section = " ".join(arguments)
    if section not in SECTIONS:
        raise unknown("section of keys", section, SECTIONS)
    rows = [_row(name, key) for name, key in KEYS.items() if section_of(name) == section]
    listed = _levels(section) if section in GROUPS else ""
    return f"{listed}{table(COLUMNS, rows)}\n"


def _levels(group: str) -> str:
    lines = [f"- `{group}={level}`: {headline(group, level)}" for level in levels(group)]
    return "\n".join(lines) + "\n\n"


def _row(name: str, key: Key) -> tuple[str, ...]:
    return (f"`{name}`", default_of(name), key.kind.expects, key.effect, key.help)


def default_of(name: str) -> str:
    """The value where nothing else is said; with levels, that of each which has the key."""
    group, _, last = name.partition(".")
    if group not in GROUPS:
        return _code(defaults()[name])
    if last == "name":
        return "the level's"
    files = sound_levels(group)
    by_value: dict[str, list[str]] = {}
    for level, keys in files.items():
        if last in keys:
            by_value.setdefault(_code(keys[last]), []).append(level)
    if len(by_value) == 1:
        return next(iter(by_value))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in by_value.items())


def _code(value: Any) -> str:
    return f"`{shown(value)}`"


PRINTERS: dict[str, quoted.Printer] = {"study keys": printed}
