"""Which cells a figure shows: a few factors as lines and panels, the others held fixed.

A study may have thousands of cells, a figure shows some dozens. Levels are thinned evenly, so that
the best and the worst stay, and `Layout.notes` says what is left out.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from study.config.labels import counted
from study.outputs.factors import all_levels, cell_level, varying_factors
from study.outputs.records import CellRecord

MOST_LINES = 5
MOST_ROWS = 3
MOST_COLUMNS = 4
MOST_PANELS = 16
"""Of one factor, whose panels are wrapped."""

COMPARED = ("norm", "pretraining", "optimizer", "schedule", "input_noise")
"""Factors whose levels are drawn as lines of one panel where there is a choice."""

Place = tuple[str, str, str]
"""Levels of the rows, the columns and the lines; "" where there is no such factor."""


@dataclass(frozen=True)
class Layout:
    """The cells of a figure at their places.

    `rows`, `columns` and `lines` name factors, None: there is none. `levels` has the levels shown
    of each, `fixed` those of every other factor that varies in the study.
    """

    rows: str | None
    columns: str | None
    lines: str | None
    levels: Mapping[str, list[str]]
    fixed: Mapping[str, str]
    cells: Mapping[Place, CellRecord] = field(repr=False)
    notes: tuple[str, ...] = ()

    def of(self, factor: str | None) -> list[str]:
        """The levels shown of one of its factors; [""] of none."""
        return self.levels[factor] if factor else [""]

    def placed(self, cells: Sequence[CellRecord]) -> dict[Place, CellRecord]:
        """Those of the cells that have a place here, finished or not; the first of each place."""
        found: dict[Place, CellRecord] = {}
        for cell in cells:
            if _has(cell, self.fixed):
                axes = (self.rows, self.columns, self.lines)
                row, column, line = (cell_level(cell, f) if f else "" for f in axes)
                shown = zip((row, column, line), axes, strict=True)
                if all(level in self.of(factor) for level, factor in shown):
                    found.setdefault((row, column, line), cell)
        return found

    def without(self, cells: Collection[str], why: str) -> "Layout":
        """The layout without the rows and columns that have no other cells than these.

        `cells` are directories. Where nothing would stay, nothing goes; a note says `why`.
        """
        levels, notes = dict(self.levels), []
        for place, factor in ((0, self.rows), (1, self.columns)):
            kept = {at[place] for at, cell in self.cells.items() if cell.directory not in cells}
            gone = [level for level in self.of(factor) if level not in kept]
            if factor and kept and gone:
                levels[factor] = [level for level in self.of(factor) if level in kept]
                notes.append(f"{why}, so not shown: {factor} = {', '.join(gone)}.")
        smaller = replace(self, levels=levels, notes=(*notes, *self.notes))
        return replace(smaller, cells=smaller.placed(list(self.cells.values())))


@dataclass(frozen=True)
class Most:
    """How many levels of its factors a figure shows; with no columns `panels` of the rows."""

    lines: int = MOST_LINES
    rows: int = MOST_ROWS
    columns: int = MOST_COLUMNS
    panels: int = MOST_PANELS


def arrange(cells: Sequence[CellRecord], axes: Sequence[str], most: Most | None = None) -> Layout:
    """The finished cells over `axes`: the factors of lines, columns and rows (fewer, or "").

    Every other factor that varies is held at one level: of those combinations with the most cells,
    the one with the lowest mean validation error. A place that two cells share goes to the first.
    """
    most = most or Most()
    finished = [cell for cell in cells if cell.result]
    lines, columns, rows = [*axes, "", "", ""][:3]
    fixed = _fixed(finished, [f for f in varying_factors(finished) if f not in axes])
    chosen = [cell for cell in finished if _has(cell, fixed)]
    wrapped = bool(columns) != bool(rows)
    limits = {
        lines: most.lines,
        columns: most.panels if wrapped else most.columns,
        rows: most.panels if wrapped else most.rows,
    }
    levels, notes = {}, []
    for factor in filter(None, (lines, columns, rows)):
        known = {cell_level(cell, factor) for cell in chosen}
        every = [level for level in all_levels(cells, factor) if level in known]
        levels[factor] = thinned(chosen, factor, every, limits[factor])
        if len(levels[factor]) < len(every):
            by = "evenly by validation error, best to worst"
            by = "in equal steps" if _are_numbers(every) else by
            notes.append(f"{len(levels[factor])} of the {len(every)} levels of {factor}, {by}.")
    layout = Layout(rows or None, columns or None, lines or None, levels, fixed, {})
    placed = layout.placed(finished)
    if fixed:
        held = ", ".join(f"{factor} = {level}" for factor, level in fixed.items())
        notes.append(f"Fixed where the mean validation error is lowest: {held}.")
    if len(placed) < len(finished):
        notes.append(f"{len(placed):,} of {counted_cells(len(finished))} are shown.")
    if num_unfinished := len(cells) - len(finished):
        notes.append(f"{counted_cells(num_unfinished)} not finished.")
    return replace(layout, cells=placed, notes=tuple(notes))


def _fixed(cells: Sequence[CellRecord], factors: Sequence[str]) -> dict[str, str]:
    """The combination of levels with the most cells, then the lowest mean headline."""
    groups: dict[tuple[str, ...], list[CellRecord]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell_level(cell, factor) for factor in factors), []).append(cell)
    largest = max(len(group) for group in groups.values())
    full = {levels: group for levels, group in groups.items() if len(group) == largest}
    if len(full) == 1:
        return dict(zip(factors, next(iter(full)), strict=True))
    best = min(full, key=lambda levels: _mean(headline(cell)[0] for cell in full[levels]))
    return dict(zip(factors, best, strict=True))


def _has(cell: CellRecord, levels: Mapping[str, str]) -> bool:
    return all(cell_level(cell, factor) == level for factor, level in levels.items())


def line_axes(cells: Sequence[CellRecord]) -> list[str]:
    """The factors of lines, columns and rows of a study: the compared one is drawn as lines.

    It is one of COMPARED, or the one with the fewest levels; rows have fewer levels than columns.
    """
    names = varying_factors(cells)
    counts = {name: len({cell_level(cell, name) for cell in cells}) for name in names}
    few = [name for name in names if counts[name] <= MOST_LINES]
    compared = [name for name in COMPARED if name in few]
    lines = next(iter(compared), min(few or names, key=lambda name: counts[name], default=""))
    panels = [name for name in names if name != lines][:2]
    axes = [lines, *sorted(panels, key=lambda name: -counts[name])]
    return [name for name in axes if name]


def thinned(
    cells: Sequence[CellRecord], factor: str, levels: Sequence[str], most: int
) -> list[str]:
    """At most `most` of the levels, in their order.

    Evenly by position where they are numbers, else by the mean headline of their cells.
    """
    if len(levels) <= most:
        return list(levels)
    ranked = list(levels)
    if not _are_numbers(levels):
        found: dict[str, list[tuple[float, float]]] = {level: [] for level in levels}
        for cell in cells:
            found[cell_level(cell, factor)].append(headline(cell))
        ranked.sort(key=lambda level: _mean(error for error, _ in found[level]))
    kept = {ranked[place] for place in evenly(len(ranked), most)}
    return [level for level in levels if level in kept]


def evenly(number: int, most: int) -> list[int]:
    """At most `most` of `range(number)`, the first and the last among them."""
    if number <= most:
        return list(range(number))
    return [round(place * (number - 1) / max(most - 1, 1)) for place in range(most)]


def headline(cell: CellRecord) -> tuple[float, float]:
    """Mean validation error and loss of a finished cell at its chosen learning rate."""
    chosen = cell.finished.chosen
    return _mean(each.val_error for each in chosen), _mean(each.val_loss for each in chosen)


def _mean(numbers: Iterable[float | None]) -> float:
    """The mean, infinite where a number is not finite."""
    known = [math.inf if number is None else number for number in numbers]
    return math.fsum(known) / len(known) if known else math.inf


def _are_numbers(levels: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(level)) for level in levels)
    except ValueError:
        return False


def counted_cells(number: int) -> str:
    """`1 cell`, `1,200 cells`."""
    return counted(number, "cell") if number < 1000 else f"{number:,} cells"
