"""The data sets by name, and the way to their images."""

import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from study.config.level_source import OWN, required_source
from study.data.cache import read_cached
from study.data.image_folder import ImageFolder, find_classes, read_splits
from study.data.images import EMBEDDED_ROOT, Images, Source, build_images, shown
from study.data.torchvision_sets import CONNECT, MnistFamily, fault, load, torchvision_class
from study.errors import InputError, unknown
from study.files import CHECKOUT

# CIFAR, from its authors' batches or from a folder of images: the same data set either way.
#
# Batches and folders have the images in different orders, and which are drawn for validation or for
# a small training set depends on the order. So they are put in one that depends on nothing but the
# images: by their SHA-256.


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


_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

SOURCES: dict[str, Source] = {
    "mnist": MnistFamily(
        "MNIST", "MNIST", tuple("0123456789"), embedded=CHECKOUT and EMBEDDED_ROOT
    ),
    "fashion_mnist": MnistFamily("FashionMNIST", "FashionMNIST", _FASHION),
    "kmnist": MnistFamily(
        "KMNIST", "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    ),
    "cifar10": Cifar("cifar-10-batches-py", "cifar10", "CIFAR10"),
    "cifar100": Cifar("cifar-100-python", "cifar100", "CIFAR100"),
    "image_folder": ImageFolder(),
}


def read_images(
    name: str,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    fresh: bool = False,
) -> Images:
    """The images of data set `name` below `root`, decoded once and then read from a cache.

    Without a `root`, the data sets that torchvision knows are kept in this repository's `data/`;
    an image folder must be told. `cache` is the directory that keeps the decoded images, if not
    beside them. `fresh` verifies and decodes the source again. `InputError`: an unknown name, no
    root, or a file that is missing, corrupted or unlike the others.
    """
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    own = name in OWN["data.name"]
    version = "" if own else required_source("data.name", name).sha256
    source, directory = SOURCES[name], resolve_root(name, root)
    path = cache_of(name, directory, cache)
    return read_cached(source, directory, path, version=version, fresh=fresh)


def cache_of(name: str, root: Path, cache: str | Path | None = None) -> Path:
    """The file that keeps the decoded images of data set `name` below the absolute `root`.

    In a directory `cache` it is named after the data set and the root's path, so that one
    directory serves many of them; without one it lies where the source has it.
    """
    if cache is None:
        return SOURCES[name].cache(root)
    directory = Path(cache).expanduser().absolute()
    if directory.exists() and not directory.is_dir():
        raise InputError(f"data.cache={shown(directory)} is not a directory")
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return directory / f"{name}-{digest[:16]}-tensors.safetensors"


def resolve_root(name: str, root: str | Path | None) -> Path:
    """The directory that `data.root` means for data set `name`, absolute."""
    if root is not None:
        path = Path(os.path.expanduser(root)).absolute()  # noqa: PTH111
        if name == "image_folder" and not path.is_dir():
            raise InputError(f"data.root={shown(path)} is not a directory")
        return path
    if name == "image_folder":
        raise InputError(
            "data.root is not set: data=image_folder needs data.root=DIR, "
            "with images in DIR/train/CLASS/ and DIR/test/CLASS/"
        )
    return EMBEDDED_ROOT.absolute()
