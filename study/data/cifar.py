"""CIFAR, from its authors' batches or from a folder of images: the same data set either way.

Batches and folders have the images in different orders, and which are drawn for validation or for
a small training set depends on the order. So they are put in one that depends on nothing but the
images: by their SHA-256.
"""

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from study.data.image_folder import ImageFolder, find_classes, read_splits
from study.data.images import Images, build_images
from study.data.torchvision_sets import CONNECT, fault, load, torchvision_class
from study.errors import InputError

_BATCHES = {
    "CIFAR10": [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"],
    "CIFAR100": ["train", "test", "meta"],
}


@dataclass(frozen=True)
class Cifar:
    """Pickled batches in `root/FOLDER`, each verified by torchvision before it is read.

    Where there are none, `root/IMAGES/train/CLASS/*.png` and `root/IMAGES/test/CLASS/*.png`.
    """

    folder: str
    images: str
    dataset: str

    def cache(self, root: Path) -> Path:
        return root / (self.images if self._by_image(root) else self.folder) / "tensors.safetensors"

    def files(self, root: Path) -> list[str]:
        if self._by_image(root):
            return ImageFolder().files(root / self.images)
        return self._batches(root)

    def decode(self, root: Path) -> Images:
        if self._by_image(root):
            classes = find_classes(root / self.images)
            train, test = read_splits(root / self.images, classes)
            return build_images(in_order(*train), in_order(*test), classes=classes)
        try:
            train_set, test_set = load(self.dataset, root)
        except (RuntimeError, OSError, HTTPException) as error:
            raise InputError(self._explain(root, error)) from error
        train, test = in_order(*_pixels(train_set)), in_order(*_pixels(test_set))
        return build_images(train, test, classes=tuple(train_set.classes))

    def _batches(self, root: Path) -> list[str]:
        known = [root / self.folder / name for name in _BATCHES[self.dataset]]
        return [str(path) for path in known if path.is_file()]

    def _by_image(self, root: Path) -> bool:
        return not self._batches(root) and (root / self.images / "train").is_dir()

    def _explain(self, root: Path, error: Exception) -> str:
        dataset = torchvision_class(self.dataset)
        batches = [
            *dataset.train_list,
            *dataset.test_list,
            (dataset.meta["filename"], dataset.meta["md5"]),
        ]
        sums = [(root / self.folder / name, md5) for name, md5 in batches]
        archive = (root / dataset.filename, dataset.tgz_md5)
        present = [entry for entry in sums if entry[0].exists()]
        return fault(sums if present else [archive], error, CONNECT)


def in_order(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 [N, C, H, W] and labels [N], ordered by each image's SHA-256, then its label."""
    pixels = images.contiguous().numpy()
    keys = [
        (hashlib.sha256(image).digest(), int(label))
        for image, label in zip(pixels, labels, strict=True)
    ]
    order = torch.tensor(sorted(range(len(keys)), key=keys.__getitem__))
    return images[order], labels[order]


def _pixels(dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """CIFAR's arrays [N, H, W, C] and list of labels as tensors [N, C, H, W] and [N]."""
    return torch.from_numpy(dataset.data).permute(0, 3, 1, 2), torch.tensor(dataset.targets)
