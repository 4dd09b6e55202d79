"""Which tables a report has: those that the experiment's file asks for, or a default."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from study.analysis.lookup import ProbeMetric, with_probe
from study.analysis.pivot import Pivot, Request, make_pivot
from study.analysis.table import request_of
from study.errors import InputError, unknown
from study.outputs.records import CellRecord, Ledger
from study.outputs.series import parsed_yaml

DEFAULT = ("--metric test_error", "--metric train_error")


def tables_of(ledger: Ledger) -> tuple[str, ...]:
    """The tables that the ledger's copy of the experiment's file asks for; () if it has none."""
    import yaml

    text = str((ledger.experiment or {}).get("text", ""))
    try:
        content = parsed_yaml(text)
    except (yaml.YAMLError, ValueError):
        return ()
    report = content.get("report") if isinstance(content, dict) else None
    return parse_tables(report or {})


def parse_tables(report: Any) -> tuple[str, ...]:
    """The tables of a `report` key, arguments of `study table` each; InputError for others."""
    if not isinstance(report, dict):
        raise InputError(f"report: it takes tables, not {report!r}")
    for name in report:
        if name != "tables":
            raise unknown("key of report", name, ["tables"])
    tables = report.get("tables") or []
    if not isinstance(tables, list) or not all(isinstance(text, str) for text in tables):
        raise InputError("report.tables: it takes a list of texts, as --rows init --columns norm")
    for text in tables:
        parse_request(text)
    return tuple(tables)


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
            request = parse_request(text)
            metric = request.find_metric()
            own = with_probe(cells, metric) if isinstance(metric, ProbeMetric) else cells
            pivot = make_pivot(own, request)
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
