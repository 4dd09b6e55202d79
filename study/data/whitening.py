"""ZCA whitening fitted once and kept beside the images, as one safetensors file.

Fitting it to CIFAR takes a quarter of a minute: products of 3,072 pixels and their eigenvectors. A
kept one is believed only if it is of the same images and epsilon, was fitted by the same kind of
arithmetic (eigenvectors differ in the last bits between versions, thread counts and processors),
and has the hash it was written with.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from study.data.cache import (
    OutdatedCacheError,
    UntrustedCacheError,
    keep,
    locked,
    read_tensors,
    try_load,
)
from study.data.images import Images
from study.data.normalize import Normalize, fit_normalization

FORMAT = "1"
SUFFIX = "tensors.safetensors"


def fit_whitening(
    images: Images, train_indices: torch.Tensor, *, zca_epsilon: float, cache: Path
) -> Normalize:
    """ZCA of the training images of these indices, read from beside `cache` where it was kept.

    `cache` is the file that keeps the data set's decoded images. Where nothing can be written, the
    statistics are computed at every start, with a warning.
    """
    key = _key(images.fingerprint, train_indices, zca_epsilon)
    path = cache.with_name(f"{cache.name.removesuffix(SUFFIX)}whiten-{key[:16]}.safetensors")
    load = partial(_load, path, key)
    if normalize := try_load(path, load, warn=False):
        return normalize
    with locked(path) as writable:
        if writable and (normalize := try_load(path, load, warn=True)):
            return normalize
        pixels = images.train_images[train_indices]
        normalize = fit_normalization("whiten", pixels, zca_epsilon=zca_epsilon)
        if writable:
            state = normalize.state_dict()
            keep(path, state, {"format": FORMAT, "key": key, "sha256": _sha256(state)})
    return normalize


def _key(fingerprint: str, train_indices: torch.Tensor, zca_epsilon: float) -> str:
    """SHA-256 of all that the last bit of the statistics depends on."""
    arithmetic = [
        torch.__version__,
        torch.get_num_threads(),
        torch.backends.cpu.get_cpu_capability(),
    ]
    header = json.dumps([FORMAT, fingerprint, float(zca_epsilon), *arithmetic])
    digest = hashlib.sha256(header.encode())
    digest.update(train_indices.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _load(path: Path, key: str) -> Normalize:
    """The kept normalization, or `UntrustedCacheError`."""

    def trust(metadata: Mapping[str, str]) -> None:
        if metadata["format"] != FORMAT or metadata["key"] != key:
            raise OutdatedCacheError("is of other images")

    tensors, metadata = read_tensors(path, trust)
    if _sha256(tensors) != metadata.get("sha256"):
        raise UntrustedCacheError("is damaged: its numbers do not have its hash")
    return Normalize.from_state(tensors)


def _sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
