"""Rules that flag a cell before it is trained: thresholds set beforehand, each with its reason."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Layers = Sequence[float]
Numbers = Mapping[str, Layers]
"""{probe: a number for each hidden layer}; nan where there is none."""

RATIO = 1e4
"""Between the variances of the first and the last hidden layer."""
DEAD = 0.25
"""The share of a layer's units."""


@dataclass(frozen=True)
class Rule:
    """One reason to flag a cell: `holds(numbers, num_units)` decides from layers in order."""

    code: str
    name: str
    statement: str
    reason: str
    holds: Callable[[Numbers, Sequence[int]], bool]


def _shrinks(values: Layers) -> bool:
    """Whether the last is under a RATIO-th of the first, or 0."""
    if not _all_finite(values):
        return False
    return values[-1] == 0 or values[-1] * RATIO < values[0]


def _grows(values: Layers) -> bool:
    """Whether the last is over RATIO times the first, or one is infinite."""
    if not _all_finite(values):
        return math.inf in values
    return values[-1] > RATIO * values[0] > 0


def _all_finite(values: Layers) -> bool:
    return bool(values) and all(map(math.isfinite, values))


def _activations(numbers: Numbers) -> Layers:
    return numbers["activation_variance"]


def _gradients(numbers: Numbers) -> Layers:
    """From the last hidden layer back to the first."""
    return numbers["gradient_variance"][::-1]


_DECADES = (
    "a factor of 100 in standard deviation between the ends is the range of learning rates that "
    "one tries for a whole network"
)

RULES = (
    Rule(
        "A-",
        "activations vanish",
        "activation variance: last / first layer < 1e-4, or last 0",
        _DECADES,
        lambda numbers, num_units: _shrinks(_activations(numbers)),
    ),
    Rule(
        "A+",
        "activations explode",
        "activation variance: last / first layer > 1e4, or not finite",
        _DECADES,
        lambda numbers, num_units: _grows(_activations(numbers)),
    ),
    Rule(
        "G-",
        "gradients vanish",
        "gradient variance: first / last layer < 1e-4, or first 0",
        _DECADES,
        lambda numbers, num_units: _shrinks(_gradients(numbers)),
    ),
    Rule(
        "G+",
        "gradients explode",
        "gradient variance: first / last layer > 1e4, or not finite",
        _DECADES,
        lambda numbers, num_units: _grows(_gradients(numbers)),
    ),
    Rule(
        "D",
        "units die",
        f"a hidden layer has {DEAD:.0%} dead units or more on the probe batch",
        "a ReLU layer to which all examples look alike loses half of its units; this is half of it",
        lambda numbers, num_units: any(share >= DEAD for share in numbers["dead_fraction"]),
    ),
    Rule(
        "S",
        "symmetry never breaks",
        "a hidden layer of several units has one distinct unit",
        "equal units get equal gradients, and stay equal",
        lambda numbers, num_units: any(
            distinct == 1 < units
            for distinct, units in zip(numbers["distinct_units"], num_units, strict=True)
        ),
    ),
)


def flags(numbers: Numbers, num_units: Sequence[int]) -> list[str]:
    """The codes of the rules that hold for one network, or for one prediction."""
    return [rule.code for rule in RULES if rule.holds(numbers, num_units)]
