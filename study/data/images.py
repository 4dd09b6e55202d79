"""Decoded images with their labels: what every source gives and every cache keeps."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from study.files import CHECKOUT

EMBEDDED_ROOT = CHECKOUT.resolve() / "data" if CHECKOUT else Path("data")
"""This repository's own directory of data, where git ignores what is made.

Where the package is installed: data/ in the directory that a command is typed in, as outputs/ is.
"""


@dataclass(frozen=True)
class Images:
    """A data set in memory, as its source has it: neither split nor normalized.

    `train_images` and `test_images` are uint8 [N, C, H, W] (0-255), `train_labels` and
    `test_labels` int64 [N], indices into `classes`. `fingerprint` is what `fingerprint_of` gives.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    classes: tuple[str, ...]
    fingerprint: str

    def tensors(self) -> dict[str, torch.Tensor]:
        return {
            "train_images": self.train_images,
            "train_labels": self.train_labels,
            "test_images": self.test_images,
            "test_labels": self.test_labels,
        }


class Source(Protocol):
    """Where images come from: files below a root, and the way to decode them."""

    def cache(self, root: Path) -> Path:
        """The file that keeps the decoded tensors, beside the source."""
        ...

    def files(self, root: Path) -> list[str]:
        """The files present now: their names, sizes and times are the state of the source.

        Strings below `root`: an image folder may have a million of them at every start.
        """
        ...

    def decode(self, root: Path) -> Images:
        """The images, decoded and verified; `InputError` names the file that prevents it."""
        ...


def fingerprint_of(tensors: dict[str, torch.Tensor], classes: tuple[str, ...]) -> str:
    """SHA-256 (hex) of the class names, the shapes, every pixel and every label.

    The same on every machine: labels are hashed as little-endian 64-bit integers.
    """
    shapes = {name: list(tensors[name].shape) for name in sorted(tensors)}
    header = json.dumps({"classes": classes, "shapes": shapes}, sort_keys=True)
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        values = tensors[name].numpy()
        if values.dtype != np.uint8:
            values = values.astype("<i8")
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def build_images(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    classes: tuple[str, ...],
) -> Images:
    """`Images` of (pixels, labels) for training and test, with their fingerprint."""
    tensors = {
        "train_images": train[0].contiguous(),
        "train_labels": train[1].long().contiguous(),
        "test_images": test[0].contiguous(),
        "test_labels": test[1].long().contiguous(),
    }
    return Images(**tensors, classes=classes, fingerprint=fingerprint_of(tensors, classes))


def shown(path: str | Path) -> str:
    """`path` as a message shows it: relative where it lies below the current directory."""
    path = Path(path).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
