"""The data sets by name, and the way to their images."""

import hashlib
import os
from pathlib import Path

from study.config.level_source import OWN, required_source
from study.data.cache import read_cached
from study.data.cifar import Cifar
from study.data.image_folder import ImageFolder
from study.data.images import EMBEDDED_ROOT, Images, Source, shown
from study.data.torchvision_sets import MnistFamily
from study.errors import InputError, unknown

__all__ = ["EMBEDDED_ROOT", "SOURCES", "cache_of", "read_images", "resolve_root"]

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
    "mnist": MnistFamily("MNIST", "MNIST", tuple("0123456789"), embedded=EMBEDDED_ROOT),
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
    return EMBEDDED_ROOT
