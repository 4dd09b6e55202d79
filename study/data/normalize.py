"""From pixels to what a network is fed, by statistics of the training split alone.

Every kind is one formula on raw pixels x (0-255), with buffers that a state_dict carries:
y = (x - offset) / divisor, then y <- matrix y (whitening) or y <- [y > threshold] (binary).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

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
from study.errors import InputError, unknown

FULL_SCALE = 255.0
IMAGES_PER_CHUNK = 1024
WHITENING_FORMAT = "1"


class Normalize(torch.nn.Module):
    """Raw images [N, C, H, W], uint8 or float with pixels 0-255, to inputs of the same shape.

    The inputs have the type of the buffers: float32, unless the module is converted.
    """

    offset: torch.Tensor
    divisor: torch.Tensor
    matrix: torch.Tensor | None
    threshold: torch.Tensor | None

    def __init__(
        self,
        *,
        offset: torch.Tensor,
        divisor: torch.Tensor,
        matrix: torch.Tensor | None = None,
        threshold: torch.Tensor | None = None,
    ) -> None:
        """`offset` and `divisor`: broadcast against [C, H, W]; `matrix`: [CHW, CHW] or None."""
        super().__init__()
        buffers = {
            "offset": offset,
            "divisor": divisor,
            "matrix": matrix,
            "threshold": threshold,
        }
        for name, value in buffers.items():
            self.register_buffer(name, None if value is None else value.float())

    @classmethod
    def from_state(cls, state: Mapping[str, torch.Tensor]) -> "Normalize":
        """The normalization whose `state_dict()` is `state`."""
        return cls(**{name: tensor.clone() for name, tensor in state.items()})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        inputs = (images.to(self.offset.dtype) - self.offset) / self.divisor
        if self.matrix is not None:
            inputs = (inputs.flatten(1) @ self.matrix.T).reshape(images.shape)
        if self.threshold is not None:
            inputs = (inputs > self.threshold).to(inputs.dtype)
        return inputs

    def in_chunks(self, images: torch.Tensor) -> torch.Tensor:
        """`forward`, some images at a time: a whole data set without large intermediate copies."""
        inputs = torch.empty(images.shape, dtype=self.offset.dtype, device=images.device)
        chunks = zip(images.split(IMAGES_PER_CHUNK), inputs.split(IMAGES_PER_CHUNK), strict=True)
        for pixels, target in chunks:
            target.copy_(self(pixels))
        return inputs


class _Moments(NamedTuple):
    """Sums of pixels and of their squares, float64: exact, as pixels are small integers."""

    num_values: int
    sums: torch.Tensor
    squares: torch.Tensor


# The kinds: statistics of training images, and what is made of them.


def _moments(images: torch.Tensor) -> _Moments:
    """Over the images, for each pixel: sums [C, H, W]."""
    sums = torch.zeros(images.shape[1:], dtype=torch.float64)
    squares = torch.zeros_like(sums)
    for chunk in images.split(IMAGES_PER_CHUNK):
        pixels = chunk.double()
        sums += pixels.sum(0)
        squares += pixels.square_().sum(0)
    return _Moments(len(images), sums, squares)


def _scaled(moments: _Moments) -> Normalize:
    """Mean 0 and population variance 1; what does not vary is divided by infinity, which is 0."""
    mean = moments.sums / moments.num_values
    variance = (
        moments.num_values * moments.squares - moments.sums.square()
    ) / moments.num_values**2
    deviation = variance.clamp(min=0).sqrt()
    never = torch.full_like(deviation, torch.inf)
    return Normalize(offset=mean, divisor=torch.where(deviation > 0, deviation, never))


def _standard(images: torch.Tensor, _: float) -> Normalize:
    count, sums, squares = _moments(images)
    pixels = images.shape[2] * images.shape[3]
    channel = (1, 2)
    return _scaled(
        _Moments(
            count * pixels, sums.sum(channel, keepdim=True), squares.sum(channel, keepdim=True)
        )
    )


def _pixel(images: torch.Tensor, _: float) -> Normalize:
    return _scaled(_moments(images))


def _centre(images: torch.Tensor, _: float) -> Normalize:
    moments = _moments(images)
    return Normalize(offset=moments.sums / moments.num_values, divisor=torch.tensor(FULL_SCALE))


def _whiten(images: torch.Tensor, epsilon: float) -> Normalize:
    """ZCA: W = U (S + epsilon)^(-1/2) U^T for the covariance U S U^T of x/255.

    Bell & Sejnowski 1997, "The 'independent components' of natural scenes are edge filters"; with
    epsilon as in Krizhevsky 2009, "Learning multiple layers of features", appendix A.
    """
    if not epsilon > 0:
        raise InputError(f"data.zca_epsilon={epsilon} must be positive: some pixels never vary")
    # Sums of products of pixels are integers far below 2^53: exact in any order, on any threads.
    count, size = len(images), images[0].numel()
    sums = torch.zeros(size, dtype=torch.float64)
    products = torch.zeros(size, size, dtype=torch.float64)
    for chunk in images.flatten(1).split(IMAGES_PER_CHUNK):
        pixels = chunk.double()
        sums += pixels.sum(0)
        products.addmm_(pixels.T, pixels)
    mean, covariance = sums / count, (count * products - torch.outer(sums, sums)) / count**2
    variances, directions = torch.linalg.eigh(covariance / FULL_SCALE**2)
    gains = (variances.clamp(min=0) + epsilon).rsqrt()
    return Normalize(
        offset=mean.reshape(images.shape[1:]),
        divisor=torch.tensor(FULL_SCALE),
        matrix=(directions * gains) @ directions.T,
    )


def _unit(images: torch.Tensor, _: float) -> Normalize:
    return Normalize(offset=torch.tensor(0.0), divisor=torch.tensor(FULL_SCALE))


def _binary(images: torch.Tensor, _: float) -> Normalize:
    return Normalize(
        offset=torch.tensor(0.0),
        divisor=torch.tensor(FULL_SCALE),
        threshold=torch.tensor(0.5),
    )


def _none(images: torch.Tensor, _: float) -> Normalize:
    return Normalize(offset=torch.tensor(0.0), divisor=torch.tensor(1.0))


IN_UNIT_INTERVAL = ("unit", "binary")
"""The normalizations whose inputs lie in [0, 1], whatever the images."""

NORMALIZATIONS: dict[str, Callable[[torch.Tensor, float], Normalize]] = {
    "standard": _standard,
    "centre": _centre,
    "pixel": _pixel,
    "whiten": _whiten,
    "unit": _unit,
    "binary": _binary,
    "none": _none,
}


def fit_normalization(kind: str, train_images: torch.Tensor, *, zca_epsilon: float) -> Normalize:
    """The normalization of this kind, with statistics of `train_images` (uint8 [N, C, H, W]).

    standard: each channel to mean 0, variance 1. centre: each pixel to mean 0, of x/255. pixel:
    each pixel to mean 0, variance 1; one that is constant to 0. whiten: ZCA of x/255, with
    `zca_epsilon` added to every variance. unit: x/255. binary: x/255 > 0.5. none: 0-255.
    """
    if kind not in NORMALIZATIONS:
        raise unknown("normalization", kind, NORMALIZATIONS)
    return NORMALIZATIONS[kind](train_images, zca_epsilon)


# Whitening fitted once and kept beside the images, as one safetensors file.


def fit_whitening(
    images: Images, train_indices: torch.Tensor, *, zca_epsilon: float, cache: Path
) -> Normalize:
    """ZCA of the training images of these indices, read from beside `cache` where it was kept.

    Fitting it to CIFAR takes a quarter of a minute: products of 3,072 pixels and their
    eigenvectors. A kept one is believed only if it is of the same images and epsilon, was fitted by
    the same kind of arithmetic (eigenvectors differ in the last bits between versions, thread
    counts and processors), and has the hash it was written with.

    `cache` is the file that keeps the data set's decoded images. Where nothing can be written, the
    statistics are computed at every start, with a warning.
    """
    key = _key(images.fingerprint, train_indices, zca_epsilon)
    path = cache.with_name(
        f"{cache.name.removesuffix('tensors.safetensors')}whiten-{key[:16]}.safetensors"
    )

    def trust(metadata: Mapping[str, str]) -> None:
        if metadata["format"] != WHITENING_FORMAT or metadata["key"] != key:
            raise OutdatedCacheError("is of other images")

    def load() -> Normalize:
        tensors, metadata = read_tensors(path, trust)
        if _sha256(tensors) != metadata.get("sha256"):
            raise UntrustedCacheError("is damaged: its numbers do not have its hash")
        return Normalize.from_state(tensors)

    if normalize := try_load(path, load, warn=False):
        return normalize
    with locked(path) as writable:
        if writable and (normalize := try_load(path, load, warn=True)):
            return normalize
        pixels = images.train_images[train_indices]
        normalize = fit_normalization("whiten", pixels, zca_epsilon=zca_epsilon)
        if writable:
            state = normalize.state_dict()
            keep(path, state, {"format": WHITENING_FORMAT, "key": key, "sha256": _sha256(state)})
    return normalize


def _key(fingerprint: str, train_indices: torch.Tensor, zca_epsilon: float) -> str:
    """SHA-256 of all that the last bit of the statistics depends on."""
    arithmetic = [
        torch.__version__,
        torch.get_num_threads(),
        torch.backends.cpu.get_cpu_capability(),
    ]
    header = json.dumps([WHITENING_FORMAT, fingerprint, float(zca_epsilon), *arithmetic])
    digest = hashlib.sha256(header.encode())
    digest.update(train_indices.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
