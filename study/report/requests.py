"""Which tables a report has: those that the experiment's file asks for, or a default."""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from study.errors import InputError, unknown
from study.outputs.readings import parsed_yaml
from study.outputs.records import CellRecord, Ledger
from study.report.comparisons import Comparison, parse_comparisons
from study.report.measured import with_probe
from study.report.pivot import Pivot, Request, make_pivot
from study.report.probes import ProbeMetric
from study.report.table import request_of

DEFAULT = ("--metric test_error", "--metric train_error")


@dataclass(frozen=True)
class Settings:
    """What an experiment's file says of its report, under `report`.

    `tables`: arguments of `study table`, a text each; `targets`: validation errors, as they are
    recorded (shares, if the task is classification), of which the time to reach them is told;
    `margin`: the difference of test errors, as recorded, within which two cells count as the same;
    `compare`: pairs of cells to compare, whatever else is compared.
    """

    tables: tuple[str, ...] = ()
    targets: tuple[float, ...] = ()
    margin: float | None = None
    compare: tuple[Comparison, ...] = ()


def settings_of(ledger: Ledger) -> Settings:
    """The settings in the ledger's copy of the experiment's file; the defaults if it has none."""
    import yaml

    text = str((ledger.experiment or {}).get("text", ""))
    try:
        content = parsed_yaml(text)
    except (yaml.YAMLError, ValueError):
        return Settings()
    report = content.get("report") if isinstance(content, dict) else None
    return parse_settings(report or {})


def parse_settings(report: Any) -> Settings:
    """The settings of a `report` key; InputError says what it takes."""
    names = [field.name for field in fields(Settings)]
    if not isinstance(report, dict):
        raise InputError(f"report: it takes {', '.join(names)}, not {report!r}")
    for name in report:
        if name not in names:
            raise unknown("key of report", name, names)
    tables, targets = report.get("tables") or [], report.get("targets") or []
    margin = report.get("margin")
    if not isinstance(tables, list) or not all(isinstance(text, str) for text in tables):
        raise InputError("report.tables: it takes a list of texts, as --rows init --columns norm")
    if not isinstance(targets, list) or not all(_is_positive(number) for number in targets):
        raise InputError("report.targets: it takes a list of errors above 0, as [0.05]")
    if margin is not None and not _is_positive(margin):
        raise InputError("report.margin: it takes a difference above 0, as 0.005 (half a point)")
    for text in tables:
        parse_request(text)
    compare = parse_comparisons(report.get("compare") or [])
    return Settings(tuple(tables), tuple(map(float, targets)), margin, compare)


def parse_request(text: str) -> Request:
    """The table that a line of `report.tables` asks for; InputError for what is no argument."""
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise InputError(f"report.tables: {text!r}: {error}") from None
    try:
        request = request_of(arguments)
        request.find_metric()
    except InputError as error:
        raise InputError(f"report.tables: {text!r}: {error}") from None
    return request


def make_pivots(
    cells: Sequence[CellRecord], tables: Sequence[str]
) -> tuple[list[Pivot], list[str]]:
    """The pivots asked for (none: the default ones) and a remark for each that cannot be made."""
    pivots, remarks = [], []
    known = {problem for cell in cells for problem in cell.problems}
    for text in tables or DEFAULT:
        try:
            pivot = _pivot(cells, parse_request(text))
        except InputError as error:
            remarks.append(f"Table {text}: {error}.")
            continue
        pivots.append(pivot)
        remarks += [line for cell in pivot.cells for line in cell.problems if line not in known]
    return pivots, list(dict.fromkeys(remarks))


def pivot_names(pivots: Sequence[Pivot]) -> list[str]:
    """A file's stem for each pivot, such as `test_error-init-activation`; no two are equal."""
    names: list[str] = []
    for pivot in pivots:
        axes = [axis for axis in (pivot.rows, pivot.columns) if axis]
        kept = [f"{factor}={'+'.join(levels)}" for factor, levels in pivot.where.items()]
        layer = pivot.metric.fixed.get("layer", "mean")
        parts = [pivot.metric.name, *([layer] if layer != "mean" else []), *axes, *kept]
        stem = re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(parts).replace("@", "-at-"))[:100]
        number = 1 + sum(name == stem or name.startswith(f"{stem}--") for name in names)
        names.append(stem if number == 1 else f"{stem}--{number}")
    return names


def _pivot(cells: Sequence[CellRecord], request: Request) -> Pivot:
    metric = request.find_metric()
    if isinstance(metric, ProbeMetric):
        cells = with_probe(cells, metric)
    return make_pivot(cells, request)


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf
