"""Files that are whole or absent: written beside their name, flushed, then renamed.

On disk, too: a file's content is there before its name is, and the name when the writer returns.
In a directory that another process has taken over from this one nothing is written, renamed or
removed any more: `Lost`.
"""

import contextlib
import csv
import errno
import hashlib
import io
import itertools
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from study.errors import InputError
from study.locks import partial_path, still_ours

PACKAGE = Path(__file__).parent
CHECKOUT = None if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""The source tree that the package is run from; None where it is installed, with conf/ inside."""
MAX_DEPTH = 50
"""Of lists and objects in each other: five times what any record needs."""
TOO_DEEP = f"it is nested more than {MAX_DEPTH} deep"
PARTIAL = ".*.partial"
"""How a file is called that is not yet whole, or never became so."""
_UNWRITABLE = {
    *(errno.EACCES, errno.EDQUOT, errno.ENAMETOOLONG, errno.ENOSPC, errno.EPERM, errno.EROFS),
}
_NOT_SYNCED = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP}
"""What systems say that do not flush a directory, or not this one."""
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 1000
"""Of one name, as file systems have it, and of a path, below which a study's own names follow."""

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters: control characters, bytes that are no UTF-8, ends of lines."""
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, in any directory and with any suffix."""
PATH_EXPECTS = (
    "a path: its names without control characters and marks of direction, of at most "
    f"{MAX_NAME_BYTES} bytes each and {MAX_PATH_BYTES} in all, none of Windows' own (CON)"
)


def checked_path(value: Any) -> str:
    """A path of names that are what they look like, and which are there or can be made.

    ValueError for any other value, which is not what `PATH_EXPECTS` says.
    """
    if not isinstance(value, str) or not value:
        raise ValueError
    if any(mark in _DIRECTION_MARKS or unicodedata.category(mark) in _UNSEEN for mark in value):
        raise ValueError
    names = Path(value).parts
    too_long = any(len(os.fsencode(name)) > MAX_NAME_BYTES for name in names)
    if too_long or len(os.fsencode(value)) > MAX_PATH_BYTES:
        raise ValueError
    for end, name in enumerate(names, start=1):
        if DEVICE.fullmatch(name) and not Path(*names[:end]).is_dir():
            raise ValueError
    return value


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes `path`'s place when the block ends, and never half-written.

    Raises OSError, which names the file, where it cannot be, and `Lost` where the directory is no
    longer this process's; what was there then stays.
    """
    temporary = partial_path(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        still_ours(path.parent)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            still_ours(path.parent)
        if str(error.filename or temporary) == str(temporary):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Makes the names in a directory last, where the system can."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def remove(path: Path) -> None:
    """Removes a file, if it is there; `Lost` where the directory is no longer this process's."""
    still_ours(path.parent)
    path.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Renames a file; `Lost` where its directory is no longer this process's."""
    still_ours(path.parent)
    path.replace(target)


def make_directory(path: Path, *, within: Path | None = None) -> Path:
    """Makes a directory, and its parents, unless it is there.

    Raises `InputError` if symbolic links lead it out of `within`, OSError where it cannot be made.
    """
    if within is not None and not path.resolve().is_relative_to(within.resolve()):
        raise InputError(f"{path} leads out of {within}, by a symbolic link; remove the link")
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)
    return path


def unwritable(error: OSError) -> str | None:
    """One line on a disk that is full, read-only, another's or too deep; None for other errors."""
    if error.errno not in _UNWRITABLE:
        return None
    return f"cannot write {error.filename or 'a file'}: {error.strerror}"


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


def writable_directory(path: Path, *, within: Path | None = None) -> Path:
    """`make_directory`; raises `InputError` where the directory cannot be written to."""
    try:
        make_directory(path, within=within)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {path}: {error.strerror or error}; "
            "choose another with outputs_dir=DIR"
        ) from None
    return path


def parse_json(text: str | bytes, **options: Any) -> Any:
    """The JSON value of a text that anybody may have written, by `json.loads` and its `options`.

    ValueError, too, where it is nested deeper than MAX_DEPTH: whoever reads it may walk through it.
    """
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    require_shallow(value)
    return value


def require_shallow(value: Any) -> None:
    """ValueError where lists and mappings are nested deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nests = {id(each): each for each in level if isinstance(each, dict | list)}
        if not nests:
            return
        inner = (each.values() if isinstance(each, dict) else each for each in nests.values())
        level = list(itertools.chain.from_iterable(inner))
    raise ValueError(TOO_DEEP)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError says what is wrong with it, OSError as raised."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"it holds {constant}, which is not JSON")

    text = path.read_bytes()
    try:
        content = parse_json(text, parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = "it is empty" if not text.strip() else f"truncated or not JSON: {error}"
        raise ValueError(reason) from None
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content
