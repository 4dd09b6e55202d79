"""Initializations by name: each fills one weight tensor in place from a generator.

`weight` is [out, in] or [out, in, height, width]; fan_in and fan_out are those of the tensor
(`fans`). `torch.nn.init` draws. Where a level takes a gain, it multiplies the standard deviation.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import init

from study.errors import InputError

Initializer = Callable[..., object]


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: inputs per output and outputs per input, times kernel area."""
    area = weight[0, 0].numel()
    return weight.shape[1] * area, weight.shape[0] * area


def zeros(weight: Tensor, generator: torch.Generator) -> None:
    """All weights 0: every hidden unit is and stays the same."""
    init.zeros_(weight)


def constant(weight: Tensor, generator: torch.Generator, *, value: float = 0.1) -> None:
    """All weights `value`."""
    init.constant_(weight, value)


def normal(weight: Tensor, generator: torch.Generator, *, std: float = 0.01) -> None:
    """N(0, std^2), the same in every layer (std 0.01 in Krizhevsky et al. 2012, section 5)."""
    init.normal_(weight, std=std, generator=generator)


def uniform(weight: Tensor, generator: torch.Generator, *, bound: float = 0.05) -> None:
    """U(-bound, bound), the same in every layer."""
    init.uniform_(weight, -bound, bound, generator=generator)


def standard(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """U(+-gain / sqrt(fan_in)), variance gain^2 / (3 fan_in) (Glorot & Bengio 2010, eq. 1)."""
    bound = gain / math.sqrt(fans(weight)[0])
    init.uniform_(weight, -bound, bound, generator=generator)


def lecun_normal(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """N(0, gain^2 / fan_in) (LeCun et al. 1998, "Efficient BackProp", section 4.6)."""
    init.normal_(weight, std=gain / math.sqrt(fans(weight)[0]), generator=generator)


def xavier_uniform(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """U(+-gain sqrt(6 / (fan_in + fan_out))) (Glorot & Bengio 2010, eq. 16)."""
    init.xavier_uniform_(weight, gain=gain, generator=generator)


def xavier_normal(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """N(0, 2 gain^2 / (fan_in + fan_out)), the variance of Glorot & Bengio 2010, eq. 12."""
    init.xavier_normal_(weight, gain=gain, generator=generator)


def he_uniform(weight: Tensor, generator: torch.Generator) -> None:
    """U(+-sqrt(6 / fan_in)), the variance of He et al. 2015, eq. 10."""
    init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)


def he_normal(weight: Tensor, generator: torch.Generator) -> None:
    """N(0, 2 / fan_in) (He et al. 2015, eq. 10)."""
    init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def he_lecture(weight: Tensor, generator: torch.Generator) -> None:
    """U(+-4 / (fan_in + fan_out)), as the lecture prints He's initialization.

    Its variance, (16/3) / (fan_in + fan_out)^2, shrinks with the square of the width; He et al.
    derive 2 / fan_in. The printed bound is the *variance* of `he_average`.
    """
    bound = 4 / sum(fans(weight))
    init.uniform_(weight, -bound, bound, generator=generator)


def he_average(weight: Tensor, generator: torch.Generator) -> None:
    """N(0, 4 / (fan_in + fan_out)): He's variance with the average of both fans.

    It lies between eq. 10 (forward) and eq. 14 (backward) of He et al. 2015.
    """
    init.xavier_normal_(weight, gain=math.sqrt(2), generator=generator)


def torch_default(weight: Tensor, generator: torch.Generator) -> None:
    """What nn.Linear and nn.Conv2d do: U(+-1 / sqrt(fan_in)); `initialize` draws the bias alike."""
    init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)


def orthogonal(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """Orthonormal rows (columns, if there are more rows) times gain (Saxe et al. 2014).

    They are those of the weight as a matrix [out, fan_in]. The factorization is done in float64,
    so that another processor or number of threads seldom changes the float32 result.
    """
    exact = torch.empty(weight.shape, dtype=torch.float64)
    weight.copy_(init.orthogonal_(exact, gain=gain, generator=generator))


def delta_orthogonal(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> None:
    """Zero but for the centre tap, which has orthonormal columns times gain (Xiao et al. 2018).

    Needs an odd kernel and out_channels >= in_channels. A dense weight is `orthogonal`.
    """
    if weight.ndim == 2:
        return orthogonal(weight, generator, gain=gain)
    out_channels, in_channels, height, width = weight.shape
    if height % 2 == 0 or width % 2 == 0:
        raise InputError(
            f"init delta_orthogonal needs an odd kernel, not {height}x{width}; "
            "change model.kernel_size or use init=orthogonal"
        )
    if out_channels < in_channels:
        raise InputError(
            f"init delta_orthogonal needs at least as many outputs as inputs, but a convolution "
            f"has {in_channels} -> {out_channels} channels; change model.channels or use "
            "init=orthogonal"
        )
    centre = torch.empty(out_channels, in_channels)
    orthogonal(centre, generator, gain=gain)
    weight.zero_()
    weight[:, :, height // 2, width // 2] = centre
    return None


def lsuv(weight: Tensor, generator: torch.Generator) -> None:
    """The start of LSUV: orthogonal with gain 1 (Mishkin & Matas 2016, section 3).

    `initialize` then rescales the layers on data: see `study.networks.initialize`.
    """
    orthogonal(weight, generator)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "constant": constant,
    "normal": normal,
    "uniform": uniform,
    "standard": standard,
    "lecun_normal": lecun_normal,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "he_lecture": he_lecture,
    "he_average": he_average,
    "torch_default": torch_default,
    "orthogonal": orthogonal,
    "delta_orthogonal": delta_orthogonal,
    "lsuv": lsuv,
}
