"""Modules that draw random numbers while training: dropout and non-stationary noise.

Each draws from its `generator`, the replica's own stream; with None, torch's global one.
"""

import torch
from torch import Tensor, nn


class Stochastic(nn.Module):
    """A module that acts in training alone and draws from `generator` (None: the global one).

    Numbers are drawn in float32 on the generator's device and moved to the input's, so neither
    precision nor device changes which ones are drawn.
    """

    generator: torch.Generator | None = None

    def draw(self, shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor | None]:
        """Draws what an input of `shape` is multiplied by, and what is added then, if anything.

        Both broadcast against `shape` and have the device and dtype of `like`.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        factor, offset = self.draw(x.shape, x)
        return x * factor if offset is None else x * factor + offset

    def _empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        device = like.device if self.generator is None else self.generator.device
        return torch.empty(shape, dtype=torch.float32, device=device)

    def _uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Draws U(0, 1) of a shape, with the device and dtype of `like`."""
        return self._empty(shape, like).uniform_(generator=self.generator).to(like)

    def _normal(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Draws N(0, 1) of a shape, with the device and dtype of `like`."""
        return self._empty(shape, like).normal_(generator=self.generator).to(like)


class Dropout(Stochastic):
    """Inverted dropout: in training each element becomes 0 with probability p, else x / (1 - p).

    Srivastava et al. 2014, section 10. Any shape in, the same shape out; the identity in
    evaluation.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def draw(self, shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor | None]:
        keep = self._empty(shape, like).bernoulli_(1 - self.p, generator=self.generator)
        return keep.div_(1 - self.p).to(like), None

    def extra_repr(self) -> str:
        return f"p={self.p}"


class NonStationaryNoise(Stochastic):
    """Noise whose distribution jumps at every step of training; the identity in evaluation.

    The "noisy" BatchNorm of Santurkar et al. 2018 (appendix) without the norm itself. Takes
    [N, F] or [N, C, H, W], returns the same shape. At each step a unit (a channel) draws
    mu ~ U(-n_mu, n_mu) and sigma ~ U(1, n_sigma); then each of its activations draws
    m ~ U(mu - r_mu, mu + r_mu) and s ~ N(sigma, r_sigma) and becomes s x + m. `scale` c
    multiplies every spread: n_mu = c / 2, n_sigma = 1 + c / 4, r_mu = r_sigma = c / 10; the
    paper's constants are c = 1.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def draw(self, shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor | None]:
        units = (1, shape[1], *[1] * (len(shape) - 2))
        mu = 0.5 * (2 * self._uniform(units, like) - 1)
        sigma = 0.25 * self._uniform(units, like)
        shift = mu + 0.1 * (2 * self._uniform(shape, like) - 1)
        stretch = sigma + 0.1 * self._normal(shape, like)
        return 1 + self.scale * stretch, self.scale * shift

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


def set_generators(
    network: nn.Module,
    *,
    dropout: torch.Generator | None = None,
    noise: torch.Generator | None = None,
) -> None:
    """Gives every Dropout of a network one generator and every NonStationaryNoise another.

    The modules of a kind share it and draw in the order of the forward pass. None is torch's
    global generator again.
    """
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = dropout
        elif isinstance(module, NonStationaryNoise):
            module.generator = noise
