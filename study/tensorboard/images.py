"""The pictures of a trained cell: filters, mistakes, confusion matrix, reconstructions."""

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from study.config.configuration import RECONSTRUCTION, Config, task_of
from study.data import Data, Normalize
from study.networks import build_network
from study.outputs.cell import first_filters
from study.outputs.results import TrainedReplica
from study.tensorboard.curves import num_diverged
from study.tensorboard.writer import CellWriter
from study.training.task import RECONSTRUCTION_LOSSES

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]
Shape = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
INK: Color = (40, 40, 40)
GREY: Color = (215, 215, 215)
CORRECT: Color = (23, 92, 158)
WRONG: Color = (190, 30, 30)

COLUMNS = 8
MAX_MISTAKES = 64
NUM_RECONSTRUCTIONS = 16
MAX_CLASSES_WITH_COUNTS = 12
MAX_CLASSES_WITH_TEXT = 30

FONT_SIZE = 13
LINE_HEIGHT = 15
GAP = 6
IMAGE_SIZE = 64
FILTER_SIZE = 28
CAPTION_WIDTH = 92
LABEL_WIDTH = 100
"""Pixels that the name of a class may take."""

ABOUT_FILTERS = (
    "Weights into the first layer's units, of the first seed at the chosen learning rate after the "
    "last epoch, each on a scale of its own: grey is 0, lighter is positive."
)
ABOUT_MISTAKES = (
    "Of the first seed at the chosen learning rate, at its best epoch; evenly spaced among all "
    "mistakes, sorted by class and by prediction."
)
ABOUT_CONFUSION = (
    "Test images of all seeds at the chosen learning rate, at their best epochs; each row in "
    "percent of its class. Red grows with the square root of the share."
)
ABOUT_RECONSTRUCTIONS = (
    "Rows of test images, each above a row of what the first seed at the chosen learning rate "
    "makes of them after the last epoch."
)


# Images as pixels, and as files.


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


# Text in pictures.


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


# Misclassified test images, each with its class and the class it was taken for.


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
    shown = wrong[np.linspace(0, len(wrong) - 1, min(MAX_MISTAKES, len(wrong))).round().astype(int)]
    images = pixels(data.normalize, data.test.inputs[shown.tolist()])
    names = (*class_names(data.classes), "none")
    captions = [(names[labels[index]], names[predictions[index]]) for index in shown]
    heading = f"{len(shown)} of {len(wrong)} misclassified test images: true > predicted; {title}"
    return _page([scaled(as_image(image), IMAGE_SIZE) for image in images], captions, heading)


def _page(
    images: Sequence[Image.Image], captions: Sequence[tuple[str, str]], heading: str
) -> Image.Image:
    """The images in rows under the heading, each above its class and, in red, its prediction.

    Those stand in one line where it is short enough, else below each other.
    """
    widths = [width_of(f"{true} > {taken}") for true, taken in captions]
    one_line = max(widths) <= max(IMAGE_SIZE, images[0].width)
    longest = max(width_of(text) for pair in captions for text in (pair[0], f"> {pair[1]}"))
    width = max(images[0].width, min(CAPTION_WIDTH, 0 if one_line else longest)) + GAP
    height = images[0].height + (1 if one_line else 2) * LINE_HEIGHT + GAP
    num_rows = -(-len(images) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width + GAP, 24 + num_rows * height), WHITE)
    draw = ImageDraw.Draw(page)
    write(draw, (GAP, 12), shortened(heading, page.width - 2 * GAP), anchor="lm")
    for index, (image, (true, taken)) in enumerate(zip(images, captions, strict=True)):
        left = GAP + index % COLUMNS * width
        top = 24 + index // COLUMNS * height
        page.paste(image, (left + (width - GAP - image.width) // 2, top))
        x, y = left + (width - GAP) / 2, top + image.height + LINE_HEIGHT / 2
        if one_line:
            start = x - (width_of(f"{true} ") + width_of(f"> {taken}")) / 2
            write(draw, (start, y), true, anchor="lm")
            place = (start + width_of(f"{true} "), y)
            write(draw, place, f"> {taken}", color=WRONG, anchor="lm")
        else:
            write(draw, (x, y), shortened(true, width - GAP))
            text = shortened(f"> {taken}", width - GAP)
            write(draw, (x, y + LINE_HEIGHT), text, color=WRONG)
    return page


# The confusion matrix: which class the test images of each were taken for.


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
    with_text = len(classes) <= MAX_CLASSES_WITH_TEXT
    size = 30 if with_text else max(4, 600 // len(classes))
    if len(classes) <= MAX_CLASSES_WITH_COUNTS:
        size = 46
    left = 30 + (min(LABEL_WIDTH, max(map(width_of, names))) if with_text else 0)
    top = 30 + left
    width = left + counts.shape[1] * size + 12
    page = Image.new("RGB", (max(width, 360), top + len(counts) * size + 12), WHITE)
    right = np.eye(*shares.shape, dtype=np.bool_)
    depth = np.where(right, shares, np.sqrt(shares))[..., None]
    full = np.where(right[..., None], CORRECT, WRONG)
    colors = np.asarray((255 - depth * (255 - full)).round(), dtype=np.uint8)
    page.paste(Image.fromarray(colors.repeat(size, axis=0).repeat(size, axis=1)), (left, top))
    draw = ImageDraw.Draw(page)
    write(draw, (left, 16), shortened(title, page.width - left), anchor="lm")
    _axes(page, (left, top), size, names, len(counts), with_text)
    if with_text:
        _numbers(draw, (left, top), size, counts, shares)
    return page


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
        draw.line([(left, top + place * size), (right, top + place * size)], fill=GREY)
    for place in range(0, len(names) + 1, step):
        draw.line([(left + place * size, top), (left + place * size, bottom)], fill=GREY)
    draw.rectangle([left, top, right, bottom], outline=INK)
    _sideways(page, (4, (top + bottom) // 2), "true class", "middle")
    write(draw, ((left + right) / 2, 38), "predicted class")
    if not with_text:
        return
    for place, name in enumerate(names):
        text = shortened(name, LABEL_WIDTH)
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
            percent = f"{100 * share:.0f}" if share >= 0.9995 else f"{100 * share:.1f}"
            write(draw, (x, y - 7), percent, color=color)
            write(draw, (x, y + 9), str(counts[row, column]), color=color, size=10)
        else:
            write(draw, (x, y), f"{100 * share:.0f}", color=color, size=11)


# What is written of a cell.


def write_images(
    writer: CellWriter, chosen: Sequence[TrainedReplica], config: Config, data: Data
) -> None:
    """Those that there is something to draw from: weights and predictions may not be kept."""
    filters = first_filters(chosen, data.input_shape)
    if len(filters):
        if filters.shape[1] not in (1, 3):
            filters = filters.mean(axis=1, keepdims=True).round().astype(np.uint8)
        factor = max(1, FILTER_SIZE // max(filters.shape[2:]))
        larger = filters.repeat(factor, axis=2).repeat(factor, axis=3)
        picture = as_image(grid(torch.from_numpy(larger)).numpy())
        file = encoded(picture, photographs=picture.mode == "RGB")
        writer.image("weights/first-layer filters", *file, ABOUT_FILTERS)
    if task_of(config) == RECONSTRUCTION:
        _write_reconstructions(writer, chosen, config, data)
        return
    kept = [result for result in chosen if result.predictions is not None]
    if not kept:
        return
    first = kept[0]
    predicted = [np.asarray(result.predictions, dtype=np.int64) for result in kept]
    title = f"seed {first.seed}, learning rate {first.lr:g}"
    mistakes = draw_mistakes(predicted[0], data, title)
    if mistakes is not None:
        file = encoded(mistakes, photographs=data.input_shape[0] == 3)
        writer.image("predictions/misclassified", *file, ABOUT_MISTAKES)
    labels = data.test.labels.cpu().numpy()
    counts = confusion(predicted, labels, data.num_classes)
    right = int(np.trace(counts))
    seeds = f"{len(kept)} seeds" if len(kept) > 1 else "1 seed"
    lost = num_diverged(kept)
    seeds += f" ({lost} diverged)" if lost else ""
    title = f"test error {100 * (1 - right / counts.sum()):.2f} %, {seeds}, rows in %"
    matrix = draw_confusion(counts, data.classes, title)
    writer.image("predictions/confusion matrix", *encoded(matrix), ABOUT_CONFUSION)


def _write_reconstructions(
    writer: CellWriter, chosen: Sequence[TrainedReplica], config: Config, data: Data
) -> None:
    """Test images above their reconstructions, of the first replica with weights."""
    state = next((result.weights for result in chosen if result.weights), None)
    if state is None:
        return
    network = build_network(config.network, data.input_shape, len(state["output.weight"])).eval()
    network.load_state_dict(state)
    network.to(state["output.weight"].dtype)
    inputs = data.test.inputs[:NUM_RECONSTRUCTIONS].cpu().to(state["output.weight"].dtype)
    with torch.no_grad():
        shown = RECONSTRUCTION_LOSSES[config.loss].shown(network(inputs))
    page = beside(inputs, shown.view(inputs.shape))
    picture = scaled(as_image(page.numpy()), 2 * max(page.shape[1:]))
    file = encoded(picture, photographs=picture.mode == "RGB")
    writer.image("predictions/inputs above reconstructions", *file, ABOUT_RECONSTRUCTIONS)
