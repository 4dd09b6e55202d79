"""Which tables a report has: those that the experiment's file asks for, or a default."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from study.analysis.claims.cells import known_levels, matches, resolved
from study.analysis.factors import cell_level, shown_level, varying_factors
from study.analysis.frames import Frames
from study.analysis.lookup import ProbeMetric, with_probe
from study.analysis.origins import by_origin
from study.analysis.pivot import Pivot, Request, make_pivot
from study.analysis.table import request_of
from study.errors import InputError, unknown
from study.outputs.records import CellRecord, Ledger
from study.outputs.series import parsed_yaml

# Comparisons that an experiment's file asks for, of cells that it names by their levels.


Selection = Mapping[str, str]
"""{factor: level}."""
Comparison = tuple[Selection, Selection]
CellPair = tuple[CellRecord, CellRecord]
_EXAMPLE = "[[{norm: batch}, {norm: none}]]"


def parse_comparisons(value: Any) -> tuple[Comparison, ...]:
    """The pairs of selections of `report.compare`; InputError says what it takes.

    The second selection of a pair has the levels of the first, but for those that it names.
    """
    if not isinstance(value, list):
        raise InputError(f"report.compare: it takes a list of pairs of cells, as {_EXAMPLE}")
    return tuple(_comparison(pair, place) for place, pair in enumerate(value, 1))


def usable_comparisons(
    frames: Frames, asked: Sequence[Comparison]
) -> tuple[list[Comparison], list[str]]:
    """Those that some cells of one origin decide, by whole names of levels; a remark on others."""
    known = known_levels(frames.cells, frames.factors)
    usable, remarks = [], []
    for place, (first, second) in enumerate(asked, 1):
        try:
            found = _whole(first, known), _whole(second, known)
            if not any(cell_pairs(cells, found) for cells in by_origin(frames.cells).values()):
                raise InputError(
                    "no two finished cells of the same data and split differ in this alone"
                )
            usable.append(found)
        except InputError as error:
            remarks.append(f"report.compare, pair {place}: {error}.")
    return usable, remarks


def cell_pairs(cells: Sequence[CellRecord], comparison: Comparison) -> list[CellPair]:
    """Each cell of the first selection with that of the second which is like it otherwise."""
    first, second = comparison
    shared = [factor for factor in varying_factors(cells) if factor not in {**first, **second}]
    sides: list[dict[tuple[str, ...], CellRecord]] = []
    for selection in (first, {**first, **second}):
        where = {factor: (level,) for factor, level in selection.items()}
        sides.append(
            {
                tuple(cell_level(cell, factor) for factor in shared): cell
                for cell in cells
                if cell.result and matches(cell, where)
            }
        )
    one, other = sides
    pairs = [(one[key], other[key]) for key in one if key in other]
    return [(a, b) for a, b in pairs if a is not b]


def _comparison(pair: Any, place: int) -> Comparison:
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError(f"report.compare, pair {place}: it takes two cells, as in {_EXAMPLE}")
    first, second = (_selection(side, place) for side in pair)
    return first, second


def _selection(side: Any, place: int) -> Selection:
    if not isinstance(side, dict) or not side:
        raise InputError(
            f"report.compare, pair {place}: name a cell by its levels, as {{norm: batch}}"
        )
    for factor, level in side.items():
        if not isinstance(factor, str) or isinstance(level, list | dict) or level is None:
            raise InputError(f"report.compare, pair {place}: {factor} takes one level")
    return {factor: shown_level(factor, level) for factor, level in side.items()}


def _whole(selection: Selection, known: Mapping[str, Sequence[str]]) -> Selection:
    """The selection by whole names of levels; InputError for a name that no cell has."""
    if "lr" in selection:
        raise InputError("lr is no level of a cell: each is taken at its chosen learning rate")
    where = resolved({factor: (level,) for factor, level in selection.items()}, known)
    return {factor: level for factor, (level,) in where.items()}


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
