"""Activation functions by name: plain `torch.nn` modules, and the two that torch lacks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from study.networks.registry import keywords, only_keys, split_level

# On processors with AVX-512 ELU, SELU and softplus take twelve times as long until some vectorized
# power has been computed in the process, and give the same bits (measured, torch 2.14).
torch.full((64,), 0.5).pow(2.3)


class LeCunTanh(nn.Module):
    """1.7159 tanh(2x/3), which maps +-1 to +-1; any shape in, the same shape out.

    LeCun et al. 1998, "Efficient BackProp", section 4.4.
    """

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Maxout(nn.Module):
    """The largest of each unit's linear pieces (Goodfellow et al. 2013, section 3).

    Takes [N, pieces * units] or [N, pieces * channels, H, W] and returns [N, units] or
    [N, channels, H, W]. The pieces of unit u are the channels u, units + u, 2 units + u, ...
    Pieces that tie share the gradient, so equal pieces stay equal.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        units = x.shape[1] // self.pieces
        return x.view(x.shape[0], self.pieces, units, *x.shape[2:]).amax(1)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


def leaky_relu(*, slope: float = 0.1) -> nn.Module:
    """max(x, 0) + slope min(x, 0); the lecture's slope is 0.1 (Maas et al. 2013 have 0.01)."""
    return nn.LeakyReLU(slope)


def prelu(*, slope: float = 0.25) -> nn.Module:
    """Leaky ReLU with a learned slope, one per layer, that starts at `slope` (He et al. 2015)."""
    return nn.PReLU(num_parameters=1, init=slope)


def elu(*, alpha: float = 1.0) -> nn.Module:
    """Exponential linear unit: x if x > 0, else alpha (exp(x) - 1) (Clevert et al. 2016)."""
    return nn.ELU(alpha)


def maxout(*, pieces: int = 2) -> nn.Module:
    """The largest of `pieces` linear pieces of a unit; see `Maxout`."""
    return Maxout(pieces)


ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "identity": lambda: nn.Identity(),
    "sigmoid": lambda: nn.Sigmoid(),
    "tanh": lambda: nn.Tanh(),
    "hard_tanh": lambda: nn.Hardtanh(),
    "softsign": lambda: nn.Softsign(),
    "lecun_tanh": LeCunTanh,
    "relu": lambda: nn.ReLU(),
    "leaky_relu": leaky_relu,
    "prelu": prelu,
    "elu": elu,
    "selu": lambda: nn.SELU(),
    "gelu": lambda: nn.GELU(),
    "silu": lambda: nn.SiLU(),
    "mish": lambda: nn.Mish(),
    "softplus": lambda: nn.Softplus(),
    "maxout": maxout,
}


def make_activation(config: Mapping[str, Any] | str) -> nn.Module:
    """A new module for an activation's name, or its name and parameters.

    Raises InputError for an unknown name or parameter.

    >>> make_activation("relu"), make_activation({"name": "leaky_relu", "slope": 0.01})
    (ReLU(), LeakyReLU(negative_slope=0.01))
    """
    name, keys = split_level("activation", config, ACTIVATIONS)
    only_keys(f"activation {name}", keys, keywords(ACTIVATIONS[name]))
    return ACTIVATIONS[name](**keys)


def is_elementwise(module: nn.Module) -> bool:
    """Whether each number that a module returns depends on one of its inputs alone, always alike.

    It is tried on eight numbers from -3 to 3, together and one by one. What draws random numbers,
    or takes no other shape than its own, is not.
    """
    parameter = next(module.parameters(), torch.empty(0, dtype=torch.float64))
    numbers = torch.linspace(-3, 3, 8).to(parameter)[torch.arange(8) * 3 % 8].view(2, 2, 2)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            stream = torch.get_rng_state()
            together = module(numbers.clone())
            each = torch.cat([module(one.view(1, 1, 1)).flatten() for one in numbers.flatten()])
            drew = not torch.equal(stream, torch.get_rng_state())
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return False
    if drew or together.shape != numbers.shape:
        return False
    return torch.allclose(together.flatten(), each, rtol=1e-6, atol=1e-9)


def pieces_per_unit(activation: nn.Module) -> int:
    """How many outputs of the layer before it make one unit: 1, but for maxout."""
    return activation.pieces if isinstance(activation, Maxout) else 1
