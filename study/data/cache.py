"""Decoded images kept beside their source as one safetensors file.

A cache is believed only if it was made from the source as it is now (the names, sizes and times of
its files, and what code decodes them where that is not the project's) and if its pixels and labels
still have the fingerprint it was written with. Any other cache is rebuilt, with a warning if it was
damaged. Reading one executes nothing.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from study.data.images import EMBEDDED_ROOT, Images, Source, fingerprint_of, shown
from study.files import parse_json, replacing
from study.locks import Lost, owned

FORMAT = "2"
_DTYPES = {
    "train_images": torch.uint8,
    "train_labels": torch.int64,
    "test_images": torch.uint8,
    "test_labels": torch.int64,
}
_log = logging.getLogger(__name__)
Kept = TypeVar("Kept")


class UntrustedCacheError(Exception):
    """Why a cache is not used, in a few words."""


class OutdatedCacheError(UntrustedCacheError):
    """A sound cache of something else: its source has changed since. Nobody need be told."""


def read_cached(
    source: Source, root: Path, path: Path, *, version: str = "", fresh: bool = False
) -> Images:
    """The images of `source` below `root`, from their cache at `path` where that can be trusted.

    `version` tells the code of a source from what it was before.
    `fresh` decodes and verifies the source whatever the cache says, and writes the cache again.
    Where the cache cannot be written, the images are decoded at every start, with a warning.
    """
    state = _state(source.files(root), root, version)
    if not fresh and (images := try_load(path, partial(_load, path, state), warn=False)):
        return images
    with locked(path) as writable:
        if not writable:
            return source.decode(root)
        return _decode_and_keep(source, root, path, version, fresh=fresh)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Ownership of a cache's directory; False, with a warning, where it cannot be had.

    Whoever waits for it finds the cache made. Directories that are made for it and stay empty, as
    of a data set that could not be fetched, are removed.
    """
    made = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(owned(path.parent, wait=True, files=(path.name,)))
        except OSError as error:
            _warn_unwritable(path, error)
            yield False
            return
        yield True


def _remove_empty(directories: list[Path]) -> None:
    """Removes directories, each inside the next, as far as they are empty."""
    with suppress(OSError):
        for directory in directories:
            directory.rmdir()


def _decode_and_keep(
    source: Source, root: Path, path: Path, version: str, *, fresh: bool
) -> Images:
    """Decode under the lock, unless another process did so while this one waited for it."""
    state = _state(source.files(root), root, version)
    if not fresh and (images := try_load(path, partial(_load, path, state), warn=True)):
        return images
    images = source.decode(root)
    if state != (state := _state(source.files(root), root, version)):
        # Downloaded or edited meanwhile: what is kept must be what the files hold now.
        images = source.decode(root)
    metadata = {
        "format": FORMAT,
        "source": state,
        "fingerprint": images.fingerprint,
        "classes": json.dumps(images.classes),
    }
    keep(path, images.tensors(), metadata)
    return images


def _state(files: list[str], root: Path, version: str) -> str:
    """SHA-256 of a version, and of the names below `root`, sizes and times of change of `files`."""
    digest = hashlib.sha256(version.encode())
    start = len(str(root))
    for file in files:
        status = os.stat(file)  # noqa: PTH116
        digest.update(os.fsencode(file[start:]))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def try_load(path: Path, load: Callable[[], Kept], *, warn: bool) -> Kept | None:
    """What `load` reads from a cache; None if there is none to trust, said aloud if `warn`."""
    if not path.exists():
        return None
    try:
        return load()
    except OutdatedCacheError:
        return None
    except UntrustedCacheError as reason:
        if warn:
            _log.warning("%s %s: making it again from its source", shown(path), reason)
        return None


def _load(path: Path, state: str) -> Images:
    """The cached images, or `UntrustedCacheError`."""

    def trust(metadata: Mapping[str, str]) -> None:
        if metadata["format"] != FORMAT or metadata["source"] != state:
            raise OutdatedCacheError("was not made from the present files")

    tensors, metadata = read_tensors(path, trust)
    if {name: tensor.dtype for name, tensor in tensors.items()} != _DTYPES:
        raise UntrustedCacheError("does not hold the tensors of a data set")
    try:
        classes = tuple(parse_json(metadata["classes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UntrustedCacheError(f"cannot be read ({_why(error)})") from error
    fingerprint = fingerprint_of(tensors, classes)
    if fingerprint != metadata.get("fingerprint"):
        raise UntrustedCacheError("is damaged: its pixels do not have its fingerprint")
    return Images(**tensors, classes=classes, fingerprint=fingerprint)


def read_tensors(
    path: Path, trust: Callable[[Mapping[str, str]], None]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """A cache's tensors and metadata, or `UntrustedCacheError`; `trust` sees the latter first."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            trust(metadata)
            # Copied out of the mapped file, which another process may replace.
            return {name: file.get_tensor(name).clone() for name in list(file.keys())}, metadata
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UntrustedCacheError(f"cannot be read ({_why(error)})") from error


def keep(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a cache, for the owner of its directory, or warns that it cannot be.

    Where the directory is not the repository's own, one line on standard error says so.
    """
    try:
        content = save(dict(tensors), metadata=dict(metadata))
        with replacing(path) as file:
            file.write(content)
    except (OSError, SafetensorError, Lost) as error:
        _warn_unwritable(path, error)
        return
    if path.is_relative_to(EMBEDDED_ROOT.absolute()):
        return
    line = f"{shown(path)} ({len(content) / 1e6:,.1f} MB) is kept, so that the next start is quick"
    print(f"{line}; data.cache=DIR keeps it elsewhere", file=sys.stderr, flush=True)


def _warn_unwritable(path: Path, error: Exception) -> None:
    _log.warning(
        "%s cannot be written (%s): it is not kept, and made at every start; "
        "data.cache=DIR keeps it elsewhere",
        shown(path),
        _why(error),
    )


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
