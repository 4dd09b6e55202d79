"""Which images a cell was trained, validated and tested on: what may be compared with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.outputs.records import CellRecord


def data_settings(cell: CellRecord) -> Mapping[str, Any]:
    """The keys of `data` of a finished cell's configuration."""
    keys: Mapping[str, Any] = cell.finished.config.get("data", {})
    return keys


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
    """The origin of a finished cell, by its record."""
    result = cell.finished
    data = data_settings(cell)
    split = tuple(
        (key, "null" if data[key] is None else str(data[key]))
        for key in origin_keys(data)
        if key in data
    )
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
