"""Which cells a claim is about: levels by name, and the cells of two sides in pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from study.analysis.claims.quantity import NotDecidableError
from study.analysis.frames import Frames
from study.config.keys import GROUPS
from study.config.labels import counted
from study.errors import InputError, unknown
from study.outputs.factors import all_levels, cell_level, level_text
from study.outputs.records import CellRecord

Levels = Mapping[str, tuple[str, ...]]
RATE = "lr"
"""In place of a factor: the learning rate instead of each cell's chosen one."""
NAMED = 3
"""How many cells, or factors that do not vary, a message names."""

Key = tuple[str, ...]


def resolved(where: Levels, known: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The levels by their whole names; InputError lists the choices for a name that none has.

    A level may be called by its first word, such as `rbm` for `rbm epochs=3`, where only one of
    the `known` levels of its factor starts so.
    """
    found = {}
    for factor, levels in where.items():
        if factor not in known:
            raise _unknown_factor(factor, known)
        found[factor] = tuple(_whole(factor, level, known[factor]) for level in levels)
    return found


def _unknown_factor(name: str, known: Mapping[str, Sequence[str]]) -> InputError:
    """Lists the factors that vary, and some of the many that are the same in all cells."""
    error = str(unknown("factor", name, known)).partition("; choose from")[0]
    varying = [factor for factor, levels in known.items() if len(levels) > 1]
    fixed = [factor for factor in known if factor not in varying]
    some = ", ".join(fixed[:NAMED]) + (", ..." if len(fixed) > NAMED else "")
    same = f"the same in all cells: {some}" if fixed else ""
    choices = f"choose from: {', '.join(varying)}" if varying else ""
    return InputError("; ".join(part for part in (error, choices, same) if part))


def _whole(factor: str, text: str, known: Sequence[str]) -> str:
    try:
        # 0.1 and 1e-1 are one level.
        same = text if factor in GROUPS else level_text(float(text))
    except ValueError:
        same = text
    for level in (text, same):
        if level in known:
            return level
    starting = [level for level in known if level.partition(" ")[0] == text]
    if len(starting) > 1:
        raise InputError(f"{text!r} is several levels of {factor}: write one of "
                         f"{', '.join(map(repr, starting))}")  # fmt: skip
    if not starting:
        raise unknown(f"level of {factor}", text, known)
    return starting[0]


def known_levels(cells: Sequence[CellRecord], factors: Iterable[str]) -> dict[str, list[str]]:
    """The levels of every factor, and the learning rates as those of RATE."""
    return {name: all_levels(cells, name) for name in (*factors, RATE)}


@dataclass(frozen=True)
class Side:
    """The cells of one side of a comparison, by what pairs them with the other's.

    The key of a cell holds its levels of the factors that the two sides share.
    """

    where: Levels
    cells: Mapping[Key, tuple[CellRecord, ...]]
    lr: float | None

    @property
    def all(self) -> list[CellRecord]:
        return [cell for cells in self.cells.values() for cell in cells]


def side_of(frames: Frames, where: Levels, apart: Iterable[str]) -> Side:
    """The finished cells with these levels; `apart` are the factors that do not pair them.

    NotDecidableError where there is none, or one of them is not finished.
    """
    outer = {factor: levels for factor, levels in where.items() if factor != RATE}
    cells = [cell for cell in frames.cells if matches(cell, outer)]
    if not cells:
        raise NotDecidableError(f"no cell has {where_text(outer)}")
    unfinished = [f"{cell.directory} ({cell.status})" for cell in cells if cell.result is None]
    if unfinished:
        listed = ", ".join(unfinished[:NAMED]) + (", ..." if len(unfinished) > NAMED else "")
        raise NotDecidableError(f"{len(unfinished)} of {counted(len(cells), 'cell')} not finished: "
                           f"{listed}")  # fmt: skip
    sharing = [factor for factor in frames.factors if factor not in set(apart)]
    keys: dict[Key, list[CellRecord]] = {}
    for cell in cells:
        keys.setdefault(tuple(cell_level(cell, factor) for factor in sharing), []).append(cell)
    rate = where.get(RATE)
    by_key = {key: tuple(found) for key, found in keys.items()}
    return Side(where, by_key, float(rate[0]) if rate else None)


def matches(cell: CellRecord, where: Levels) -> bool:
    """Whether the cell has (one of) the given level(s) of each factor."""
    return all(cell_level(cell, factor) in levels for factor, levels in where.items())


def require_pairs(first: Side, second: Side) -> None:
    """NotDecidableError unless each cell of a side has a counterpart on the other."""
    lone = first.cells.keys() ^ second.cells.keys()
    if lone:
        key = sorted(lone)[0]
        side = first if key in first.cells else second
        cell = side.cells[key][0]
        raise NotDecidableError(
            f"{cell.directory} has no counterpart on the other side: the comparison would not be "
            "between like and like; name the levels that both sides have"
        )


def where_text(where: Levels) -> str:
    """`norm=batch, activation=relu or tanh`."""
    return ", ".join(f"{factor}={' or '.join(levels)}" for factor, levels in where.items())
