"""Small RBMs in float64, and what enumeration says of them."""

import itertools
import math

import torch
from torch import Tensor

from study.training.pretraining.rbm import HIDDEN_UNITS, VISIBLE_UNITS, Rbm

KINDS = list(itertools.product(VISIBLE_UNITS, HIDDEN_UNITS))
SUPPORTS = {"bernoulli": "bernoulli", "linear": "gaussian"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def machine(
    visible: str = "bernoulli",
    hidden: str = "bernoulli",
    *,
    shape: tuple[int, int] = (3, 4),
    scale: float = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Rbm:
    """Normal parameters; `shape` is hidden, visible."""
    generator = seeded(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    weight, biases = scale * normal(*shape), (normal(shape[1]), normal(shape[0]))
    return Rbm(weight, *biases, visible, hidden)


def parameters(rbm: Rbm) -> tuple[Tensor, Tensor, Tensor]:
    return rbm.weight, rbm.visible_bias, rbm.hidden_bias


def differentiable(rbm: Rbm) -> Rbm:
    """A copy whose parameters autograd follows."""
    weight, visible_bias, hidden_bias = (each.clone().requires_grad_() for each in parameters(rbm))
    return Rbm(weight, visible_bias, hidden_bias, rbm.visible, rbm.hidden)


def binary(num_units: int) -> Tensor:
    """All states of Bernoulli units: [2^n, n]."""
    axis = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * num_units).view(-1, num_units)


def support(kind: str, num_units: int) -> tuple[Tensor, float]:
    """Points [P, n] to sum over and the log of what each stands for: all states, or a grid."""
    if kind == "bernoulli":
        return binary(num_units), 0.0
    axis = torch.linspace(-11, 11, 221, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * num_units), num_units * math.log(0.1)


def pairs(v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Every v with every h."""
    return v.repeat_interleave(len(h), 0), h.repeat(len(v), 1)


def energies(rbm: Rbm, v: Tensor, h: Tensor) -> Tensor:
    """E of every v with every h: [num v, num h]."""
    return rbm.energy(*pairs(v, h)).view(len(v), len(h))


def joint(rbm: Rbm) -> tuple[Tensor, Tensor, Tensor]:
    """All v, all h, and p(v, h) [num v, num h], of a machine of Bernoulli units."""
    v, h = binary(rbm.weight.shape[1]), binary(rbm.weight.shape[0])
    return v, h, torch.softmax(-energies(rbm, v, h).flatten(), 0).view(len(v), len(h))


def products(v: Tensor, h: Tensor) -> Tensor:
    """Of each pair, in a row: h v^T, v and h."""
    return torch.cat([torch.einsum("nh,nv->nhv", h, v).flatten(1), v, h], 1)


def flat(gradient: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([each.flatten() for each in gradient])


def within(values: Tensor, expected: Tensor, errors: float = 4) -> bool:
    """Whether the mean of independent `values` [N, K] is as expected [K], in standard errors."""
    error = values.std(0) / len(values) ** 0.5
    return bool(((values.mean(0) - expected).abs() <= errors * error + 1e-12).all())
