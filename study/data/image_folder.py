"""Anybody's own images, in one folder a class.

`root/train/CLASS/*` and `root/test/CLASS/*`, found as torchvision.datasets.ImageFolder finds them
(classes in alphabetical order, sub-folders included), but for hidden names, which are passed over.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from study.data.images import Images, build_images, shown
from study.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MAX_THREADS = 8
IMAGES_PER_TASK = 256


@dataclass(frozen=True)
class ImageFolder:
    """Images of one size, all grey or all RGB, 8 bits a channel.

    Bilevel images count as grey, and so do palette images without a colour; other palette images
    count as RGB. An alpha channel is dropped where it is opaque everywhere, and refused elsewhere.
    """

    def cache(self, root: Path) -> Path:
        return root / ".study-tensors.safetensors"

    def files(self, root: Path) -> list[str]:
        classes = find_classes(root)
        return [
            path
            for split in ("train", "test")
            for name in classes
            for path in find_images(root / split / name)
        ]

    def decode(self, root: Path) -> Images:
        classes = find_classes(root)
        return build_images(*read_splits(root, classes), classes=classes)


def read_splits(
    root: Path, classes: tuple[str, ...]
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Pixels uint8 [N, C, H, W] and labels int64 [N] of train/ and of test/."""
    train, train_labels = _labelled(root / "train", classes)
    test, test_labels = _labelled(root / "test", classes)
    pixels = read_pixels(train + test)
    return (pixels[: len(train)], train_labels), (pixels[len(train) :], test_labels)


def _labelled(folder: Path, classes: tuple[str, ...]) -> tuple[list[str], torch.Tensor]:
    found = [find_images(folder / name) for name in classes]
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(x) for x in found]))
    return [path for paths in found for path in paths], labels


def find_classes(root: Path) -> tuple[str, ...]:
    """The class folders, in alphabetical order: the same below train/ and test/."""
    names = {split: _folders(root, split) for split in ("train", "test")}
    for here, there in (("train", "test"), ("test", "train")):
        missing = sorted(set(names[here]) - set(names[there]))
        if missing:
            raise InputError(
                f"class {missing[0]!r} is in {shown(root / here)} and missing from "
                f"{shown(root / there)}: both need the same class folders"
            )
    return tuple(names["train"])


def _folders(root: Path, split: str) -> list[str]:
    folder = root / split
    if not folder.is_dir():
        raise InputError(
            f"{shown(root)} has no {split}/ folder: an image folder holds train/CLASS/* "
            "and test/CLASS/*"
        )
    names = sorted(x.name for x in folder.iterdir() if x.is_dir() and not x.name.startswith("."))
    if not names:
        raise InputError(f"{shown(folder)} has no class folders: put its images in one a class")
    return names


def left_out(root: Path) -> list[str]:
    """The files below train/ and test/ that are no class's images: hidden, other kinds, astray."""
    used = set(ImageFolder().files(root))
    return [
        path
        for split in ("train", "test")
        for directory, _, names in sorted(os.walk(root / split, followlinks=True))
        for name in sorted(names)
        if (path := os.path.join(directory, name)) not in used  # noqa: PTH118
    ]


def find_images(folder: Path) -> list[str]:
    """The images of one class, in ImageFolder's order; an empty class is an `InputError`."""
    found = []
    for directory, _, names in sorted(os.walk(folder, followlinks=True)):
        if any(part.startswith(".") for part in Path(directory).relative_to(folder).parts):
            continue
        images = (x for x in names if x.lower().endswith(EXTENSIONS) and not x.startswith("."))
        found += [os.path.join(directory, name) for name in sorted(images)]  # noqa: PTH118
    if not found:
        raise InputError(
            f"class folder {shown(folder)} is empty: it needs at least one image "
            f"({', '.join(EXTENSIONS)})"
        )
    return found


def read_pixels(paths: list[str]) -> torch.Tensor:
    """uint8 [N, C, H, W] of image files that must agree in size and in channels."""
    first = read_image(paths[0])
    pixels = np.empty((len(paths), *first.shape), dtype=np.uint8)

    def read_some(start: int) -> None:
        for index in range(start, min(start + IMAGES_PER_TASK, len(paths))):
            image = read_image(paths[index])
            if image.shape != first.shape:
                raise _mismatch(paths[0], first, paths[index], image)
            pixels[index] = image

    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        try:
            # Of several errors that of the earliest images is raised.
            list(pool.map(read_some, range(0, len(paths), IMAGES_PER_TASK)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(pixels)


def _mismatch(path: str, image: np.ndarray, other: str, another: np.ndarray) -> InputError:
    if image.shape[1:] != another.shape[1:]:
        (height, width), (other_height, other_width) = image.shape[1:], another.shape[1:]
        return InputError(
            f"images must have one size: {shown(path)} is {width} x {height} pixels, "
            f"{shown(other)} is {other_width} x {other_height}"
        )
    kinds = {1: "grey", 3: "RGB"}
    return InputError(
        f"images must be all grey or all RGB: {shown(path)} is {kinds[len(image)]}, "
        f"{shown(other)} is {kinds[len(another)]}"
    )


def read_image(path: str) -> np.ndarray:
    """uint8 [C, H, W] of one file, C = 1 (grey) or 3 (RGB)."""
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # Broken bytes make Pillow raise whatever they lead it to.
        reason = " ".join(str(error).split())
        raise InputError(f"{shown(path)} cannot be read as an image: {reason}") from error
    array = np.asarray(_grey_or_rgb(image, path))
    return array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)


def _grey_or_rgb(image: Image.Image, path: str) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P" and "transparency" not in image.info:
        return _without_unused_colour(image.convert("RGB"))
    if image.mode in ("P", "PA", "LA", "RGBA"):
        return _without_alpha(image, path)
    raise InputError(
        f"{shown(path)} has pixels of kind {image.mode!r}: save it as grey or RGB, 8 bits a channel"
    )


def _without_unused_colour(image: Image.Image) -> Image.Image:
    red, green, blue = np.moveaxis(np.asarray(image), 2, 0)
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return image.getchannel(0) if grey else image


def _without_alpha(image: Image.Image, path: str) -> Image.Image:
    full = image.convert("RGBA")
    if full.getchannel("A").getextrema() != (255, 255):
        raise InputError(f"{shown(path)} is partly transparent: save it without an alpha channel")
    if image.mode == "LA":
        return image.getchannel("L")
    colours = full.convert("RGB")
    return colours if image.mode == "RGBA" else _without_unused_colour(colours)
