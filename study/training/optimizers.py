"""Optimizers, torch's own with decay on weights alone, and schedules of their learning rates."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from study.errors import unknown

Groups = list[dict[str, Any]]
Maker = Callable[[Groups, float, Mapping[str, Any]], Optimizer]
"""(groups of parameters, learning rate, the keys of `optimizer`) -> optimizer."""
Schedule = Callable[[float, float, Mapping[str, Any]], float]
"""(epochs done, their number, the keys of `schedule`) -> factor on the learning rate."""


def elementwise(make: Maker) -> Maker:
    """Declares that an optimizer moves each number by that number, its gradient and state alone.

    Only such a one may step replicas that are stacked: to it, a parameter of all of them is one
    tensor. What looks at whole matrices or norms (Muon, LAMB, Shampoo) would mix them.
    """
    make.is_elementwise = True  # type: ignore[attr-defined]
    return make


def is_elementwise(name: str) -> bool:
    """Whether an optimizer is declared to be so; `InputError` for an unknown name."""
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    return getattr(OPTIMIZERS[name], "is_elementwise", False)


@elementwise
def sgd(groups: Groups, lr: float, config: Mapping[str, Any]) -> Optimizer:
    """SGD with (Nesterov's) momentum, as Sutskever et al. 2013 but with the rate outside."""
    return torch.optim.SGD(
        groups,
        lr=lr,
        momentum=config["momentum"],
        nesterov=config["nesterov"],
        fused=_fused(groups),
    )


@elementwise
def rmsprop(groups: Groups, lr: float, config: Mapping[str, Any]) -> Optimizer:
    """RMSprop (Tieleman & Hinton 2012, lecture 6e)."""
    return torch.optim.RMSprop(
        groups, lr=lr, alpha=config["alpha"], eps=config["eps"], momentum=config["momentum"]
    )


@elementwise
def adam(groups: Groups, lr: float, config: Mapping[str, Any]) -> Optimizer:
    """Adam (Kingma & Ba 2015, algorithm 1)."""
    betas = (config["beta1"], config["beta2"])
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=config["eps"], fused=_fused(groups))


@elementwise
def adamw(groups: Groups, lr: float, config: Mapping[str, Any]) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""
    betas = (config["beta1"], config["beta2"])
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=config["eps"], fused=_fused(groups))


OPTIMIZERS: dict[str, Maker] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def make_optimizer(groups: Groups, lr: float, config: Mapping[str, Any]) -> Optimizer:
    """The configured optimizer over groups of parameters; `lr` where a group has none."""
    if config["name"] not in OPTIMIZERS:
        raise unknown("optimizer", config["name"], OPTIMIZERS)
    return OPTIMIZERS[config["name"]](groups, lr, config)


def parameter_groups(
    network: nn.Module,
    *,
    weight_decay: float,
    layers: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv2d),
) -> Groups:
    """The weights of `layers`, which decay, and everything else, which does not.

    Biases, BatchNorm's gamma and beta and PReLU's slopes never decay. Where nothing does, all are
    one group: an optimizer's step costs by the group.
    """
    if not weight_decay:
        return [{"params": list(network.parameters()), "weight_decay": 0.0}]
    decaying = {module.weight for module in network.modules() if isinstance(module, layers)}
    weights = [parameter for parameter in network.parameters() if parameter in decaying]
    others = [parameter for parameter in network.parameters() if parameter not in decaying]
    groups = [{"params": weights, "weight_decay": weight_decay}]
    return groups + ([{"params": others, "weight_decay": 0.0}] if others else [])


def _fused(groups: Groups) -> bool:
    """One kernel for all parameters, where the device has one."""
    return all(
        parameter.device.type in ("cpu", "cuda")
        for group in groups
        for parameter in group["params"]
    )


def clip_norms(gradients: Sequence[Tensor], largest: float) -> None:
    """Scales each replica's gradient down to a norm of at most `largest`, in place.

    gradients: [K, numbers] each, of K replicas; a replica's norm is over all of them (Pascanu et
    al. 2013, algorithm 1). One that is not finite makes its own replica's gradient so, no other's.
    """
    squares = [gradient.square().sum(dim=1) for gradient in gradients]
    norms = torch.stack(squares).sum(dim=0).sqrt()
    factors = (largest / norms).clamp(max=1.0).unsqueeze(1)
    for gradient in gradients:
        gradient.mul_(factors)


# Schedules: the factor on the learning rate at each update.

MANY = 1e12
"""No training has more spans of a step schedule; the quotient of two epochs may overflow."""
ROUNDING = 1e-9
"""A span complete but for rounding is complete: an update is far more of it than this."""


def constant(epoch: float, num_epochs: float, config: Mapping[str, Any]) -> float:
    """1 throughout."""
    return 1.0


def step(epoch: float, num_epochs: float, config: Mapping[str, Any]) -> float:
    """`factor` to the power of the completed spans of `every_epochs`."""
    spans = min(epoch / config["every_epochs"], MANY)
    return float(config["factor"] ** math.floor(spans + ROUNDING))


def cosine(epoch: float, num_epochs: float, config: Mapping[str, Any]) -> float:
    """Half a cosine from 1 to `final_factor` (Loshchilov & Hutter 2017, eq. 5)."""
    final = config["final_factor"]
    done = min(1.0, epoch / num_epochs)
    return float(final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
}


def learning_rate_factors(
    config: Mapping[str, Any], *, epoch: int, num_epochs: int, updates_per_epoch: int
) -> list[float]:
    """The factor of each update of `epoch` (counted from 0).

    During warm-up the factor rises linearly to 1, reached at the warm-up's last update (Goyal et
    al. 2017, section 2.2); the schedule runs over the epochs after it.
    """
    if config["name"] not in SCHEDULES:
        raise unknown("schedule", config["name"], SCHEDULES)
    schedule = SCHEDULES[config["name"]]
    warmup = min(config["warmup_epochs"], num_epochs)
    factors = []
    for update in range(updates_per_epoch):
        now = epoch + update / updates_per_epoch
        if now < warmup:
            factors.append(min(1.0, (now + 1 / updates_per_epoch) / warmup))
        else:
            factors.append(schedule(now - warmup, num_epochs - warmup, config))
    return factors
