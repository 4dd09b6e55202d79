"""The tables of docs/configuration.md: every key with its default, its range and its effect.

`<!-- study keys GROUP -->` is replaced by the levels of the group and a table of its keys; `other`
stands for the keys that no group of docs/configuration.md holds.
"""

from collections.abc import Callable, Sequence
from typing import Any

from docs import quoted
from docs.lecture.page import table as keys_table
from docs.lecture.page import table as metrics_table
from study.analysis.claims.quantities import EPOCH_SECONDS, OWN, find_quantity
from study.config.configuration import RECONSTRUCTION, defaults, levels, sound_levels
from study.config.keys import GROUPS, KEYS, Key
from study.config.kinds import shown
from study.config.listing import headline
from study.errors import unknown
from study.outputs import metrics as formulas
from study.outputs.metrics import METRICS, OF_TASK, PROBES, Metric

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
    return f"{listed}{keys_table(COLUMNS, rows)}\n"


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


# The tables of docs/metrics.md: every metric, probe and quantity, with formula and source.
#
# `<!-- study metrics KIND -->` is replaced by the table of that kind, KIND being in KINDS.


def printed_metrics(arguments: Sequence[str]) -> str:
    """The table of a kind."""
    kind = " ".join(arguments)
    if kind not in KINDS:
        raise unknown("kind of metrics", kind, KINDS)
    return f"{KINDS[kind]()}\n"


def _tables() -> str:
    columns = ("metric", "what it is", "unit", "formula", "source")
    return metrics_table(
        columns, [(_metrics_code(name), *_of(metric)) for name, metric in METRICS.items()]
    )


def _of(metric: Metric) -> tuple[str, ...]:
    formula, source = formulas.METRIC_FORMULAS[metric.name]
    return (metric.help, metric.unit, formula, source)


def _reconstruction() -> str:
    names = ", ".join(map(_metrics_code, OF_TASK[RECONSTRUCTION]))
    formula, source = formulas.RECONSTRUCTION_FORMULA
    return f"{names}: {formula} ({source})."


def _probes() -> str:
    columns = ("probe", "unit", "formula", "source")
    rows = [
        (_metrics_code(name), probe.unit, *formulas.PROBE_FORMULAS[name])
        for name, probe in PROBES.items()
    ]
    return metrics_table(columns, rows)


def _quantities() -> str:
    columns = ("quantity", "what it is", "unit", "formula", "source")
    return metrics_table(columns, [(_metrics_code(name), *_quantity(name)) for name in OWN])


def _quantity(name: str) -> tuple[str, ...]:
    """What it measures; an error to reach is called X."""
    reached = name.startswith("epochs_to")
    quantity = find_quantity(name, target=1.0 if reached else None)
    label = quantity.label.replace("at most 1", "at most `target`") if reached else quantity.label
    if name == EPOCH_SECONDS:
        label += ", of replicas trained one by one"
    return (label, quantity.unit, *formulas.QUANTITIES[name])


def _metrics_code(name: str) -> str:
    return f"`{name}`"


KINDS: dict[str, Callable[[], str]] = {
    "tables": _tables,
    "reconstruction": _reconstruction,
    "probes": _probes,
    "quantities": _quantities,
}
METRIC_PRINTERS: dict[str, quoted.Printer] = {"study metrics": printed_metrics}


# The table of every key's effect, in docs/reproducibility.md.
#
# It comes from study.config.keys, and stands between
# `<!-- study effects EFFECT ... -->` and `<!-- end -->`.


def table(effects: Sequence[str]) -> str:
    """Every key of these effects, in the order of study.config.keys, as a Markdown table."""
    rows = [
        f"| `{name}` | `{key.effect}` | {key.help} |"
        for name, key in KEYS.items()
        if key.effect in effects
    ]
    return "\n".join(["| key | effect | what it is |", "|---|---|---|", *rows])


EFFECT_PRINTERS: dict[str, quoted.Printer] = {"study effects": table}
