"""Decoded images kept beside their source as one safetensors file.

A cache is believed only if it was made from the source as it is now (the names, sizes and times of
its files) and if its pixels and labels still have the fingerprint it was written with. Any other
cache is rebuilt. Reading one executes nothing.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

import torch
from filelock import FileLock
from filelock import Timeout as LockTimeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from study.data.images import Images, fingerprint_of
from study.data.source import Source, shown

FORMAT = "1"
LOCK_SECONDS = 600
_DTYPES = {
    "train_images": torch.uint8,
    "train_labels": torch.int64,
    "test_images": torch.uint8,
    "test_labels": torch.int64,
}
_log = logging.getLogger(__name__)


class UntrustedCacheError(Exception):
    """Why a cache is not used, in a few words."""


def read_cached(source: Source, root: Path, *, fresh: bool = False) -> Images:
    """The images of `source`, from its cache where that can be trusted.

    `fresh` decodes and verifies the source whatever the cache says, and writes the cache again.
    Where the cache cannot be written, the images are decoded at every start, with a warning.
    """
    files = source.files(root)
    path = source.cache(root)
    if not fresh and (images := _try_load(path, _state(files, root), warn=False)):
        return images
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock", timeout=LOCK_SECONDS)
        lock.acquire()
    except (OSError, NotImplementedError, LockTimeout) as error:
        _log.warning("%s cannot be written (%s): it is not kept", shown(path), _why(error))
        return source.decode(root)
    try:
        return _decode_and_keep(source, root, path, fresh=fresh)
    finally:
        lock.release()


def _decode_and_keep(source: Source, root: Path, path: Path, *, fresh: bool) -> Images:
    """Decode under the lock, unless another process did so while this one waited for it."""
    state = _state(source.files(root), root)
    if not fresh and (images := _try_load(path, state, warn=True)):
        return images
    images = source.decode(root)
    if state != (state := _state(source.files(root), root)):
        # Downloaded or edited meanwhile: what is kept must be what the files hold now.
        images = source.decode(root)
    try:
        _save(images, path, state)
    except (OSError, SafetensorError) as error:
        _log.warning("%s cannot be written (%s): it is not kept", shown(path), _why(error))
    return images


def _state(files: list[str], root: Path) -> str:
    """SHA-256 of the names below `root`, the sizes and the modification times of `files`."""
    digest = hashlib.sha256()
    start = len(str(root))
    for file in files:
        status = os.stat(file)  # noqa: PTH116
        digest.update(os.fsencode(file[start:]))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _try_load(path: Path, state: str, *, warn: bool) -> Images | None:
    if not path.exists():
        return None
    try:
        return _load(path, state)
    except UntrustedCacheError as reason:
        if warn:
            _log.warning("%s %s: decoding its source again", shown(path), reason)
        return None


def _load(path: Path, state: str) -> Images:
    """The cached images, or `UntrustedCacheError`."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("source") != state:
                raise UntrustedCacheError("was not made from the present files")
            # Copied out of the mapped file, which another process may replace.
            tensors = {name: file.get_tensor(name).clone() for name in _DTYPES}
        classes = tuple(json.loads(metadata["classes"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UntrustedCacheError(f"cannot be read ({_why(error)})") from error
    if {name: tensor.dtype for name, tensor in tensors.items()} != _DTYPES:
        raise UntrustedCacheError("does not hold the tensors of a data set")
    fingerprint = fingerprint_of(tensors, classes)
    if fingerprint != metadata.get("fingerprint"):
        raise UntrustedCacheError("is damaged: its pixels do not have its fingerprint")
    return Images(**tensors, classes=classes, fingerprint=fingerprint)


def _save(images: Images, path: Path, state: str) -> None:
    """Write under a temporary name, make it durable, rename: a reader sees all of it or nothing."""
    metadata = {
        "format": FORMAT,
        "source": state,
        "fingerprint": images.fingerprint,
        "classes": json.dumps(images.classes),
    }
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(save(images.tensors(), metadata=metadata))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
