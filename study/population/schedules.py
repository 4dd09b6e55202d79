"""Learning-rate schedules: the factor on the learning rate at each update."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from study.errors import unknown

Schedule = Callable[[float, float, Mapping[str, Any]], float]

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


SCHEDULES: dict[str, Schedule] = {"constant": constant, "step": step, "cosine": cosine}


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
