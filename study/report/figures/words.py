"""The words of a figure's caption: over how many seeds, what the interval is, what is left out."""

from collections.abc import Collection

from study.outputs.records import CellRecord
from study.report.figures.layout import Layout, counted_cells
from study.report.figures.shown import num_seeds
from study.report.metrics import Metric
from study.words import counted

AT_CHOSEN = "At each cell's chosen learning rate."
UPDATES = "Updates are on an axis of log(1 + updates); 0 is initialization."


def seeds_words(cells: Collection[CellRecord]) -> str:
    """`n = 5 seeds`, or `n = 3 to 5 seeds`."""
    numbers = num_seeds(list(cells))
    if len(numbers) == 1:
        return f"n = {counted(numbers[0], 'seed')}"
    return f"n = {numbers[0]} to {numbers[-1]} seeds"


CUT = "cut at 0 and 100 %"
"""Of the interval of a share."""
GEOMETRIC = "of the logarithms"
"""Of the interval around a geometric mean."""


def of_errors(logarithmic: bool, metric: Metric) -> str:
    """What is said of the intervals on an axis of errors or losses."""
    if logarithmic:
        return "of its logarithm"
    return CUT if metric.unit == "%" else "cut at 0"


def interval_words(cells: Collection[CellRecord], *, cut: str = "", what: str = "band") -> str:
    """What a line or point is and what its band or bar is.

    `Mean over seeds (n = 3 seeds), band: 95 % t interval.`
    """
    mean = "Geometric mean" if cut == GEOMETRIC else "Mean"
    numbers = num_seeds(list(cells))
    if numbers == [1]:
        return "One seed (n = 1), so no interval."
    of = f", {cut}" if cut else ""
    lonely = "; none where there is one seed" if numbers[0] == 1 else ""
    return f"{mean} over {seeds_words(cells)}; {what}: its 95 % t interval{of}{lonely}."


def lost_words(cells: Collection[CellRecord]) -> list[str]:
    """What is drawn of cells with diverged replicas."""
    diverged = sum(cell.status == "diverged" for cell in cells)
    if not diverged:
        return []
    verb = "has" if diverged == 1 else "have"
    return [
        f"{counted(diverged, 'cell')} {verb} diverged replicas: the median, without an interval."
    ]


def caption(first: str, layout: Layout, *others: str) -> str:
    """The sentences of a caption, then what the layout says of what is shown."""
    cells = list(layout.cells.values())
    return " ".join(filter(None, (first, *others, *lost_words(cells), *layout.notes)))


def lacking_words(having: int, all_of_them: int, what: str) -> str:
    """How many cells have what a figure is drawn from, if not all do."""
    if having == all_of_them:
        return ""
    return f"{having:,} of {counted_cells(all_of_them)} {'has' if having == 1 else 'have'} {what}."
