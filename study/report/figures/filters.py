"""First-layer filters: what the units of the first layer respond to."""

from typing import Any

import numpy as np

from study.analysis.parts import Drawn
from study.outputs.factors import cell_level
from study.outputs.records import CellRecord
from study.report.figures.layout import Most, arrange
from study.report.figures.panels import finished, grid, label
from study.report.figures.percentiles import panel_factors
from study.report.figures.shown import AT_CHOSEN, Shown, caption, lacking_words

FILE = "filters.npz"
MOST = 25
"""Filters of a cell that are shown."""


def draw(shown: Shown) -> list[Drawn]:
    """A mosaic a cell, of some cells; nothing where no filters are kept."""
    kept = [cell for cell in shown.cells if cell.result and FILE in cell.result.files]
    if not kept:
        return []
    # Columns have more levels than rows.
    counts = {name: len({cell_level(cell, name) for cell in kept}) for name in panel_factors(kept)}
    names = sorted(counts, key=lambda name: -counts[name])
    layout = arrange(kept, ["", *names], Most(rows=2, columns=4, panels=8))
    mosaics = {
        cell.directory: mosaic(filters)
        for cell in layout.cells.values()
        if (filters := _read(shown, cell)) is not None
    }
    cells = [cell for cell in layout.cells.values() if cell.directory in mosaics]
    if not cells:
        return []
    lacking = lacking_words(len(kept), shown.num_finished, "filters")
    figure, panels = grid(layout, square=True)
    for (row, column), axes in panels.items():
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        cell = layout.cells.get((row, column, ""))
        if cell and cell.directory in mosaics:
            # As pixels, whatever the resolution.
            axes.imshow(
                mosaics[cell.directory], cmap="gray", vmin=0, vmax=255, interpolation="none"
            )
    label(panels, layout, "", "")
    text = caption(
        f"The incoming weights of the first units (up to {MOST}) of the first layer as images, "
        "after the last epoch. Grey is 0, black and white the filter's own largest weight, so "
        f"filters do not compare in size. {AT_CHOSEN} One seed of each cell (n = 1), so no "
        "interval.",
        layout,
        lacking,
    )
    return [finished(figure, "filters", "First-layer filters", text, cells)]


def mosaic(filters: Any) -> Any:
    """Filters [n, C, H, W], uint8, as one image [rows, columns] or [rows, columns, 3].

    Those with another number of channels than 3 show the mean of their channels.
    """
    if filters.shape[1] != 3:
        filters = np.round(filters.mean(axis=1, keepdims=True)).astype(np.uint8)
    number, channels, height, width = filters.shape
    across = int(np.ceil(np.sqrt(number)))
    down = -(-number // across)
    gap = max(1, height // 14)
    image = np.full((down * (height + gap) - gap, across * (width + gap) - gap, channels), 255)
    for place, each in enumerate(filters):
        top, left = place // across * (height + gap), place % across * (width + gap)
        image[top : top + height, left : left + width] = each.transpose(1, 2, 0)
    return (image if channels == 3 else image[:, :, 0]).astype(np.uint8)


def _read(shown: Shown, cell: CellRecord) -> Any:
    """The first filters of a cell; None if its file is not sound or holds none."""
    if not shown.frames.sound(cell, FILE):
        return None
    with np.load(cell.path / FILE, allow_pickle=False) as arrays:
        filters = arrays["filters"][:MOST]
    return filters if filters.size else None
