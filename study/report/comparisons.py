"""Comparisons that an experiment's file asks for, of cells that it names by their levels."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.claims.cells import known_levels, matches, resolved
from study.errors import InputError
from study.outputs.records import CellRecord
from study.report.factors import cell_level, shown_level, varying_factors
from study.report.frames import Frames
from study.report.origins import by_origin

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
