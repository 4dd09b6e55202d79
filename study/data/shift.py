"""Covariate shift: test images that are corrupted as no training image is.

Corruptions are of raw pixels, before normalization, and rounded to whole ones again, as a file of
corrupted images would be. What an image becomes depends on its place in the test set alone: it is
the same for every cell, seed and subset.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from study.errors import InputError

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
