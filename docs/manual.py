"""The tables of keys, of their effects and of metrics, made from what the code says of each.

- `study keys GROUP`: the levels of a group and its keys; `other`: the keys that belong to none
- `study effects EFFECT ...`: every key of these effects
- `study habits KIND`: flags, Hydra's keys or other projects', each with what to write here
- `study metrics KIND`: metrics, probes or quantities, with formula and source
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from study.config import refused
from study.config.configuration import RECONSTRUCTION, defaults, levels, sound_levels
from study.config.keys import GROUPS, KEYS
from study.config.listing import headline
from study.console import sentence_table
from study.errors import shown, unknown
from study.outputs.metrics import METRICS, OF_TASK, PROBES, QUANTITIES, Metric

TREES = ("streams", "pairs", "trainer", "population", "outputs", "sweep", "report")
"""Keys with a dot that are no level of a factor."""
OTHER = "other"
SECTIONS = (OTHER, *GROUPS, *TREES)
COLUMNS = ("key", "default", "range", "effect", "what it is")


def section_of(name: str) -> str:
    """The section that a key belongs to: what stands before its dot."""
    head, dot, _ = name.partition(".")
    return head if dot else OTHER


def printed_keys(arguments: Sequence[str]) -> str:
    """The table of a section, after a list of its levels where it has some."""
    section = " ".join(arguments)
    if section not in SECTIONS:
        raise unknown("section of keys", section, SECTIONS)
    rows = [
        (f"`{name}`", default_of(name), key.kind.expects, key.effect, key.help)
        for name, key in KEYS.items()
        if section_of(name) == section
    ]
    named = levels(section) if section in GROUPS else ()
    listed = "\n".join(f"- `{section}={level}`: {headline(section, level)}" for level in named)
    return "\n\n".join(filter(None, (listed, sentence_table(COLUMNS, rows)))) + "\n"


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


def printed_effects(arguments: Sequence[str]) -> str:
    """Every key of these effects, in the order of study.config.keys."""
    rows = [
        (f"`{name}`", f"`{key.effect}`", key.help)
        for name, key in KEYS.items()
        if key.effect in arguments
    ]
    return sentence_table(("key", "effect", "what it is"), rows)


def printed_habits(arguments: Sequence[str]) -> str:
    """What is refused of a kind, and the line that says what to write instead."""
    kind = " ".join(arguments)
    if kind not in HABITS:
        raise unknown("kind of habits", kind, HABITS)
    together: dict[str, list[str]] = {}
    for name, instead in HABITS[kind].items():
        together.setdefault(instead, []).append(f"`{name}`")
    rows = [(", ".join(names), instead) for instead, names in together.items()]
    return sentence_table(("typed elsewhere", "here"), rows) + "\n"


HABITS: dict[str, Mapping[str, str]] = {
    "flags": refused.FLAGS,
    "hydra": {f"hydra.{name}": instead for name, instead in refused.HYDRA.items()},
    "keys": refused.KEYS,
}


def printed_metrics(arguments: Sequence[str]) -> str:
    """The table of a kind."""
    kind = " ".join(arguments)
    if kind not in KINDS:
        raise unknown("kind of metrics", kind, KINDS)
    return f"{KINDS[kind]()}\n"


def _reconstruction() -> str:
    rows = OF_TASK[RECONSTRUCTION]
    formula, source = next((row.formula, row.source) for row in rows.values())
    return f"{', '.join(f'`{name}`' for name in rows)}: {formula} ({source})."


def _rows(metrics: Mapping[str, Metric], first: str, *fields: str) -> str:
    """A table of metrics by name: the columns are fields of theirs, `help` under its own words."""
    columns = (first, *("what it is" if field == "help" else field for field in fields))
    rows = [
        (f"`{name}`", *(getattr(row, field) for field in fields)) for name, row in metrics.items()
    ]
    return sentence_table(columns, rows)


KINDS: dict[str, Callable[[], str]] = {
    "tables": lambda: _rows(METRICS, "metric", "help", "unit", "formula", "source"),
    "reconstruction": _reconstruction,
    "probes": lambda: _rows(PROBES, "probe", "unit", "formula", "source"),
    "probes in words": lambda: _rows(PROBES, "column of probes.csv", "help"),
    "quantities": lambda: _rows(QUANTITIES, "quantity", "help", "unit", "formula", "source"),
}
