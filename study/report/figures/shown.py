"""What figures are drawn from: a study's frames, and what several figures read of a cell."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from study.outputs.cell import read_curves
from study.outputs.measurements import FILE
from study.outputs.readings import Reading, read_probe
from study.outputs.records import CellRecord
from study.report.figures.layout import Layout, arrange, counted_cells, line_axes
from study.report.frames import Frames
from study.report.origins import Origin, by_origin, origin_of
from study.report.parts import Drawn

Curve = Mapping[float, Mapping[int, float]]
"""{epoch or updates: {seed: number}} of one cell at its chosen learning rate."""


@dataclass(frozen=True)
class Shown:
    """A study as its figures see it; each file is read once, and only when a figure shows it."""

    frames: Frames
    _curves: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)
    _probes: dict[tuple[str, str], Reading] = field(default_factory=dict, repr=False)

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
        return [cell for cell in self.cells if FILE in (cell.result or {}).get("files", {})]

    @cached_property
    def probed_layout(self) -> Layout | None:
        """Lines and panels over the cells with probes; None where there are none."""
        return arrange(self.probed, line_axes(self.probed)) if self.probed else None

    def curve(self, cell: CellRecord, quantity: str) -> Curve:
        """A column of curves.csv by epoch and seed; nothing where the file is not sound."""
        if cell.directory not in self._curves:
            sound = self.frames.sound(cell, "curves.csv")
            self._curves[cell.directory] = read_curves(cell.path) if sound else []
        chosen = chosen_lr(cell)
        by_epoch: dict[float, dict[int, float]] = defaultdict(dict)
        for row in self._curves[cell.directory]:
            if row["lr"] == chosen:
                by_epoch[row["epoch"]][row["seed"]] = row[quantity]
        return dict(sorted(by_epoch.items()))

    def probe(self, cell: CellRecord, name: str) -> dict[int, Curve]:
        """{layer: {updates: {seed: number}}}, NaN where it is not finite or was not taken."""
        key = cell.directory, name
        if key not in self._probes:
            self._probes[key] = read_probe(cell, name)
        chosen = chosen_lr(cell)
        layers: dict[int, dict[float, dict[int, float]]] = {}
        for (seed, lr, step, layer), number in (self._probes[key].numbers or {}).items():
            if lr == chosen:
                at = layers.setdefault(layer, {}).setdefault(step, {})
                at[seed] = float("nan") if number is None else number
        return {
            layer: dict(sorted(found.items(), key=lambda item: item[0]))
            for layer, found in sorted(layers.items())
        }


def of_probes(
    shown: Shown, probes: Iterable[str], draw: Callable[[Shown, Layout, str], list[Drawn]]
) -> list[Drawn]:
    """What `draw` makes of each of the probes; nothing where no cell has probes."""
    layout = shown.probed_layout
    return [] if layout is None else [each for name in probes for each in draw(shown, layout, name)]


def chosen_lr(cell: CellRecord) -> float:
    """The learning rate that validation chose in a finished cell."""
    assert cell.result is not None
    return float(cell.result["chosen_lr"])


def num_seeds(cells: Sequence[CellRecord]) -> list[int]:
    """The numbers of seeds that the cells have, sorted, each once."""
    return sorted(
        {len({replica["seed"] for replica in (cell.result or {})["replicas"]}) for cell in cells}
    )
