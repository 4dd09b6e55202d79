"""Which images a cell was trained, validated and tested on: what may be compared with what."""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from study.outputs.records import CellRecord
from study.outputs.series import parsed_yaml, verified

# A cell's config.yaml, where it is the file that its record names: whole, or what is asked often.
#
# A whole file takes about 1 ms to parse, and a report asks thousands of cells for a few keys.


CONFIG = "config.yaml"
TRAINING_IMAGES = {
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "kmnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
}
"""The images of each data set, by `data.name`, of which training and validation are taken."""
TEST_IMAGES = 10_000
"""Those of the test set of each of them."""
_DATA = re.compile(r"^data:\n((?:[ -].*\n)+)", re.MULTILINE)
_BATCH_SIZE = re.compile(r"^batch_size: (\d+)$", re.MULTILINE)


class _Few(NamedTuple):
    """The keys that are asked often."""

    data: Mapping[str, Any]
    batch_size: int | None


def settings_of_cell(cell: CellRecord) -> Mapping[str, Any]:
    """All keys; none where the file is not what the record names."""
    known = _known(cell)
    return {} if known is None else _whole(cell.path / CONFIG, known)


def data_settings(cell: CellRecord) -> Mapping[str, Any]:
    """The keys of `data`; none where the file is not what the record names."""
    return _few(cell).data


def batch_size(cell: CellRecord) -> int | None:
    """The batch size; None where the file is not what the record names."""
    return _few(cell).batch_size


def _few(cell: CellRecord) -> _Few:
    known = _known(cell)
    return _Few({}, None) if known is None else _found(cell.path / CONFIG, known)


def _known(cell: CellRecord) -> str | None:
    return cell.result.files.get(CONFIG) if cell.result else None


def _text(path: Path, known: str) -> str:
    """The file; nothing where it is not sound."""
    try:
        return verified(path, known).decode("utf-8")
    except ValueError:
        return ""


@functools.lru_cache(maxsize=10_000)
def _whole(path: Path, known: str) -> Mapping[str, Any]:
    return _parsed(_text(path, known))


@functools.lru_cache(maxsize=100_000)
def _found(path: Path, known: str) -> _Few:
    text = _text(path, known)
    data, batch = _DATA.search(text), _BATCH_SIZE.search(text)
    return _Few(_parsed(data[1]) if data else {}, int(batch[1]) if batch else None)


@functools.lru_cache
def _parsed(text: str) -> Mapping[str, Any]:
    # One block stands in thousands of cells: it is parsed once.
    return dict(parsed_yaml(text) or {})


TRAINING_IMAGES = {
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "kmnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
}
"""The images of each data set, by `data.name`, of which training and validation are taken."""
TEST_IMAGES = 10_000
"""Those of the test set of each of them."""


def training_images(data: Mapping[str, Any]) -> int | None:
    """How many images train a network with these keys of `data`; None where that is not known."""
    if data.get("train_size"):
        return int(data["train_size"])
    total, held_out = TRAINING_IMAGES.get(data.get("name", "")), data.get("val_size", 0)
    if total is None:
        return None
    return total - (int(held_out) if held_out >= 1 else math.floor(held_out * total + 0.5))


def test_images(data: Mapping[str, Any]) -> int | None:
    """How many images test a network with these keys of `data`; None where that is not known."""
    whole = TEST_IMAGES if data.get("name") in TRAINING_IMAGES else None
    return data.get("test_size") or whole


SPLIT_KEYS = ("val_size", "test_size", "split_seed")
"""The keys of `data` that decide which images validate and test."""
SHIFT, SHIFT_KEYS = "test_shift", ("test_shift", "test_shift_strength")
"""The keys of `data` that corrupt the test images; those of older cells are as they are."""


@dataclass(frozen=True)
class Origin:
    """The data of a cell: their fingerprint, how they are split, and what is learned of them.

    Two cells of one origin have the same test and validation images, so that their errors can be
    compared, image by image too. Test images that are shifted otherwise are other images. The size
    of the training set is no part of it: it is a factor.
    """

    fingerprint: str
    split: tuple[tuple[str, str], ...]
    task: str

    @property
    def is_shifted(self) -> bool:
        """Whether the test images are corrupted."""
        return any(key == SHIFT for key, _ in self.split)

    @property
    def words(self) -> str:
        """Such as `data 67f90015, val_size=5000, test_size=null, split_seed=0`."""
        split = [f"{key}={value}" for key, value in self.split]
        named = f"data {self.fingerprint[:8]}" if self.fingerprint else "data without fingerprint"
        return ", ".join([named, *split, self.task])


def origin_of(cell: CellRecord) -> Origin:
    """The origin of a finished cell, by its record and the config.yaml that the record names."""
    result = cell.finished
    data = data_settings(cell)
    split = tuple((key, _origins_text(data[key])) for key in origin_keys(data) if key in data)
    return Origin(result.provenance.data_fingerprint, split, result.task)


def origin_keys(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of `data` by which test and validation images are the same or others."""
    is_shifted = data.get(SHIFT, "none") != "none"
    return (*SPLIT_KEYS, *SHIFT_KEYS) if is_shifted else SPLIT_KEYS


def by_origin(cells: Sequence[CellRecord]) -> dict[Origin, list[CellRecord]]:
    """The finished cells by origin, origins and cells as they come."""
    groups: dict[Origin, list[CellRecord]] = {}
    for cell in cells:
        if cell.result:
            groups.setdefault(origin_of(cell), []).append(cell)
    return groups


def _origins_text(value: Any) -> str:
    return "null" if value is None else str(value)
