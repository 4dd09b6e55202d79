"""A cell's config.yaml, where it is the file that its record names: whole, or what is asked often.

A whole file takes about 1 ms to parse, and a report asks thousands of cells for a few keys.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from study.outputs.readings import parsed_yaml, verified
from study.outputs.records import CellRecord

CONFIG = "config.yaml"
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
    return (cell.result or {}).get("files", {}).get(CONFIG)


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
