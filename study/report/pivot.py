"""Pivots a metric over the factors of a study: pure, from cell records to tables of entries."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from study.errors import InputError
from study.outputs.records import CellRecord, factor_names
from study.report import factors
from study.report.entries import (
    ABSENT,
    Entry,
    Replica,
    Source,
    check_origins,
    make_entry,
    mark_best,
    origins_of,
)
from study.report.factors import INNER, all_levels, cell_level, level_text
from study.report.metrics import Metric
from study.report.origins import Origin
from study.report.probes import find_metric
from study.report.tasks import metric_of


@dataclass(frozen=True)
class Request:
    """What to pivot, as given on the command line; None: choose from the factors that vary.

    `layer`: of a probe, None for the mean over layers.
    """

    metric: str = "test_error"
    layer: str | None = None
    rows: str | None = None
    columns: str | None = None
    where: Sequence[str] = ()
    over: Sequence[str] = ()

    def find_metric(self) -> Metric:
        """The metric or probe; InputError where there is none, or none such."""
        fixed = [condition.partition("=")[0] for condition in self.where]
        if "layer" in self.over:
            raise InputError("--over layer: give --layer mean instead")
        by_layer = "layer" in (self.rows, self.columns, *fixed)
        return find_metric(self.metric, layer=self.layer, by_layer=by_layer)


@dataclass(frozen=True)
class Table:
    """One table: `levels` {factor: level} that set it apart, `entries` {(row, column): entry}."""

    levels: Mapping[str, str]
    row_levels: Sequence[str]
    column_levels: Sequence[str]
    entries: Mapping[tuple[str, str], Entry]


@dataclass(frozen=True)
class Pivot:
    """All tables of a request. A table of one factor has a single column (or row), named ""."""

    metric: Metric
    rows: str | None
    columns: str | None
    where: Mapping[str, list[str]]
    over: Mapping[str, list[str]]
    tables: Sequence[Table]
    cells: Sequence[CellRecord] = field(repr=False, default=())

    @property
    def compared(self) -> str:
        """Along what the best is looked for: "row", or "column" in a table of one column.

        Empty where it would compare seeds.
        """
        along = "column" if self.columns is None else "row"
        factor = self.rows if self.columns is None else self.columns
        return "" if factor == "seed" else along

    @cached_property
    def common_seeds(self) -> int | None:
        """The number of seeds of every entry that has a number; None when they differ."""
        numbers = {entry.num_seeds for entry in self.entries if entry.values}
        return numbers.pop() if len(numbers) == 1 else None

    @cached_property
    def not_compared(self) -> list[Origin]:
        """The origins of the first line that has several, and in which nothing is marked."""
        for table in self.tables:
            for line in _lines(self, table):
                found = origins_of(table.entries[at] for at in line)
                if len(found) > 1 and self.metric.direction != "none":
                    return sorted(found, key=lambda origin: origin.words)
        return []

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries of all tables."""
        return [entry for table in self.tables for entry in table.entries.values()]


def make_pivot(records: Sequence[CellRecord], request: Request) -> Pivot:
    """The tables of `request`; InputError for an unknown name or two cells in one place.

    The replicas of the records carry the metric (a probe's: `measured.with_probe`).

    Rows and columns default to the first two varying factors (columns: the first). Every other
    varying factor splits into tables, unless it is averaged over; nothing is pooled otherwise, and
    losses or errors of several origins never.
    """
    metric = request.find_metric()
    where = factors.parse_where(records, request.where)
    over = [factors.check_factor(records, factor) for factor in dict.fromkeys(request.over)]
    cells = factors.select(records, where)
    metric = metric_of(metric, cells)
    for axis in filter(None, (request.rows, request.columns)):
        factors.check_factor(records, axis)
    rows, columns = _axes(cells, request, over)
    _check(metric, rows, columns, where, over)
    axes = [axis for axis in (rows, columns) if axis]
    split = [f for f in factors.varying_factors(cells) if f not in (*axes, *over)]
    _refuse_doubles(cells)
    levels = {factor: _levels(cells, factor, where) for factor in (*split, *axes, *over)}
    grouped = _group(cells, [*split, *axes], levels, where, over)
    expected = _expected(cells, over, levels)
    entries = {key: make_entry(found, expected, metric) for key, found in grouped.items()}
    check_origins(entries.values(), metric, over)
    tables = _tables(entries, split, (rows, columns), levels)
    if not tables:
        raise InputError(f"no finished cell has {factors.where_text(where)}; leave out a --where")
    pivot = Pivot(metric, rows, columns, where, {f: levels[f] for f in over}, tables, cells)
    return replace(pivot, tables=[_mark(pivot, table) for table in tables])


def _axes(
    cells: Sequence[CellRecord], request: Request, over: Sequence[str]
) -> tuple[str | None, str | None]:
    if request.rows or request.columns:
        return request.rows, request.columns
    varying = [factor for factor in factors.varying_factors(cells) if factor not in over]
    if len(varying) >= 2:
        return varying[1], varying[0]
    names = [factor for factor in factor_names(cells) if factor not in over]
    return (varying or names or ["seed"])[0], None


def _check(
    metric: Metric,
    rows: str | None,
    columns: str | None,
    where: Mapping[str, list[str]],
    over: Sequence[str],
) -> None:
    if rows == columns:
        raise InputError(f"--rows and --columns are both {rows}; give two factors, or one of them")
    twice = [factor for factor in over if factor in (rows, columns)]
    if twice:
        raise InputError(f"--over {twice[0]}: it is already the rows or columns; choose one")
    if len(where.get("layer", [])) > 1 and "layer" not in (rows, columns):
        raise InputError("--where keeps several layers and pools none: make layer rows or columns")
    if len(where.get("lr", [])) > 1 and "lr" not in (rows, columns, *over):
        raise InputError(
            f"--where keeps {len(where['lr'])} learning rates and pools none: give one, "
            "make lr the rows or columns, or average with --over lr"
        )
    inner = [factor for factor in INNER if factor in (rows, columns, *where, *over)]
    if metric.per_cell and inner:
        raise InputError(
            f"{metric.name} is one number per cell, without {inner[0]}; "
            f"leave {inner[0]} out, or choose a metric of replicas, as test_error"
        )


def _refuse_doubles(cells: Sequence[CellRecord]) -> None:
    """InputError if two cells have all factors in common: they differ in something unnamed."""
    names = factor_names(cells)
    places: dict[tuple[str, ...], CellRecord] = {}
    for cell in cells:
        other = places.setdefault(tuple(cell_level(cell, name) for name in names), cell)
        if other is not cell:
            raise InputError(
                f"{other.directory} and {cell.directory} have the same factors but different "
                f"signatures, and are not pooled: sweep the key in which their config.yaml "
                f"differ, or launch them under another study name"
            )


def _levels(cells: Sequence[CellRecord], factor: str, where: Mapping[str, list[str]]) -> list[str]:
    allowed = where.get(factor)
    return [level for level in all_levels(cells, factor) if allowed is None or level in allowed]


def _group(
    cells: Sequence[CellRecord],
    keys: Sequence[str],
    levels: Mapping[str, list[str]],
    where: Mapping[str, list[str]],
    over: Sequence[str],
) -> dict[tuple[str, ...], list[Source]]:
    """{levels of `keys`: sources}, in the order of the cells."""
    grouped: dict[tuple[str, ...], list[Source]] = {}
    inner = [factor for factor in INNER if factor in (*keys, *(f for f in over if f == "lr"))]
    free_lr = "lr" in (*keys, *where, *over)
    for cell in cells:
        for at, replicas in _split(cell, inner, levels, where, free_lr):
            outer = {f: cell_level(cell, f) for f in (*keys, *over) if f not in INNER}
            place = {**outer, **at}
            combination = tuple(place[factor] for factor in over if factor in place)
            key = tuple(place[factor] for factor in keys)
            grouped.setdefault(key, []).append(Source(cell, replicas, combination))
    return grouped


def _split(
    cell: CellRecord,
    inner: Sequence[str],
    levels: Mapping[str, list[str]],
    where: Mapping[str, list[str]],
    free_lr: bool,
) -> Iterator[tuple[dict[str, str], tuple[Replica, ...]]]:
    """The cell's replicas by their levels of `inner`; an unfinished cell has every level."""
    if cell.result is None:
        for combination in itertools.product(*(levels[factor] for factor in inner)):
            yield dict(zip(inner, combination, strict=True)), ()
        return
    chosen_lr = cell.result["chosen_lr"]
    parts: dict[tuple[str, ...], list[Replica]] = {}
    for replica in cell.result["replicas"]:
        texts = {factor: level_text(replica[factor]) for factor in INNER if factor in replica}
        wanted = all(texts[f] in allowed for f, allowed in where.items() if f in INNER)
        if wanted and (free_lr or replica["lr"] == chosen_lr):
            parts.setdefault(tuple(texts[factor] for factor in inner), []).append(replica)
    for key, replicas in parts.items():
        yield dict(zip(inner, key, strict=True)), tuple(replicas)


def _expected(
    cells: Sequence[CellRecord], over: Sequence[str], levels: Mapping[str, list[str]]
) -> set[tuple[str, ...]]:
    """The combinations of averaged factors that the selected cells have."""
    combinations: set[tuple[str, ...]] = set()
    for cell in cells:
        parts = [
            levels["lr"] if factor == "lr" else [cell_level(cell, factor)]
            for factor in over
            if factor != "seed"
        ]
        combinations.update(itertools.product(*parts))
    return combinations


def _tables(
    entries: Mapping[tuple[str, ...], Entry],
    split: Sequence[str],
    axes: tuple[str | None, str | None],
    levels: Mapping[str, list[str]],
) -> list[Table]:
    """One table per combination of `split` that the study has, without empty rows or columns."""
    rows, columns = ([(level,) for level in levels[axis]] if axis else [()] for axis in axes)
    tables = []
    for combination in itertools.product(*(levels[factor] for factor in split)):
        found = {
            (row, column): entries[key]
            for row in rows
            for column in columns
            if (key := (*combination, *row, *column)) in entries
        }
        kept_rows = [row for row in rows if any(row == at[0] for at in found)]
        kept_columns = [column for column in columns if any(column == at[1] for at in found)]
        if found:
            filled = {
                ("".join(row), "".join(column)): found.get((row, column), ABSENT)
                for row in kept_rows
                for column in kept_columns
            }
            names = ["".join(row) for row in kept_rows], ["".join(c) for c in kept_columns]
            tables.append(Table(dict(zip(split, combination, strict=True)), *names, filled))
    return tables


def _lines(pivot: Pivot, table: Table) -> list[list[tuple[str, str]]]:
    """The places of each line along which the best is looked for."""
    lines = {
        "row": [[(row, column) for column in table.column_levels] for row in table.row_levels],
        "column": [[(row, column) for row in table.row_levels] for column in table.column_levels],
    }
    return lines.get(pivot.compared, [])


def _mark(pivot: Pivot, table: Table) -> Table:
    """The table with the best of each line marked."""
    entries = dict(table.entries)
    for line in _lines(pivot, table):
        marked = mark_best([entries[at] for at in line], pivot.metric.direction)
        entries.update(zip(line, marked, strict=True))
    return replace(table, entries=entries)
