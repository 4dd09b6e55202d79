"""Files that are whole or absent: written beside their name, flushed, then renamed."""

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from study.errors import InputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes `path`'s place when the block ends, and never half-written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, its line ends as they are on every platform."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON; numbers must be finite."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows under a header; a number that is not finite is left empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: finite(row[name]) for name in columns} for row in rows)
    write_text(path, buffer.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes NumPy arrays as a compressed npz, the same bytes for the same arrays."""
    import numpy as np

    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Writes tensors as safetensors."""
    from safetensors.torch import save

    with replacing(path) as file:
        file.write(save(dict(tensors), dict(metadata)))


def finite(value: Any) -> Any:
    """The value, or `None` for a float that is not finite (JSON has no word for it)."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def writable_directory(path: Path) -> Path:
    """Makes the directory; raises `InputError` where it cannot be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"cannot write to {path}: {error.strerror or error}; "
            "choose another with outputs_dir=DIR"
        ) from None
    return path
