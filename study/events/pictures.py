"""Pictures out of tensors: pixels of normalized inputs, grids, PNG files."""

import functools
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from study.data import Normalize

COLUMNS = 8
FONT_SIZE = 13

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]
Shape = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
INK: Color = (40, 40, 40)
RED: Color = (190, 30, 30)


def grid(images: Tensor, columns: int = COLUMNS) -> Tensor:
    """Images [N, C, H, W] as one, `columns` in a row, with a line between: [C, height, width]."""
    num, channels, height, width = images.shape
    columns = min(columns, num)
    num_rows = -(-num // columns)
    page = images.new_full((channels, num_rows * (height + 1), columns * (width + 1)), 255)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        page[:, top : top + height, left : left + width] = image
    return page


def beside(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Rows of inputs, each above a row of their reconstructions: uint8 [C, height, width].

    Both on the scale of the inputs, [N, C, H, W].
    """
    low, high = float(inputs.min()), float(inputs.max())
    rows = []
    for start in range(0, len(inputs), COLUMNS):
        rows += [inputs[start : start + COLUMNS], outputs[start : start + COLUMNS]]
    images = torch.cat([row for row in rows if len(row) == COLUMNS] or rows[:2])
    columns = min(COLUMNS, len(inputs))
    scaled = (images.float() - low) / max(high - low, 1e-12)
    return grid((255 * scaled.clamp(0, 1)).round().to(torch.uint8).cpu(), columns)


def pixels(normalize: Normalize, inputs: Tensor) -> Pixels:
    """Normalized inputs [N, C, H, W] as images again, uint8.

    A pixel that does not vary is shown at its mean. What was binarized is black and white, and
    whitened inputs, whose inverse is a large matrix, are each shown on a scale of their own.
    """
    images = inputs.detach().cpu().float()
    if normalize.matrix is not None:
        largest = images.flatten(1).abs().amax(dim=1).clamp(min=1e-12)
        shown = 127.5 + 127.5 * images / largest.view(-1, 1, 1, 1)
    elif normalize.threshold is not None:
        shown = 255 * images
    else:
        divisor, offset = normalize.divisor.cpu().float(), normalize.offset.cpu().float()
        divisor = torch.where(divisor.isfinite(), divisor, torch.zeros_like(divisor))
        shown = images * divisor + offset
    return np.asarray(shown.clamp(0, 255).round().to(torch.uint8).numpy())


def as_image(image: NDArray[np.uint8]) -> Image.Image:
    """[C, H, W], grey or RGB."""
    planes = np.ascontiguousarray(image.transpose(1, 2, 0))
    return Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)


def encoded(image: Image.Image, *, photographs: bool = False) -> tuple[bytes, Shape]:
    """The picture as a file, and its [channels, height, width].

    A drawing becomes a PNG file of up to 256 colors, a third of the size and of the time of one of
    all colors; photographs a JPEG file; what is grey a PNG file as it is.
    """
    file = io.BytesIO()
    shape = (len(image.getbands()), image.height, image.width)
    if photographs:
        image.save(file, format="JPEG", quality=75, subsampling=0)
    elif image.mode == "RGB":
        _with_palette(image).save(file, format="PNG")
    else:
        image.save(file, format="PNG")
    return file.getvalue(), shape


def _with_palette(image: Image.Image) -> Image.Image:
    """Up to 256 colors, that of the upper left corner, the background, kept as it is."""
    method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
    fewer = image.quantize(256, method=method, dither=dither)
    colors, background = fewer.getpalette(), fewer.getpixel((0, 0))
    assert colors is not None, "it has a palette"
    assert isinstance(background, int), "it has a palette"
    colors[3 * background : 3 * background + 3] = image.crop((0, 0, 1, 1)).tobytes()
    fewer.putpalette(colors)
    return fewer


def scaled(image: Image.Image, size: int) -> Image.Image:
    """Its longer side brought near `size`: whole multiples of small images, large ones averaged.

    Grey pixels stay squares, colored ones are interpolated.
    """
    longer = max(image.size)
    if longer > size:
        factor = size / longer
        shape = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        return image.resize(shape, Image.Resampling.BOX)
    factor = max(1, size // longer)
    shape = (image.width * factor, image.height * factor)
    smooth = image.mode == "RGB"
    return image.resize(shape, Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST)


@functools.cache
def font(size: int = FONT_SIZE) -> Any:
    """Pillow's own font, the same on every machine; it has the letters of ASCII alone."""
    return ImageFont.load_default(size)


def width_of(text: str, size: int = FONT_SIZE) -> int:
    """In pixels."""
    return round(font(size).getlength(text))


def shortened(text: str, width: int, size: int = FONT_SIZE) -> str:
    """The text, with its end left out where it is wider than that many pixels."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}..", size) > width:
        text = text[:-1]
    return f"{text}.."


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    *,
    color: Color = INK,
    size: int = FONT_SIZE,
    anchor: str = "mm",
) -> None:
    """Draws a text; `anchor` says which point of it `place` is, as Pillow does."""
    draw.text(place, text, fill=color, font=font(size), anchor=anchor)


def class_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names as the font can write them; the numbers of the classes where it cannot."""
    if all(name.isascii() and name.isprintable() and name for name in classes):
        return classes
    return tuple(map(str, range(len(classes))))
