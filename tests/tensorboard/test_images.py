"""Pictures for TensorBoard: grids, pixels of inputs, misclassified images, confusion matrices."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from study.data import NORMALIZATIONS, fit_normalization
from study.tensorboard.images import (
    CORRECT,
    as_image,
    beside,
    class_names,
    confusion,
    draw_confusion,
    draw_mistakes,
    encoded,
    grid,
    pixels,
    scaled,
    shortened,
    width_of,
)
from tests import fabricated


def test_images_stand_in_rows_with_a_line_between() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 3)
    page = grid(images)
    assert page.shape == (1, 2 * 3, 8 * 4)
    assert page[0, 0, ::4].tolist() == list(range(8))
    assert page[0, 3, :5].tolist() == [8, 8, 8, 255, 9]


def test_reconstructions_stand_below_their_inputs_on_one_scale() -> None:
    inputs = torch.linspace(-1, 1, 8).view(8, 1, 1, 1)
    page = beside(inputs, 2 * inputs)[0]
    above, below = page[0, ::2].int(), page[2, ::2].int()
    assert [int(above[0]), int(above[-1])] == [0, 255]
    assert (below - (2 * above - 127.5).clamp(0, 255)).abs().max() <= 1


@pytest.mark.parametrize("kind", sorted(NORMALIZATIONS))
def test_inputs_become_images_again(kind: str) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 1, 4, 4), generator=draw, dtype=torch.uint8)
    images[:, :, 0, 0] = 7
    normalize = fit_normalization(kind, images, zca_epsilon=1e-2)
    shown = pixels(normalize, normalize(images))
    assert shown.dtype == np.uint8
    if kind == "binary":
        assert (shown == 255 * (images.numpy() > 127)).all()
    elif kind == "whiten":
        assert shown.reshape(50, -1).max(axis=1).min() >= 128
    else:
        assert (shown == images.numpy()).all()


def test_small_images_grow_by_whole_factors_and_large_ones_shrink() -> None:
    small = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    assert scaled(small, 64).size == (64, 32)
    assert set(np.unique(np.asarray(scaled(small, 64)))) == {0, 255}
    assert scaled(Image.new("L", (28, 28)), 64).size == (56, 56)
    assert scaled(Image.new("RGB", (200, 100)), 64).size == (64, 32)


@pytest.mark.parametrize("photographs", [False, True])
def test_a_file_holds_the_picture(photographs: bool) -> None:
    picture = Image.new("RGB", (5, 3), (200, 30, 30))
    file, shape = encoded(picture, photographs=photographs)
    assert shape == (3, 3, 5)
    with Image.open(io.BytesIO(file)) as opened:
        assert opened.size == (5, 3)
        assert np.abs(np.asarray(opened.convert("RGB")).astype(int) - [200, 30, 30]).max() < 8


def test_a_drawing_keeps_its_white_background() -> None:
    """Octree quantization alone makes it the mean of all that is nearly white."""
    counts = np.arange(110).reshape(10, 11) % 7 + 200 * np.eye(10, 11, dtype=np.int64)
    file, _ = encoded(draw_confusion(counts, tuple("abcdefghij"), "a title"))
    with Image.open(io.BytesIO(file)) as opened:
        assert opened.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_names_that_the_font_lacks_are_numbers() -> None:
    assert class_names(("cat", "dog")) == ("cat", "dog")
    assert class_names(("chat", "éléphant")) == ("0", "1")


def test_a_text_that_is_too_wide_loses_its_end() -> None:
    assert shortened("cat", 100) == "cat"
    cut = shortened("a very long name of a class", 60)
    assert cut.endswith("..")
    assert width_of(cut) <= 60


def test_a_confusion_matrix_counts_every_prediction_of_every_seed() -> None:
    labels = np.array([0, 0, 1, 2])
    counts = confusion([np.array([0, 1, 1, 2]), np.array([0, 0, -1, 2])], labels, 3)
    assert counts.tolist() == [[3, 1, 0, 0], [0, 1, 0, 1], [0, 0, 2, 0]]
    assert (counts.sum(axis=1) == 2 * np.bincount(labels)).all()


@pytest.mark.parametrize("num_classes", [2, 3, 10, 12, 13, 30, 31, 100])
def test_a_confusion_matrix_is_drawn_for_any_number_of_classes(num_classes: int) -> None:
    """Of uneven classes, one of which has no image."""
    labels = np.repeat(np.arange(num_classes), np.arange(num_classes) % 4)
    labels = np.append(labels, num_classes - 1)
    names = tuple(f"the class {number}" for number in range(num_classes))
    for predicted in (labels, (labels + 1) % num_classes, np.full_like(labels, -1)):
        counts = confusion([predicted], labels, num_classes)
        page = draw_confusion(counts, names, "a title")
        assert max(page.size) < 1300
        assert page.tobytes() == draw_confusion(counts, names, "a title").tobytes()
        colors = {color for _, color in page.getcolors(2**20) or []}
        assert (CORRECT in colors) == (predicted is labels)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 5), (3, 96, 130)])
@pytest.mark.parametrize("classes", ["0123456789", ["Ankle boot", "T-shirt/top"]])
def test_misclassified_images_are_drawn(
    shape: tuple[int, int, int], classes: tuple[str, ...]
) -> None:
    data = fabricated.data(shape=shape, classes=classes, num_test=100)
    labels = data.test.labels.numpy()
    for num_wrong in (1, 7, 100):
        predictions = labels.copy()
        predictions[:num_wrong] = (labels[:num_wrong] + 1) % len(classes)
        page = draw_mistakes(predictions, data, "seed 0")
        assert page is not None
        assert max(page.size) < 1300
        again = draw_mistakes(predictions, data, "seed 0")
        assert again is not None
        assert page.tobytes() == again.tobytes()
    assert draw_mistakes(labels, data, "seed 0") is None
    assert draw_mistakes(np.full_like(labels, -1), data, "seed 0") is not None


def test_every_frequent_confusion_is_among_the_mistakes_shown() -> None:
    """Each image is of one grey value, its class: what is shown can be read off the picture."""
    data = fabricated.data(shape=(1, 8, 8), num_test=1000, normalize="none")
    labels = data.test.labels
    data.test.inputs.copy_((20 + 20 * labels.float()).view(-1, 1, 1, 1).expand(1000, 1, 8, 8))
    page = draw_mistakes((labels.numpy() + 1) % 10, data, "")
    assert page is not None
    shown = set(np.unique(np.asarray(page)[..., 0]).tolist())
    assert {20 + 20 * label for label in range(10)} <= shown


def test_grey_and_colored_images() -> None:
    assert as_image(np.zeros((1, 2, 3), dtype=np.uint8)).mode == "L"
    assert as_image(np.zeros((3, 2, 3), dtype=np.uint8)).mode == "RGB"
