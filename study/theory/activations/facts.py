"""The lecture's checklist of each activation function: a row of facts, and two computed numbers.

tests/theory/activations/test_facts.py checks every row against the function that is trained with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from study.networks import Arguments
from study.networks.activations import make_activation
from study.networks.gains import gain, mean_output
from study.probes.slopes import SATURATED

INF = math.inf

Interval = tuple[float, float]
"""From low to high; infinite for a half-line, low = high for a point."""


class Kink(NamedTuple):
    """A place where the slope jumps, and its limits from the left and from the right."""

    place: float
    left: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of an activation f, a function of one number. The defaults are the identity's.

    `jumps`: where f is not continuous. `turns`: where f' changes sign. `lower`, `upper`: the range
    of f, whose bounds are `attained` or only approached. `steepest`: where |f'| is `largest_slope`,
    or ((INF, INF),) if it only approaches that as z goes to INF, or () if it has no bound.
    `saturated`: where |f'| is below 1 % of `largest_slope`.
    """

    jumps: tuple[float, ...] = ()
    kinks: tuple[Kink, ...] = ()
    non_decreasing: bool = True
    turns: tuple[float, ...] = ()
    lower: float = -INF
    lower_attained: bool = False
    upper: float = INF
    upper_attained: bool = False
    largest_slope: float = 1.0
    steepest: tuple[Interval, ...] = ((-INF, INF),)
    saturated: tuple[Interval, ...] = ()

    @property
    def slope_attained(self) -> bool:
        return any(math.isfinite(low) or low < high for low, high in self.steepest)


def _sigmoidal(lower: float, upper: float, slope: float, edge: float) -> Facts:
    """Of an S that is steepest at 0 and saturated beyond +-edge."""
    return Facts(
        lower=lower,
        upper=upper,
        largest_slope=slope,
        steepest=((0, 0),),
        saturated=((-INF, -edge), (edge, INF)),
    )


def _leaky(slope: float) -> Facts:
    """Of max(z, 0) + slope min(z, 0)."""
    left, right = (-INF, 0.0), (0.0, INF)
    largest = max(abs(slope), 1.0)
    sides = ((left, abs(slope)), (right, 1.0))
    return Facts(
        kinks=() if slope == 1 else (Kink(0, slope, 1),),
        non_decreasing=slope >= 0,
        turns=(0,) if slope < 0 else (),
        lower=-INF if slope > 0 else 0,
        lower_attained=slope <= 0,
        largest_slope=largest,
        steepest=((-INF, INF),) if abs(slope) == 1 else (left if abs(slope) > 1 else right,),
        saturated=tuple(side for side, steep in sides if steep < SATURATED * largest),
    )


def _exponential(alpha: float, scale: float = 1.0) -> Facts:
    """Of scale z above 0, and scale alpha (exp(z) - 1) below: it goes to -scale alpha."""
    largest = max(alpha, 1.0)
    off = (-INF, min(math.log(SATURATED * largest / alpha), 0.0))
    return Facts(
        kinks=() if alpha == 1 else (Kink(0, scale * alpha, scale),),
        lower=-scale * alpha,
        largest_slope=scale * largest,
        steepest=((0, 0),) if alpha > 1 else ((0, INF),),
        saturated=(off, (0, INF)) if SATURATED * alpha > 1 else (off,),
    )


def _with_minimum(turn: float, lower: float, slope: float, at: float, *edges: float) -> Facts:
    """Of a smooth rectifier that falls before `turn`; edges: of where it is off and of the turn."""
    off, before, after = edges
    return Facts(
        non_decreasing=False,
        turns=(turn,),
        lower=lower,
        lower_attained=True,
        largest_slope=slope,
        steepest=((at, at),),
        saturated=((-INF, off), (before, after)),
    )


_TENTH = math.acosh(10)
"""tanh' = 1 / cosh^2 is a hundredth there."""

FACTS: dict[str, Facts | Callable[[Any], Facts]] = {
    "identity": Facts(),
    "sigmoid": _sigmoidal(0, 1, 1 / 4, 2 * _TENTH),
    "tanh": _sigmoidal(-1, 1, 1, _TENTH),
    "hard_tanh": Facts(
        kinks=(Kink(-1, 0, 1), Kink(1, 1, 0)),
        lower=-1,
        lower_attained=True,
        upper=1,
        upper_attained=True,
        steepest=((-1, 1),),
        saturated=((-INF, -1), (1, INF)),
    ),
    "softsign": _sigmoidal(-1, 1, 1, 9),
    "lecun_tanh": _sigmoidal(-1.7159, 1.7159, 1.7159 * 2 / 3, 1.5 * _TENTH),
    "relu": _leaky(0),
    "leaky_relu": lambda module: _leaky(module.negative_slope),
    "prelu": lambda module: _leaky(module.weight.item()),
    # It goes to -alpha: Clevert et al. 2016, section 3.
    "elu": lambda module: _exponential(module.alpha),
    # The constants, and a slope above 1: Klambauer et al. 2017, section 2.
    "selu": _exponential(1.6732632423543772, 1.0507009873554805),
    "gelu": _with_minimum(
        -0.7517915246935645,
        -0.1699712074799037,
        0.5 + math.erf(1) / 2 + math.exp(-1) / math.sqrt(math.pi),
        math.sqrt(2),
        *(-3.021662634098404, -0.7786016939623594, -0.726216599383423),
    ),
    # Lowest, about -0.28, at about -1.28; slope up to about 1.1 at about 2.4: Elfwing et al. 2018.
    "silu": _with_minimum(
        -1.278464542761074,
        -0.2784645427610738,
        1.099839320128867,
        2.399357280515468,
        *(-6.142915700195617, -1.330789990500625, -1.229587727967696),
    ),
    # Its range is from about -0.31: Misra 2020, section 3.
    "mish": _with_minimum(
        -1.192431214515495,
        -0.3088434130172504,
        1.088498161251728,
        1.490571179485428,
        *(-6.158741309632209, -1.234555834944668, -1.152865653512015),
    ),
    "softplus": Facts(lower=0, steepest=((INF, INF),), saturated=((-INF, -math.log(99)),)),
    # Where one piece varies and the others are 0 it is a ReLU, where all are equal the identity.
    "maxout": lambda module: Facts(kinks=(Kink(0, 0, 1),) if module.pieces > 1 else ()),
}
"""Facts by the names of ACTIVATIONS, or what gives them of a module whose parameters they hang on.

An activation without a row is in the sheet too, which then says `not stated`.
"""


@dataclass(frozen=True)
class Checklist:
    """What the sheet says of an activation: facts, E f(z) for z ~ N(0, 1) and its gain."""

    facts: Facts | None
    mean_output: float
    gain: float


def check(activation: Arguments | str) -> Checklist:
    """The checklist of an activation's name, or its name and parameters."""
    module = make_activation(activation)
    row = FACTS.get(activation if isinstance(activation, str) else str(activation["name"]))
    facts = row if row is None or isinstance(row, Facts) else row(module)
    return Checklist(facts, mean_output(activation), gain(activation))
