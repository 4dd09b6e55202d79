"""The tables of speed in documents, made from results/*.csv; PyTorch is not imported.

A document quotes one between `<!-- benchmark NAME -->` and `<!-- end -->`, NAME being in TABLES.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks import RESULTS, targets
from study.console import aligned_table, escape_markdown
from study.errors import InputError, unknown

Row = Mapping[str, str]

COLUMNS = {
    "layouts": ("network", "way", "times as fast", "ms", "seconds until the first update"),
    "packing": ("network", "replicas in a group", "times as fast as alone", "ms"),
    "products": (
        "network",
        "replicas",
        "times as fast by NumPy",
        "its library",
        "torch_ms",
        "numpy_ms",
    ),
    "steps": (
        "network",
        "replicas",
        "times as fast as a bare loop",
        "times as fast as a template",
        "share of the best product rate",
        "whose",
        "bare_ms",
        "ours_ms",
    ),
    "cells": ("cell", "cells", "fixed_ms"),
    "start": ("first update, times as long as the imports", "first_update_ms", "imports_ms"),
    "growth": (
        "cells",
        "ms_per_cell",
        "time against 10 cells",
        "resident_mb",
        "memory against 10 cells",
    ),
    "probes": ("cell", "time against probes=none", "share of the time inside probes", "seconds"),
    "quickstart": (
        "sampled cell",
        "cells",
        "trainings",
        "ours_seconds",
        "trainings by the template",
        "template_seconds_each",
        "template_seconds_extrapolated",
        "times as fast as a template",
    ),
    "gpu": (
        "network",
        "replicas",
        "arithmetic",
        "engine",
        "times as fast as a bare loop",
        "bare_ms",
        "ours_ms",
    ),
}
"""What the tables need of each results/NAME.csv."""


def measured(name: str) -> bool:
    """Whether there is a results/NAME.csv."""
    return (RESULTS / f"{name}.csv").exists()


def read(name: str) -> list[dict[str, str]]:
    """The rows of results/NAME.csv; InputError where it or a column of it is lacking."""
    path = RESULTS / f"{name}.csv"
    if not measured(name):
        raise InputError(f"no {path}; run `python -m benchmarks {name}`")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lacking = [column for column in COLUMNS[name] if not rows or column not in rows[0]]
    if lacking:
        raise InputError(f"{path} has no column {lacking[0]!r}; run `python -m benchmarks {name}`")
    return rows


def machine(name: str) -> str:
    """Where results/NAME.csv was measured, in a line."""
    text = (RESULTS / f"{name}.machine.json").read_text(encoding="utf-8")
    about = json.loads(text)
    on = [about["processor"], f"{about['threads']} threads", about.get("gpu"), about["system"]]
    versions = [f"torch {about['packages']['torch']}", f"Python {about['python']}"]
    return f"Measured on {', '.join(filter(None, [*on, *versions]))}."


def whole(name: str) -> str:
    """All of results/NAME.csv as a table, and its machine."""
    if not measured(name):
        return f"Not measured yet: `python -m benchmarks {name}`.\n"
    rows = read(name)
    return f"{_table(rows[0], (row.values() for row in rows))}\n\n{machine(name)}\n"


def speed() -> str:
    """The README's table: each network, 20 replicas at once, and what a whole study takes."""
    columns = ("times as fast as a bare loop", "times as fast as a template")
    rows = [row for row in read("steps") if row["replicas"] == "20"]
    table = _table(
        ("network, 20 at once", *columns),
        ([row["network"], *(_number(row[column]) for column in columns)] for row in rows),
    )
    sentences = [machine("steps")]
    if measured("quickstart"):
        sentences.append(f"{in_words(read('quickstart')[-1])}.")
    if measured("cells"):
        most = max(float(row["fixed_ms"]) for row in read("cells"))
        sentences.append(f"A cell costs {_number(str(most))} ms beside its training.")
    return f"{table}\n\n{' '.join(sentences)}\n"


def in_words(row: Mapping[str, object]) -> str:
    """The last row of results/quickstart.csv as a sentence."""
    numbers = {name: float(str(row[name])) for name in COLUMNS["quickstart"][1:]}
    return (
        f"The whole of `quickstart`, {numbers['trainings']:.0f} trainings, takes "
        f"{numbers['ours_seconds']:,.0f} s; by a template it would take "
        f"{numbers['template_seconds_extrapolated']:,.0f} s "
        f"(extrapolated from {numbers['trainings by the template']:.0f} of the trainings), "
        f"{numbers['times as fast as a template']:.0f} times as long"
    )


def against_targets() -> str:
    """Every target, what was measured, and whether that meets it."""
    results = {name: read(name) for name in COLUMNS if measured(name)}
    rows = []
    for target in targets.TARGETS:
        found = targets.judge(target, results.get(target.benchmark, []))
        rows.append([target.what, target.wanted, *found])
    return _table(("target", "wanted", "measured", "with BatchNorm"), rows) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "speed": speed,
    "targets": against_targets,
    **{name: lambda name=name: whole(name) for name in COLUMNS},  # type: ignore[misc]
}


def printed(arguments: Sequence[str]) -> str:
    """The table of that name, with a line break at its end."""
    name = " ".join(arguments)
    if name not in TABLES:
        raise unknown("table of benchmarks", name, TABLES)
    return TABLES[name]()


def _number(text: str) -> str:
    """Three significant digits, without an exponent."""
    number = float(text)
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return aligned_table([[escape_markdown(text) for text in row] for row in (header, *rows)])
