"""First-layer filters as one small picture for each cell."""

import base64
import io
import math
from typing import Any

from study.outputs.records import CellRecord
from study.report.frames import Frames

MOST = 64
GREYS = 16
TOTAL = 620_000
"""Bytes that the pictures of all cells may take, before compression."""


class Budget:
    """How many filters of a cell are shown, so that those of all cells fit into the page."""

    def __init__(self, num_cells: int) -> None:
        self._bytes = TOTAL // max(num_cells, 1)

    def grid(self, num: int, filter_bytes: float) -> tuple[int, int]:
        """Rows and columns of at most `num` filters of that size: full rows, nearly a square."""
        fitting = max(1, min(num, MOST, int(self._bytes / filter_bytes)))
        columns = math.ceil(math.sqrt(fitting))
        return fitting // columns, columns


def filters(frames: Frames, cell: CellRecord, budget: Budget) -> dict[str, Any] | None:
    """A PNG of the first filters, as a data URI, with how many of how many it shows.

    None if the cell has none, or filters.npz is not what its record names. Grey filters have 16
    greys, coloured ones 64 levels a channel: the eye sees no more, and they compress.
    """
    import numpy as np

    if not frames.sound(cell, "filters.npz"):
        return None
    with np.load(cell.path / "filters.npz", allow_pickle=False) as arrays:
        images = arrays["filters"]
    if not len(images) or images.shape[1] not in (1, 3):
        return None
    num, channels, height, width = images.shape
    rows, columns = budget.grid(num, height * width * (0.5 if channels == 1 else 2.25))
    shown = images[: rows * columns]
    return {
        "png": _data_uri(_tiled(shown, columns), channels),
        "shown": len(shown),
        "of": num,
        "size": [columns * (width + 1) + 1, rows * (height + 1) + 1],
    }


def _tiled(images: Any, columns: int) -> Any:
    """The filters in rows with a pixel between them; uint8 [height, width, channels]."""
    import numpy as np

    num, channels, height, width = images.shape
    rows = num // columns
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + 1) + 1, place % columns * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return sheet


def _data_uri(sheet: Any, channels: int) -> str:
    from PIL import Image

    if channels == 1:
        picture = Image.fromarray(sheet[..., 0] // (256 // GREYS), mode="P")
        grey = [round(level * 255 / (GREYS - 1)) for level in range(GREYS)]
        picture.putpalette([channel for level in grey for channel in (level,) * 3])
    else:
        picture = Image.fromarray(sheet & 0xFC)
    file = io.BytesIO()
    bits = {"bits": 4} if channels == 1 else {}
    picture.save(file, "PNG", optimize=False, compress_level=9, **bits)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
