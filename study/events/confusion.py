"""The confusion matrix: which class the test images of each were taken for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from study.events.pictures import INK, WHITE, Color, class_names, shortened, width_of, write

CORRECT: Color = (23, 92, 158)
WRONG: Color = (190, 30, 30)
LINE: Color = (215, 215, 215)
MOST_WITH_COUNTS = 12
MOST_WITH_TEXT = 30
LABEL = 100
"""Pixels that the name of a class may take."""


def confusion(
    predictions: Sequence[NDArray[np.int64]], labels: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Counts [true class, predicted class] of [N] predictions of each seed; the last column: none.

    The shape is [num_classes, num_classes + 1].
    """
    counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    for each in predictions:
        taken = np.where(each < 0, num_classes, each)
        places = labels * (num_classes + 1) + taken
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    return counts


def draw_confusion(counts: NDArray[np.int64], classes: tuple[str, ...], title: str) -> Image.Image:
    """The matrix as a picture: a row for each class, in shares of its images.

    What is right is blue, linearly in its share; what is wrong red, by the share's square root, so
    that 1 % is seen. Up to 12 classes have percent and counts written in, up to 30 percent, up to
    100 only colors. Predictions that are none are a last column, if there are any.
    """
    names = class_names(classes)
    if counts[:, -1].any():
        names = (*names, "none")
    else:
        counts = counts[:, :-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = _cell_size(len(classes))
    with_text = len(classes) <= MOST_WITH_TEXT
    left = 30 + (min(LABEL, max(map(width_of, names))) if with_text else 0)
    top = 30 + left
    width = left + counts.shape[1] * size + 12
    page = Image.new("RGB", (max(width, 360), top + len(counts) * size + 12), WHITE)
    colors = _colors(shares).repeat(size, axis=0).repeat(size, axis=1)
    page.paste(Image.fromarray(colors), (left, top))
    draw = ImageDraw.Draw(page)
    write(draw, (left, 16), shortened(title, page.width - left), anchor="lm")
    _axes(page, (left, top), size, names, len(counts), with_text)
    if with_text:
        _numbers(draw, (left, top), size, counts, shares)
    return page


def _cell_size(num_classes: int) -> int:
    """Pixels of a cell's side."""
    if num_classes <= MOST_WITH_COUNTS:
        return 46
    return 30 if num_classes <= MOST_WITH_TEXT else max(4, 600 // num_classes)


def _colors(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The color of each cell, [rows, columns, 3]."""
    right = np.eye(*shares.shape, dtype=np.bool_)
    depth = np.where(right, shares, np.sqrt(shares))[..., None]
    full = np.where(right[..., None], CORRECT, WRONG)
    return np.asarray((255 - depth * (255 - full)).round(), dtype=np.uint8)


def _axes(
    page: Image.Image,
    corner: tuple[int, int],
    size: int,
    names: tuple[str, ...],
    num_rows: int,
    with_text: bool,
) -> None:
    """The lines, the names of the classes and of the axes."""
    draw = ImageDraw.Draw(page)
    left, top = corner
    right, bottom = left + len(names) * size, top + num_rows * size
    step = 1 if with_text else 10
    for place in range(0, num_rows + 1, step):
        draw.line([(left, top + place * size), (right, top + place * size)], fill=LINE)
    for place in range(0, len(names) + 1, step):
        draw.line([(left + place * size, top), (left + place * size, bottom)], fill=LINE)
    draw.rectangle([left, top, right, bottom], outline=INK)
    _sideways(page, (4, (top + bottom) // 2), "true class", "middle")
    write(draw, ((left + right) / 2, 38), "predicted class")
    if not with_text:
        return
    for place, name in enumerate(names):
        text = shortened(name, LABEL)
        middle = place * size + size / 2
        if place < num_rows:
            write(draw, (left - 6, top + middle), text, anchor="rm")
        if max(map(width_of, names)) < size - 4:
            write(draw, (left + middle, top - 10), text)
        else:
            _sideways(page, (round(left + middle) - 8, top - 6), text, "end")


def _sideways(page: Image.Image, place: tuple[int, int], text: str, where: str) -> None:
    """Text that runs upwards, `place` being the left of its middle or of its lower end."""
    width = width_of(text) + 2
    label = Image.new("RGB", (width, 16), WHITE)
    write(ImageDraw.Draw(label), (1, 8), text, anchor="lm")
    turned = label.transpose(Image.Transpose.ROTATE_90)
    x, y = place
    page.paste(turned, (x, y - (width // 2 if where == "middle" else width)))


def _numbers(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    size: int,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> None:
    """Percent, and below it the count where there is room; nothing where the count is 0."""
    left, top = corner
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        depth = share if row == column else np.sqrt(share)
        color = WHITE if depth > 0.55 else INK
        x, y = left + column * size + size / 2, top + row * size + size / 2
        if size >= 46:
            write(draw, (x, y - 7), _percent(share), color=color)
            write(draw, (x, y + 9), str(counts[row, column]), color=color, size=10)
        else:
            write(draw, (x, y), f"{100 * share:.0f}", color=color, size=11)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.9995 else f"{100 * share:.1f}"
