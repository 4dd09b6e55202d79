"""What figures are drawn from: a study's frames, and what several figures read of a cell."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from study.analysis.frames import Curve, Frames
from study.analysis.origins import Origin, by_origin, origin_of
from study.analysis.parts import Drawn
from study.analysis.statistics.intervals import median, t_interval
from study.config.labels import counted
from study.outputs.metrics import Metric
from study.outputs.records import CellRecord
from study.outputs.schema import PROBES_FILE
from study.report.figures.layout import Layout, arrange, counted_cells, line_axes


@dataclass(frozen=True)
class Shown:
    """A study as its figures see it."""

    frames: Frames

    @cached_property
    def _origin(self) -> Origin:
        """The origin of most finished cells, the first of equals."""
        origins = by_origin(self.frames.finished)
        return max(origins, key=lambda origin: len(origins[origin]))

    @cached_property
    def cells(self) -> list[CellRecord]:
        """The cells that are not finished, and the finished ones of the largest origin.

        Losses and errors of several origins are not of the same images: no axis, colour scale or
        mean may hold both.
        """
        cells = self.frames.cells
        return [c for c in cells if c.result is None or origin_of(c) == self._origin]

    @cached_property
    def left_out(self) -> str:
        """Which cells are not shown since they are of another origin; "" where there is one."""
        rest = len(self.frames.finished) - self.num_finished
        if not rest:
            return ""
        others = len(by_origin(self.frames.finished)) - 1
        whose = "another origin" if others == 1 else f"{others} other origins"
        return (
            f"Only cells of one origin ({self._origin.words}) are shown; {counted_cells(rest)} of "
            f"{whose} {'is' if rest == 1 else 'are'} left out: their errors do not compare."
        )

    @cached_property
    def num_finished(self) -> int:
        """How many of the cells are finished."""
        return sum(cell.result is not None for cell in self.cells)

    @cached_property
    def layout(self) -> Layout:
        """Lines and panels over the cells."""
        return arrange(self.cells, line_axes(self.cells))

    @cached_property
    def probed(self) -> list[CellRecord]:
        """The finished cells with probes."""
        return [cell for cell in self.cells if cell.result and PROBES_FILE in cell.result.files]

    @cached_property
    def probed_layout(self) -> Layout | None:
        """Lines and panels over the cells with probes; None where there are none."""
        return arrange(self.probed, line_axes(self.probed)) if self.probed else None

    def curve(self, cell: CellRecord, quantity: str) -> Curve:
        """A column of curves.csv by epoch and seed; nothing where the file is not sound."""
        by_epoch: dict[float, dict[int, float]] = defaultdict(dict)
        for seed, curve in self.frames.curve(cell, quantity).items():
            for epoch, number in curve.items():
                by_epoch[epoch][seed] = number
        return dict(sorted(by_epoch.items()))


def of_probes(
    shown: Shown, probes: Iterable[str], draw: Callable[[Shown, Layout, str], list[Drawn]]
) -> list[Drawn]:
    """What `draw` makes of each of the probes; nothing where no cell has probes."""
    layout = shown.probed_layout
    return [] if layout is None else [each for name in probes for each in draw(shown, layout, name)]


def num_seeds(cells: Sequence[CellRecord]) -> list[int]:
    """The numbers of seeds that the cells have, sorted, each once."""
    return sorted({len(cell.finished.seeds) for cell in cells})


# A number over seeds as figures draw it: a centre and, where there is one, an interval.


NOTHING = math.nan
_LARGEST = 1e300
"""What a figure's axis can hold."""


@dataclass(frozen=True)
class Point:
    """`low` and `high` are NaN where there is no interval: one seed, or a median."""

    center: float
    low: float = NOTHING
    high: float = NOTHING

    def within(self, least: float, most: float) -> "Point":
        """The point, its interval cut where no value can be."""
        return Point(self.center, max(self.low, least), min(self.high, most))

    def of_logarithm(self) -> "Point":
        """The same positive centre with the interval of its logarithm, which is above 0 all over.

        By the delta method its half-width is the number's own over the number.
        """
        width = min((self.high - self.center) / self.center, math.log(_LARGEST))
        return Point(self.center, self.center * math.exp(-width), self.center * math.exp(width))

    def scaled(self, scale: float) -> "Point":
        """The point in another unit."""
        return Point(scale * self.center, scale * self.low, scale * self.high)


def point(values: Collection[float], *, lost: bool = False, decades: bool = False) -> Point:
    """The mean over seeds and its 95 % t interval; the median alone where replicas are lost.

    A value that is not finite loses its replica too. `decades`: of the logarithms of positive
    values, so the centre is their geometric mean; a value of 0 leaves no point.
    """
    if not values:
        return Point(NOTHING)
    if lost or not all(math.isfinite(value) for value in values):
        middle = median([math.inf if math.isnan(value) else value for value in values])
        return Point(middle if math.isfinite(middle) and (middle > 0 or not decades) else NOTHING)
    if not decades:
        return _with_interval(list(values))
    if min(values) <= 0:
        return Point(NOTHING)
    of_logs = _with_interval([math.log10(value) for value in values])
    return Point(*(_power(each) for each in (of_logs.center, of_logs.low, of_logs.high)))


def error_point(values: Collection[float | None], metric: Metric, *, lost: bool = False) -> Point:
    """The `point` of an error or a loss, in its unit; None is a value that is not finite."""
    numbers = [math.inf if value is None else value for value in values]
    return point(numbers, lost=lost).scaled(metric.scale)


def _with_interval(values: list[float]) -> Point:
    found = t_interval(values)
    if found.low is None or found.high is None:
        return Point(found.mean)
    return Point(found.mean, found.low, found.high)


def _power(decades: float) -> float:
    """10 to this power, between 1 / _LARGEST and _LARGEST."""
    most = math.log10(_LARGEST)
    return math.nan if math.isnan(decades) else 10.0 ** min(max(decades, -most), most)


# The words of a figure's caption: over how many seeds, what the interval is, what is left out.


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
