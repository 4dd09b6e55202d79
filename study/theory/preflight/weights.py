"""What an initialization draws: mean and variance of weights and biases, as formulas."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from study.config import own
from study.errors import InputError
from study.networks import Arguments
from study.networks import gain as activation_gain
from study.theory.preflight.shapes import LayerShape

Keys = Mapping[str, Any]
"""The keywords of a level of `init`, any gain a number; each formula knows what its own hold."""


@dataclass(frozen=True)
class Drawn:
    """The distribution of a layer's weights and biases, all independent.

    `variance` is nan where only data can say. `to_unit_variance`: it is then what gives the layer's
    outputs variance 1 (lsuv). `centre_only`: weights are zero but for the kernel's centre, of which
    the variance is.
    """

    mean: float
    variance: float
    bias_mean: float = 0.0
    bias_variance: float = 0.0
    centre_only: bool = False
    to_unit_variance: bool = False

    @property
    def is_alike(self) -> bool:
        """Whether all weights are the same number, and all biases are, so that all units are."""
        return self.variance == 0 and self.bias_variance == 0

    @property
    def is_known(self) -> bool:
        """Whether theory can go on from it: it is random, about 0, and of a known variance."""
        return self.mean == 0 and (self.to_unit_variance or not math.isnan(self.variance))

    def num_taps(self, shape: LayerShape) -> float:
        """Taps of the kernel that multiply something, averaged over positions."""
        return 1.0 if self.centre_only else shape.num_taps


VARIANCES: dict[str, Callable[[LayerShape, Keys], float]] = {
    "zeros": lambda shape, keys: 0.0,
    "constant": lambda shape, keys: 0.0,
    "normal": lambda shape, keys: keys["std"] ** 2,
    "uniform": lambda shape, keys: keys["bound"] ** 2 / 3,
    "standard": lambda shape, keys: keys["gain"] ** 2 / (3 * shape.fan_in),
    "lecun_normal": lambda shape, keys: keys["gain"] ** 2 / shape.fan_in,
    "xavier_uniform": lambda shape, keys: _xavier(shape, keys["gain"]),
    "xavier_normal": lambda shape, keys: _xavier(shape, keys["gain"]),
    "he_uniform": lambda shape, keys: 2 / shape.fan_in,
    "he_normal": lambda shape, keys: 2 / shape.fan_in,
    "he_lecture": lambda shape, keys: 16 / (3 * (shape.fan_in + shape.fan_out) ** 2),
    "he_average": lambda shape, keys: _xavier(shape, math.sqrt(2)),
    "torch_default": lambda shape, keys: 1 / (3 * shape.fan_in),
    "orthogonal": lambda shape, keys: keys["gain"] ** 2 / max(shape.fan_in, shape.rows),
    "delta_orthogonal": lambda shape, keys: keys["gain"] ** 2 / max(shape.inputs, shape.rows),
    "lsuv": lambda shape, keys: math.nan,
}
"""The variance of one weight of a layer, for each initialization and its keys.

nan where only data can say, or weights are not independent draws about 0: nothing is predicted
then (but for lsuv, which does what the theory can follow).
A uniform distribution on +-b has variance b^2 / 3. An orthogonal matrix [rows, fan_in] has
min(rows, fan_in) singular values of 1, so the mean of its squared entries is the inverse of the
larger side.
"""


def _xavier(shape: LayerShape, gain: float) -> float:
    return 2 * gain * gain / (shape.fan_in + shape.fan_out)


def drawn(config_init: Arguments, config_activation: Arguments, shape: LayerShape) -> Drawn:
    """What the configuration's `init` draws for a layer; canonical configurations.

    `gain: auto` is the gain of what feeds the layer (`study.networks.gains.gain`).
    """
    name = str(config_init["name"])
    law = VARIANCES.get(name) or own.variance_of(name)
    if law is None:
        raise InputError(
            f"init={name}: the variance of its weights is not known, so nothing can be predicted; "
            "add it to VARIANCES in study/theory/preflight/weights.py, or in a folder of your own "
            "as @initialization(variance=lambda shape, keys: ...)"
        )
    keys: Keys = config_init
    if keys.get("gain") == "auto":
        fed = shape.fed_by_activation
        keys = {**keys, "gain": activation_gain(config_activation) if fed else 1.0}
    torch_default = name == "torch_default" and shape.has_bias
    return Drawn(
        mean=keys["value"] if name == "constant" else 0.0,
        variance=law(shape, keys),
        bias_mean=keys.get("bias", 0.0) if shape.has_bias else 0.0,
        bias_variance=1 / (3 * shape.fan_in) if torch_default else 0.0,
        centre_only=name == "delta_orthogonal" and shape.convolves,
        to_unit_variance=name == "lsuv",
    )
