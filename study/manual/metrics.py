"""The tables of docs/metrics.md: every metric, probe and quantity, with formula and source.

`<!-- study metrics KIND -->` is replaced by the table of that kind, KIND being in KINDS.
"""

from collections.abc import Callable, Sequence

from study.claims.from_curves import EPOCH_SECONDS
from study.claims.quantities import OWN, find_quantity
from study.errors import unknown
from study.lecture.tables import table
from study.manual import formulas
from study.probes.names import PROBES
from study.report import quoted
from study.report.metrics import METRICS, OF_TASK, Metric
from study.tasks import RECONSTRUCTION


def printed(arguments: Sequence[str]) -> str:
    """The table of a kind."""
    kind = " ".join(arguments)
    if kind not in KINDS:
        raise unknown("kind of metrics", kind, KINDS)
    return f"{KINDS[kind]()}\n"


def _tables() -> str:
    columns = ("metric", "what it is", "unit", "formula", "source")
    return table(columns, [(_code(name), *_of(metric)) for name, metric in METRICS.items()])


def _of(metric: Metric) -> tuple[str, ...]:
    formula, source = formulas.METRICS[metric.name]
    return (metric.help, metric.unit, formula, source)


def _reconstruction() -> str:
    names = ", ".join(map(_code, OF_TASK[RECONSTRUCTION]))
    formula, source = formulas.RECONSTRUCTION
    return f"{names}: {formula} ({source})."


def _probes() -> str:
    columns = ("probe", "unit", "formula", "source")
    rows = [(_code(name), probe.unit, *formulas.PROBES[name]) for name, probe in PROBES.items()]
    return table(columns, rows)


def _quantities() -> str:
    columns = ("quantity", "what it is", "unit", "formula", "source")
    return table(columns, [(_code(name), *_quantity(name)) for name in OWN])


def _quantity(name: str) -> tuple[str, ...]:
    """What it measures; an error to reach is called X."""
    reached = name.startswith("epochs_to")
    quantity = find_quantity(name, target=1.0 if reached else None)
    label = quantity.label.replace("at most 1", "at most `target`") if reached else quantity.label
    if name == EPOCH_SECONDS:
        label += ", of replicas trained one by one"
    return (label, quantity.unit, *formulas.QUANTITIES[name])


def _code(name: str) -> str:
    return f"`{name}`"


KINDS: dict[str, Callable[[], str]] = {
    "tables": _tables,
    "reconstruction": _reconstruction,
    "probes": _probes,
    "quantities": _quantities,
}
PRINTERS: dict[str, quoted.Printer] = {"study metrics": printed}
