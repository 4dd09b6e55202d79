"""Misclassified test images, each with its class and the class it was taken for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from study.data import Data
from study.events.pictures import (
    INK,
    RED,
    WHITE,
    as_image,
    class_names,
    pixels,
    scaled,
    shortened,
    width_of,
    write,
)

MOST = 64
COLUMNS = 8
SIZE = 64
GAP = 6
LINE = 15
WIDEST = 92


def draw_mistakes(predictions: NDArray[np.int64], data: Data, title: str) -> Image.Image | None:
    """Up to 64 of the misclassified test images as one picture; None if there are none.

    predictions: [N], -1 for none. They are evenly spaced in the list of all mistakes sorted by
    class and by prediction, so that every frequent confusion is seen.
    """
    labels = data.test.labels.cpu().numpy()
    wrong = np.flatnonzero(predictions != labels)
    if not len(wrong):
        return None
    wrong = wrong[np.lexsort((wrong, predictions[wrong], labels[wrong]))]
    shown = wrong[np.linspace(0, len(wrong) - 1, min(MOST, len(wrong))).round().astype(int)]
    images = pixels(data.normalize, data.test.inputs[shown.tolist()])
    names = (*class_names(data.classes), "none")
    captions = [(names[labels[index]], names[predictions[index]]) for index in shown]
    heading = f"{len(shown)} of {len(wrong)} misclassified test images: true > predicted; {title}"
    return _page([scaled(as_image(image), SIZE) for image in images], captions, heading)


def _page(
    images: Sequence[Image.Image], captions: Sequence[tuple[str, str]], heading: str
) -> Image.Image:
    """The images in rows under the heading, each above its caption, of one line or two."""
    widths = [width_of(f"{true} > {taken}") for true, taken in captions]
    one_line = max(widths) <= max(SIZE, images[0].width)
    longest = max(width_of(text) for pair in captions for text in (pair[0], f"> {pair[1]}"))
    width = max(images[0].width, min(WIDEST, 0 if one_line else longest)) + GAP
    height = images[0].height + (1 if one_line else 2) * LINE + GAP
    num_rows = -(-len(images) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width + GAP, 24 + num_rows * height), WHITE)
    draw = ImageDraw.Draw(page)
    write(draw, (GAP, 12), shortened(heading, page.width - 2 * GAP), anchor="lm")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = GAP + index % COLUMNS * width
        top = 24 + index // COLUMNS * height
        page.paste(image, (left + (width - GAP - image.width) // 2, top))
        middle = left + (width - GAP) / 2
        _caption(draw, (middle, top + image.height + LINE / 2), caption, one_line, width - GAP)
    return page


def _caption(
    draw: ImageDraw.ImageDraw,
    middle: tuple[float, float],
    caption: tuple[str, str],
    one_line: bool,
    width: int,
) -> None:
    """The class in black, the prediction in red: beside it or below it."""
    true, taken = caption[0], f"> {caption[1]}"
    x, y = middle
    if one_line:
        start = x - (width_of(f"{true} ") + width_of(taken)) / 2
        write(draw, (start, y), true, color=INK, anchor="lm")
        write(draw, (start + width_of(f"{true} "), y), taken, color=RED, anchor="lm")
    else:
        write(draw, (x, y), shortened(true, width), color=INK)
        write(draw, (x, y + LINE), shortened(taken, width), color=RED)
