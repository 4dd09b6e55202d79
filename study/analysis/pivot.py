"""Pivots a metric over the factors of a study: pure, from cell records to tables of entries."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from study.analysis.frames import replicas_of
from study.analysis.lookup import find_metric, metric_of
from study.analysis.origins import Origin, origin_of
from study.analysis.statistics.intervals import distinguishable, median, t_interval
from study.errors import InputError
from study.outputs import factors
from study.outputs.factors import INNER, all_levels, cell_level, inner_texts
from study.outputs.metrics import Metric
from study.outputs.records import CellRecord, factor_names
from study.outputs.results import ReplicaResult, sample

# One entry of a table: the replicas of one cell, or of several averaged, as one number.


UNFINISHED = ("failed", "damaged", "running", "missing")
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Source:
    """A cell and those of its replicas that an entry is about (none: the cell is not done).

    `combination` holds the cell's levels of the factors that are averaged over.
    """

    cell: CellRecord
    replicas: tuple[ReplicaResult, ...]
    combination: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A number of a table and what it rests on.

    `status`: done, diverged (some replica diverged or has no finite value: `median` in place of
    the mean and interval), incomplete (cells to average over are not there), one of UNFINISHED,
    not measured (nothing was taken of the finished cell's replicas), or absent (no such cell in
    the study). `values` has one number per seed, {None: number} for a metric of the whole cell.
    `chosen`: the replicas are those at the chosen learning rate; only then, and where the metric
    follows training, are `edges` filled. `best`: best, tied (not distinguishable from the best)
    or "". `origins`: which images a loss or an error was measured on; empty for other metrics.
    """

    status: str
    values: Mapping[int | None, float] = field(default_factory=dict)
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    median: float | None = None
    num_replicas: int = 0
    num_diverged: int = 0
    num_not_finite: int = 0
    num_combinations: int = 0
    num_expected: int = 0
    chosen_lrs: tuple[float, ...] = ()
    edges: tuple[str, ...] = ()
    chosen: bool = False
    best: str = ""
    origins: frozenset[Origin] = frozenset()

    @property
    def num_seeds(self) -> int:
        return sum(seed is not None for seed in self.values)


ABSENT = Entry("absent")


def make_entry(sources: Sequence[Source], expected: set[tuple[str, ...]], metric: Metric) -> Entry:
    """The entry of `sources`: per seed the mean over combinations, then over seeds.

    Only seeds that every combination has count. The entry is incomplete unless there is one
    finished cell for each of the `expected` combinations.
    """
    taken = [
        replace(source, replicas=tuple(filter(metric.is_measured, source.replicas)))
        for source in sources
    ]
    finished = [source for source in taken if source.replicas]
    if not finished:
        states = {NOT_MEASURED if source.replicas else source.cell.status for source in sources}
        named = (status for status in (*UNFINISHED, NOT_MEASURED) if status in states)
        return Entry(next(named, "absent"))
    results = [source.cell.finished for source in finished]
    values: dict[int | None, float] = {}
    samples = [] if metric.per_cell else [sample(metric, source.replicas) for source in finished]
    for seed in samples[0].values if samples else ():
        if all(seed in each.values for each in samples):
            values[seed] = math.fsum(each.values[seed] for each in samples) / len(samples)
    if metric.per_cell:
        found = [metric.value(result) for result in results]
        whole = [metric.worst if number is None else number for number in found]
        values[None] = math.fsum(whole) / len(whole)
    at_chosen = [
        {replica.lr for replica in source.replicas} == {source.cell.finished.chosen_lr}
        for source in finished
    ]
    edges = {r.edge for r, at in zip(results, at_chosen, strict=True) if at and r.edge}
    entry = Entry(
        status="done",
        values=values,
        num_replicas=sum(len(source.replicas) for source in finished),
        num_diverged=sum(each.num_diverged for each in samples),
        num_not_finite=sum(each.num_not_finite for each in samples),
        num_combinations=len(finished),
        num_expected=len(expected),
        origins=frozenset(origin_of(r.cell) for r in finished if metric.is_of_data),
        chosen_lrs=tuple(sorted({result.chosen_lr for result in results})),
        edges=tuple(sorted(edges, reverse=True)) if metric.follows_training else (),
        chosen=all(at_chosen),
    )
    numbers = [value for value in values.values() if not math.isnan(value)]
    if entry.num_diverged or entry.num_not_finite:
        return replace(entry, status="diverged", median=median(numbers) if numbers else None)
    complete = {source.combination for source in finished} == expected
    if not complete or not (numbers or metric.per_cell):
        entry = replace(entry, status="incomplete")
    if not numbers:
        return entry
    interval = t_interval(numbers)
    return replace(entry, mean=interval.mean, low=interval.low, high=interval.high)


def mark_best(entries: Sequence[Entry], direction: str) -> list[Entry]:
    """`entries` with the best one marked, and each that is not distinguishable from it.

    Best is the best mean among complete entries without diverged replicas. Another is tied when
    the 95 % t interval of the difference paired by seed holds 0; entries that share fewer than
    two seeds are not compared, and nothing is marked where the entries have several origins.
    """
    sign = {"lower": 1.0, "higher": -1.0}.get(direction)
    rivals = [entry for entry in entries if entry.status == "done" and entry.mean is not None]
    if sign is None or not rivals or sum(entry.status != "absent" for entry in entries) < 2:
        return list(entries)
    if len(origins_of(entries)) > 1:
        return list(entries)
    best = min(rivals, key=lambda entry: sign * (entry.mean or 0.0))
    marked = []
    for entry in entries:
        shared = [seed for seed in best.values if seed is not None and seed in entry.values]
        if entry.status == "done" and entry.mean == best.mean:
            entry = replace(entry, best="best")
        elif entry.status == "done":
            first, second = ([each.values[seed] for seed in shared] for each in (entry, best))
            entry = replace(entry, best="tied" if distinguishable(first, second) is False else "")
        marked.append(entry)
    return marked


def origins_of(entries: Iterable[Entry]) -> set[Origin]:
    """The origins of all entries."""
    return {origin for entry in entries for origin in entry.origins}


def check_origins(entries: Iterable[Entry], metric: Metric, over: Sequence[str]) -> None:
    """InputError if averaging `over` factors gave an entry losses or errors of several origins."""
    for entry in entries:
        if len(entry.origins) > 1:
            first, second, *_ = sorted(origin.words for origin in entry.origins)
            raise InputError(
                f"--over {' --over '.join(over)} averages {metric.name} of several data or splits "
                f"({first}; {second}), which are not pooled; choose the cells of one with --where"
            )


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
    entries: dict[tuple[str, str], Entry]


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
    names = factor_names(cells)
    places: dict[tuple[str, ...], CellRecord] = {}
    for cell in cells:
        other = places.setdefault(tuple(cell_level(cell, name) for name in names), cell)
        if other is not cell:
            # They differ in something unnamed.
            raise InputError(
                f"{other.directory} and {cell.directory} have the same factors but different "
                f"signatures, and are not pooled: sweep the key in which their config.yaml "
                f"differ, or launch them under another study name"
            )
    axes = [axis for axis in (rows, columns) if axis]
    split = [f for f in factors.varying_factors(cells) if f not in (*axes, *over)]
    levels = {
        factor: [each for each in all_levels(cells, factor) if each in where.get(factor, [each])]
        for factor in (*split, *axes, *over)
    }
    grouped = _group(cells, [*split, *axes], levels, where, over)
    # The combinations of averaged factors that the selected cells have.
    expected: set[tuple[str, ...]] = set()
    for cell in cells:
        parts = [
            levels["lr"] if factor == "lr" else [cell_level(cell, factor)]
            for factor in over
            if factor != "seed"
        ]
        expected.update(itertools.product(*parts))
    entries = {key: make_entry(found, expected, metric) for key, found in grouped.items()}
    check_origins(entries.values(), metric, over)
    tables = _tables(entries, split, (rows, columns), levels)
    if not tables:
        raise InputError(f"no finished cell has {factors.where_text(where)}; leave out a --where")
    pivot = Pivot(metric, rows, columns, where, {f: levels[f] for f in over}, tables, cells)
    for table in tables:
        # The best of each line is marked.
        for line in _lines(pivot, table):
            marked = mark_best([table.entries[at] for at in line], metric.direction)
            table.entries.update(zip(line, marked, strict=True))
    return pivot


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
        parts: dict[tuple[str, ...], list[ReplicaResult]] = {}
        if cell.result is None:
            # An unfinished cell has every level.
            parts = {each: [] for each in itertools.product(*(levels[f] for f in inner))}
        else:
            for replica in replicas_of(cell) if free_lr else cell.result.chosen:
                texts = inner_texts(replica)
                if all(texts[f] in allowed for f, allowed in where.items() if f in INNER):
                    parts.setdefault(tuple(texts[f] for f in inner), []).append(replica)
        for texts_at, replicas in parts.items():
            outer = {f: cell_level(cell, f) for f in (*keys, *over) if f not in INNER}
            place = {**outer, **dict(zip(inner, texts_at, strict=True))}
            combination = tuple(place[factor] for factor in over if factor in place)
            key = tuple(place[factor] for factor in keys)
            grouped.setdefault(key, []).append(Source(cell, tuple(replicas), combination))
    return grouped


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
