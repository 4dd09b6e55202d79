"""From the group `data` of a configuration to tensors on the device, and to augmented batches."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from study.config.groups import DataGroup
from study.data.images import Images
from study.data.normalize import NORMALIZATIONS, Normalize, fit_normalization, fit_whitening
from study.data.sources import SOURCES, cache_of, read_images, resolve_root
from study.data.split import split_indices, subset_indices
from study.errors import InputError, unknown

# Covariate shift: test images that are corrupted as no training image is.
#
# Corruptions are of raw pixels, before normalization, and rounded to whole ones again, as a file of
# corrupted images would be. What an image becomes depends on its place in the test set alone: it is
# the same for every cell, seed and subset.


FULL_SCALE = 255.0
IMAGES_PER_CHUNK = 1024
SEED = 0
"""Of the noise and of the directions."""

NUM_DIRECTIONS = 4


class Shift(NamedTuple):
    """A corruption: images of pixels in [0, 1], a strength and a generator to images."""

    apply: Callable[[torch.Tensor, float, torch.Generator], torch.Tensor]
    usual: float
    """The strength where none is given."""


def shifted(images: torch.Tensor, shift: str, strength: float | None) -> torch.Tensor:
    """All images of a test set, corrupted: uint8 [N, C, H, W] to the same.

    noise: N(0, strength^2) added to x/255, cut off at 0 and 1. contrast: from every pixel of x/255
    the share `strength` of its distance from the mean of its image and channel is taken away. Both
    as Hendrycks & Dietterich 2019 ("Benchmarking neural network robustness to common corruptions
    and perturbations"), whose severity 3 is the usual strength: noise 0.18, contrast 0.8 (of which
    0.2 stays). translate: each image is moved by `strength` pixels up, down, left or right, drawn
    for each, and black where nothing was.
    """
    if shift == "none":
        return images
    apply, usual = SHIFTS[shift]
    generator = torch.Generator().manual_seed(SEED)
    moved = torch.empty_like(images)
    chunks = zip(images.split(IMAGES_PER_CHUNK), moved.split(IMAGES_PER_CHUNK), strict=True)
    for pixels, target in chunks:
        corrupted = apply(pixels.float() / FULL_SCALE, strength or usual, generator)
        target.copy_((corrupted.clamp(0, 1) * FULL_SCALE).round())
    return moved


def _noise(images: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    return images + std * torch.empty_like(images).normal_(generator=generator)


def _contrast(images: torch.Tensor, share: float, _: torch.Generator) -> torch.Tensor:
    return torch.lerp(images, images.mean((2, 3), keepdim=True), share)


def _translate(images: torch.Tensor, pixels: float, generator: torch.Generator) -> torch.Tensor:
    distance, (height, width) = int(pixels), images.shape[2:]
    if distance >= min(height, width):
        raise InputError(
            f"data.test_shift_strength={distance} moves images of {height} x {width} pixels out "
            "of sight: take fewer"
        )
    directions = torch.randint(NUM_DIRECTIONS, (len(images),), generator=generator)
    padded = torch.nn.functional.pad(images, (distance,) * 4)
    moved = torch.empty_like(images)
    for direction in range(NUM_DIRECTIONS):
        chosen = directions == direction
        # Where in the padded image the moved one begins.
        along = 2 * distance * (direction % 2)
        row, column = (along, distance) if direction < 2 else (distance, along)
        moved[chosen] = padded[chosen, :, row : row + height, column : column + width]
    return moved


SHIFTS: Mapping[str, Shift] = {
    "noise": Shift(_noise, 0.18),
    "translate": Shift(_translate, 3.0),
    "contrast": Shift(_contrast, 0.8),
}
"""By the values of `data.test_shift`, but for none."""


MAX_KEPT_BYTES = 3 * 2**30
"""How much is kept for the next cells: CIFAR-10 in four normalizations, as float32."""

_kept: OrderedDict[tuple[Any, ...], "Data"] = OrderedDict()


@dataclass(frozen=True)
class Split:
    """Normalized inputs, float [N, C, H, W], and their labels, int64 [N]."""

    inputs: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """What a cell trains, validates and is tested on.

    `train` holds `train_size` images; `normalize`, which made all the inputs from raw images, has
    the statistics of the whole training split. `fingerprint` is that of the whole source.
    """

    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str
    normalize: Normalize

    @property
    def num_bytes(self) -> int:
        """Memory that the inputs take."""
        return sum(split.inputs.nbytes for split in (self.train, self.val, self.test))

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one input."""
        channels, height, width = self.train.inputs.shape[1:]
        return channels, height, width


def prepare(
    options: DataGroup,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Data:
    """The data set that the group `data` asks for: read, split, normalized, on `device`.

    Normalized in float32 and then converted, so that a cell in another precision starts from the
    same inputs. The last results, up to MAX_KEPT_BYTES of them, are kept for the cells of a sweep
    in one process; they are shared, so nothing may write into them. `test_shift` corrupts the test
    images alone, before they are normalized with the statistics of training images. `flip` and
    `crop` are for the batches (`augment`).
    """
    if options.name not in SOURCES:
        raise unknown("data set", options.name, SOURCES)
    if options.normalize not in NORMALIZATIONS:
        raise unknown("normalization", options.normalize, NORMALIZATIONS)
    if options.test_shift not in ("none", *SHIFTS):
        raise unknown("test shift", options.test_shift, ("none", *SHIFTS))
    key = _key(options, dtype, torch.device(device))
    if key not in _kept:
        images = read_images(options.name, options.root, options.cache)
        # Room for it: what was used longest ago is forgotten.
        new = (images.train_images.numel() + images.test_images.numel()) * dtype.itemsize
        used = sum(data.num_bytes for data in _kept.values())
        while _kept and used + new > MAX_KEPT_BYTES:
            used -= _kept.popitem(last=False)[1].num_bytes
        _kept[key] = _build(images, options, dtype, torch.device(device))
    _kept.move_to_end(key)
    return _kept[key]


def _key(options: DataGroup, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    """Everything that `_build` depends on."""
    root = resolve_root(options.name, options.root).resolve()
    sizes = (options.val_size, options.train_size, options.test_size, options.split_seed)
    shift = (options.test_shift, options.test_shift_strength)
    epsilon = options.zca_epsilon if options.normalize == "whiten" else None
    return (options.name, root, *sizes, options.normalize, *shift, epsilon, dtype, device)


def _build(images: Images, options: DataGroup, dtype: torch.dtype, device: torch.device) -> Data:
    seed = options.split_seed
    whole, subset, val = split_indices(
        images.train_labels,
        val_size=options.val_size,
        train_size=options.train_size,
        split_seed=seed,
    )
    test = subset_indices(images.test_labels, options.test_size, split_seed=seed)
    kind, epsilon = options.normalize, options.zca_epsilon
    if kind == "whiten":
        cache = cache_of(options.name, resolve_root(options.name, options.root), options.cache)
        normalize = fit_whitening(images, whole, zca_epsilon=epsilon, cache=cache)
    else:
        normalize = fit_normalization(kind, images.train_images[whole], zca_epsilon=epsilon)
    pixels = shifted(images.test_images, options.test_shift, options.test_shift_strength)

    def build(pixels: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor) -> Split:
        inputs = normalize.in_chunks(pixels[indices])
        return Split(inputs.to(device=device, dtype=dtype), labels[indices].to(device))

    return Data(
        train=build(images.train_images, images.train_labels, subset),
        val=build(images.train_images, images.train_labels, val),
        test=build(pixels, images.test_labels, test),
        classes=images.classes,
        fingerprint=images.fingerprint,
        normalize=normalize.to(device),
    )


AUGMENTATIONS: dict[str, Callable[..., torch.Tensor]] = {}
"""What each name of `data.augment` does to a batch, (images, generator, keys) to the same shape.

The project has none beside flips and crops, folders of levels do.
"""

# Random flips and shifts of a batch, as one index operation.


def augment(
    inputs: torch.Tensor, *, flip: bool, crop: int, generator: torch.Generator
) -> torch.Tensor:
    """Each image mirrored left to right with probability 1/2, and shifted.

    inputs: [N, C, H, W]. `crop` is the padding in pixels: the image is padded with zeros on all
    sides and cut back to its size at one of (2 crop + 1)^2 places (He et al. 2016, section 4.2);
    0 leaves it in place. Zeros are the mean of `standard`, `centre` and `pixel` inputs. The draws
    come from `generator`, shifts before flips, and none for what is off.
    """
    if not flip and crop == 0:
        return inputs
    num, channels, height, width = inputs.shape
    rows = torch.arange(height, device=inputs.device).expand(num, height)
    columns = torch.arange(width, device=inputs.device).expand(num, width)
    if crop:
        down, right = _draw(2 * crop + 1, (2, num, 1), generator, inputs.device)
        rows, columns = rows + down, columns + right
        inputs = F.pad(inputs, (crop, crop, crop, crop))
    if flip:
        mirrored = _draw(2, (num, 1), generator, inputs.device).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    return inputs[
        torch.arange(num, device=inputs.device)[:, None, None, None],
        torch.arange(channels, device=inputs.device)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _draw(
    choices: int, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Whole numbers below `choices`, drawn where the generator lives, on every device the same."""
    drawn = torch.randint(choices, shape, generator=generator, device=generator.device)
    return drawn.to(device)
