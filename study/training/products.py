"""The products of dense layers, by PyTorch or by NumPy's BLAS.

PyTorch for x86 multiplies with MKL, which takes AVX2 kernels on processors that are not Intel's.
NumPy brings OpenBLAS, which takes AVX-512 ones on every processor that has them, and is several
times as fast where a matrix has as many columns as there are classes. Which of the two a cell uses
is said by its configuration, its processor and NumPy's library, never by a clock.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from study.config.configuration import Config
from study.errors import InputError
from study.outputs.provenance import code_and_machine

AVX512 = frozenset({"SkylakeX", "Cooperlake", "SapphireRapids"})
"""The kernels of OpenBLAS that use it, as it names them."""
FULL_WIDTH_FAMILY = 26
"""Of AMD's processors (Zen 5): from it on, AVX-512 does twice as much a cycle as AVX2."""
LARGE = 65_536
"""Weights of a layer whose product, of one network, outweighs the call."""

# The stated rule.


def library_of(
    config: Config, device: torch.device, network: nn.Module, groups: Sequence[Sized]
) -> str:
    """`torch` or `numpy`: what multiplies the dense layers of a population of such networks.

    `population.products=auto` is NumPy's for float32 on an AMD processor whose OpenBLAS has an
    AVX-512 kernel, if some of the groups are stacks, or a layer is large and the processor has
    AVX-512 at full width: elsewhere the calls, longer than PyTorch's, cost one network more than
    they bring. `InputError` where `numpy` is asked for and cannot be had.
    """
    asked, kept = config.population.products, _only_torch(config, device)
    if asked == "numpy" and kept:
        raise InputError(
            f"population.products=numpy: {kept}; leave population.products at auto, which "
            "multiplies by PyTorch there"
        )
    if asked != "auto":
        return asked
    is_single = not kept and config.trainer.precision == "32-true"
    is_wider = is_single and is_amd() and has_avx512()
    return "numpy" if is_wider and (has_stack(groups) or is_large(network)) else "torch"


def _only_torch(config: Config, device: torch.device) -> str | None:
    if device.type != "cpu":
        return f"NumPy multiplies on a CPU, not on {device}"
    if config.trainer.precision not in ("32-true", "64-true"):
        return f"NumPy does not multiply in trainer.precision={config.trainer.precision}"
    if config.population.compile:
        return "population.compile=true compiles the products of PyTorch"
    return None


def is_amd() -> bool:
    return "AMD" in code_and_machine()["processor"]


def has_avx512() -> bool:
    """Whether NumPy's BLAS is OpenBLAS with a kernel of AVX-512."""
    return blas().get("architecture") in AVX512


def has_stack(groups: Sequence[Sized]) -> bool:
    return any(len(group) > 1 for group in groups)


def is_large(network: nn.Module) -> bool:
    """Whether NumPy's products are faster of one network, its calls counted in."""
    family = str(code_and_machine()["processor_model"]).partition(",")[0].removeprefix("family ")
    layers = [each for each in network.modules() if isinstance(each, nn.Linear)]
    largest = max((layer.weight.numel() for layer in layers), default=0)
    return family.isdecimal() and int(family) >= FULL_WIDTH_FAMILY and largest >= LARGE


def described(library: str) -> str:
    """As a record has it: `torch`, or such as `numpy (OpenBLAS 0.3.31, SkylakeX)`."""
    if library == "torch":
        return library
    own = blas()
    name = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS"}.get(own.get("internal_api", ""))
    words = [f"{name} {own.get('version')}", own.get("architecture")] if name else ["its own BLAS"]
    return f"numpy ({', '.join(word for word in words if word)})"


# NumPy's BLAS, and its threads.


@functools.cache
def _controller() -> ThreadpoolController:
    """Of NumPy's own library alone: SciPy brings another."""
    loaded = ThreadpoolController().select(user_api="blas")
    paths = [each.filepath for each in loaded.lib_controllers]
    own = [path for path in paths if {"numpy", "numpy.libs"} & set(Path(path).parts[-3:-1])]
    return loaded.select(filepath=own or paths[:1])


@functools.cache
def blas() -> dict[str, Any]:
    """What threadpoolctl says of NumPy's BLAS; empty where it knows of none."""
    found: list[dict[str, Any]] = _controller().info()
    return found[0] if found else {}


@contextlib.contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """Within it a product of NumPy's takes so many threads, whichever worker calls it."""
    with _controller().limit(limits=number):
        yield


# A dense layer by NumPy.


def multiplies(x: Tensor, weight: Tensor) -> bool:
    """Whether NumPy can: both in float32 or both in float64, on the CPU, and computed in it."""
    return (
        x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.float64)
        and x.device.type == weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    )


def dense(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x weight + bias` of K layers: [S, N, in], [K, in, out], [K, out] -> [K, N, out].

    S divides K: x[s] is what replicas s, s + S, s + 2 S, ... are fed. Each replica's products are
    calls of their own, so that on one thread their bits depend on no other.
    """
    outputs: Tensor = _Dense.apply(x, weight, bias)
    return outputs


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        outputs = x.new_empty(len(weight), x.shape[1], weight.shape[2])
        _multiply(x, weight, outputs)
        return outputs if bias is None else outputs.add_(bias.unsqueeze(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[1]:
            of_weight = torch.empty_like(weight)
            _multiply(x.transpose(1, 2), gradient, of_weight)
        if ctx.needs_input_grad[0]:
            of_x = x.new_empty(len(weight), *x.shape[1:])
            _multiply(gradient, weight.transpose(1, 2), of_x)
            if len(x) < len(weight):
                of_x = of_x.unflatten(0, (-1, len(x))).sum(0)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(1)
        return of_x, of_weight, of_bias


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """`out = a b` of K products, [S, N, M] or [K, N, M] times [K, M, P] into [K, N, P]."""
    left, right, into = _blasable(a).numpy(), _blasable(b).numpy(), out.numpy()
    if len(left) < len(right):
        groups = (len(right) // len(left), len(left))
        right, into = (each.reshape(*groups, *each.shape[1:]) for each in (right, into))
    with np.errstate(all="ignore"):  # a training that diverges is no error
        np.matmul(left, right, out=into)


def _blasable(matrices: Tensor) -> Tensor:
    """As they are, if a BLAS reads their rows or columns; NumPy multiplies others slowly."""
    matrices = matrices.detach()
    rows, columns = matrices.stride()[1:]
    height, width = matrices.shape[1:]
    reads = (columns == 1 and rows >= width) or (rows == 1 and columns >= height)
    return matrices if reads else matrices.contiguous()


class NumpyLinear(nn.Linear):
    """A plain layer whose products are NumPy's."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or not multiplies(x, self.weight):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.unsqueeze(0)
        return dense(x.unsqueeze(0), self.weight.t().unsqueeze(0), bias).squeeze(0)
