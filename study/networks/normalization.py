"""Batch and layer normalization, for dense and convolutional layers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.networks.registry import keywords, only_keys, split_level
from study.networks.stochastic import NonStationaryNoise


class BatchNorm(nn.Module):
    """Per feature or channel: gamma (x - mean) / sqrt(var + eps) + beta.

    Ioffe & Szegedy 2015 (arXiv 1502.03167), algorithms 1 and 2. Takes [N, F] or [N, C, H, W].
    In training mean and (biased) variance are the batch's; the running averages become
    (1 - momentum) running + momentum batch, with the unbiased variance, as in torch. In
    evaluation they are the running averages, or with `evaluation="batch"` those of the batch
    itself, and no running averages are kept.

    One value per feature (a batch of 1 after a dense layer) is its own mean: its normalized value
    is 0 and the output beta. It says nothing about the variance, so the running one stays.

    `position` is read by the block that holds it, `eval_batch_size` by whoever makes the batches
    of an evaluation with `evaluation="batch"`; neither changes what the norm itself does.

    `noise` > 0 adds non-stationary noise to the output in training: see `NonStationaryNoise`.
    Without `affine` there is no gamma (`weight`) nor beta (`bias`).
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        num_features: int,
        *,
        position: str = "before",
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        evaluation: str = "running",
        eval_batch_size: int = 128,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_features, self.momentum, self.eps = num_features, momentum, eps
        self.position = position
        self.evaluation, self.eval_batch_size = evaluation, eval_batch_size
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        running = evaluation == "running"
        self.register_buffer("running_mean", torch.zeros(num_features) if running else None)
        self.register_buffer("running_var", torch.ones(num_features) if running else None)
        self.noise: nn.Module | None = NonStationaryNoise(noise) if noise > 0 else None

    def reset_parameters(self) -> None:
        """Sets gamma and the running variance to 1, beta and the running mean to 0."""
        with torch.no_grad():
            for tensor, start in self._starts():
                if tensor is not None:
                    tensor.fill_(start)

    def _starts(self) -> list[tuple[Tensor | None, float]]:
        return [
            (self.weight, 1),
            (self.bias, 0),
            (self.running_mean, 0),
            (self.running_var, 1),
        ]

    def forward(self, x: Tensor) -> Tensor:
        batch = self.training or self.evaluation == "batch"
        if batch and x.numel() == self.num_features:
            out = self._single(x)
        else:
            tracked = self.training or not batch
            mean = self.running_mean if tracked else None
            var = self.running_var if tracked else None
            out = functional.batch_norm(
                x, mean, var, self.weight, self.bias, batch, self.momentum, self.eps
            )
        return out if self.noise is None else self.noise(out)

    def _single(self, x: Tensor) -> Tensor:
        """The output for one value per feature: 0 normalized, and beta with its gradient."""
        if self.training and self.running_mean is not None:
            with torch.no_grad():
                self.running_mean.lerp_(x.flatten().to(self.running_mean), self.momentum)
        if self.weight is None or self.bias is None:
            return x - x
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - x) * self.weight.view(shape) + self.bias.view(shape)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, momentum={self.momentum}, eps={self.eps}, "
            f"affine={self.weight is not None}, evaluation={self.evaluation}"
        )


class LayerNorm(nn.Module):
    """gamma (x - mean) / sqrt(var + eps) + beta over the units of each example.

    Ba et al. 2016 (arXiv 1607.06450), eq. 4. Takes [N, F] or [N, C, H, W], whose mean and (biased)
    variance are over channels and positions; gamma (`weight`) and beta (`bias`) are one a feature
    or channel. It stands before the activation, and is the same in training and evaluation.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, num_features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    def reset_parameters(self) -> None:
        """Sets gamma to 1, beta to 0."""
        if self.weight is not None and self.bias is not None:
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.layer_norm(x, x.shape[1:], eps=self.eps)
        if self.weight is None or self.bias is None:
            return out
        shape = (-1, *[1] * (x.dim() - 2))
        return out * self.weight.view(shape) + self.bias.view(shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Within it every BatchNorm in evaluation mode uses the batch's statistics.

    Running averages are left alone.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    before = [norm.evaluation for norm in norms]
    try:
        for norm in norms:
            norm.evaluation = "batch"
        yield
    finally:
        for norm, evaluation in zip(norms, before, strict=True):
            norm.evaluation = evaluation


def no_norm(num_features: int) -> nn.Module:
    """The identity: a network without normalization."""
    return nn.Identity()


NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": no_norm,
    "batch": BatchNorm,
    "layer": LayerNorm,
}


def make_norm(config: Mapping[str, Any] | str, num_features: int) -> nn.Module:
    """A new module for a norm's name, or its name and keys; nn.Identity for `none`."""
    name, keys = split_level("norm", config, NORMS)
    only_keys(f"norm {name}", keys, keywords(NORMS[name]))
    return NORMS[name](num_features, **keys)
