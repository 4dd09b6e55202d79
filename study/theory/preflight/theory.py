"""Mean-field theory of a network at initialization: variances layer by layer, and no data but x.

Forward (Poole et al. 2016, eq. 3; He et al. 2015, eq. 7): pre-activations of a layer of n inputs
are z ~ N(bias, n Var(w) E[a^2] + Var(bias)), and feed the next layer with E[f(z)^2]. For the
identity that is Var(a_k) = (n Var(w))^k E[x^2], the lecture's law. Backward (Glorot & Bengio 2010,
eq. 6; He et al. 2015, eq. 13): E[delta_l^2] = m Var(w') E[f'(z)^2] E[delta_(l+1)^2], with m rows
in the next layer's weight.

Beside E[a^2] the covariances of two of a unit's activations are followed (Poole et al. 2016, eq.
5), because BatchNorm subtracts what all examples have in common and a unit is dead or alive on
all of them. In images these are pairs of examples, and of neighbours, which pooling needs.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from study.networks import Arguments, make_activation
from study.outputs.metrics import PROJECTS
from study.theory.preflight.response import APART, Field, Response, dead_share, respond
from study.theory.preflight.shapes import LayerShape
from study.theory.preflight.weights import Drawn, drawn

SAME_PLACE = "same place"
"""The covariance of a unit of a convolution on two examples at one position."""
LARGEST_OF_FOUR = (1.0293753730039641, 0.4917152368747342)
"""Mean and variance of the largest of four independent standard normals."""

OutputGradient = Callable[[float, float], float]
"""(mean, variance) of the outputs -> the sum over them of E[(d loss / d output)^2]."""

PREDICTED = tuple(name for name, probe in PROJECTS.items() if probe.predicted)


def neighbours(distance: int) -> str:
    """The name of the covariance of two places of one image, `distance` pixels apart."""
    return f"{distance} apart"


@dataclass(frozen=True)
class Signal:
    """What a layer is given: E[a^2], and the mean product of two activations of one unit."""

    second: float
    shared: Mapping[str, float]


@dataclass(frozen=True)
class _Forward:
    """A hidden layer after the forward pass.

    `gradient_of_layer`: E[delta^2] of its pre-activations over that of what the block returns;
    `gradient_of_inputs`: E[delta^2] of its inputs over that of its pre-activations.
    """

    field: Field
    response: Response
    passed: Signal
    gradient_of_layer: float
    gradient_of_inputs: float


def predict(
    layers: Sequence[LayerShape],
    output: LayerShape,
    inputs: Signal,
    config_init: Arguments,
    config_activation: Arguments,
    *,
    output_gradient: OutputGradient,
    num_examples: int,
) -> dict[str, list[float]]:
    """{probe: a number for each hidden layer}, for `PREDICTED`; nan where theory has no word.

    Constant weights other than zero make all units of a layer equal: no mean field, and nothing but
    the number of distinct units is predicted. Nothing at all is where a variance is not known.
    """
    all_drawn = [drawn(config_init, config_activation, shape) for shape in (*layers, output)]
    distinct = [
        1.0 if each.is_alike else float(shape.units) if each.is_known else math.nan
        for shape, each in zip(layers, all_drawn, strict=False)
    ]
    if not all(each.is_known for each in all_drawn):
        unknown = {name: [math.nan] * len(layers) for name in PREDICTED}
        return unknown | {"distinct_units": distinct}
    activation = copy.deepcopy(make_activation(config_activation)).double()
    passed, forward = inputs, []
    for shape, weights in zip(layers, all_drawn, strict=False):
        forward.append(_forward(shape, weights, passed, activation))
        passed = forward[-1].passed
    field, per_output = _linear(output, all_drawn[-1], passed)
    gradient = output_gradient(field.mean, field.variance) * per_output / output.rows
    gradients = []
    for layer in reversed(forward):
        gradients.append(gradient * layer.gradient_of_layer)
        gradient = gradients[-1] * layer.gradient_of_inputs
    responses = [layer.response for layer in forward]
    return {
        "preactivation_mean": [layer.field.mean for layer in forward],
        "preactivation_variance": [layer.field.variance for layer in forward],
        "activation_mean": [response.mean for response in responses],
        "activation_variance": [
            max(each.second - each.mean * each.mean, 0.0) for each in responses
        ],
        "gradient_variance": gradients[::-1],
        "dead_fraction": [
            dead_share(_function(shape, activation), each.field, num_examples * shape.num_positions)
            for shape, each in zip(layers, forward, strict=True)
        ],
        "distinct_units": distinct,
    }


def _function(shape: LayerShape, activation: nn.Module) -> nn.Module:
    return nn.Identity() if shape.is_linear else activation


def _linear(shape: LayerShape, weights: Drawn, given: Signal) -> tuple[Field, float]:
    """What weights make of a signal, and E[delta^2] of the inputs over that of the outputs.

    With weights that are scaled on data (lsuv) the outputs' variance is 1.
    """
    taps = shape.inputs * weights.num_taps(shape)
    variance = weights.variance
    if weights.to_unit_variance:
        variance = 1 / (taps * given.second) if given.second else math.nan
    scale, bias = taps * variance, weights.bias_variance
    shared = {name: scale * value + bias for name, value in given.shared.items()}
    if SAME_PLACE in shared and not shape.convolves:
        shared = {APART: shared[SAME_PLACE]}
    field = Field(weights.bias_mean, scale * given.second + bias, shared)
    return field, shape.rows * weights.num_taps(shape) * variance


def _forward(shape: LayerShape, weights: Drawn, given: Signal, activation: nn.Module) -> _Forward:
    field, of_inputs = _linear(shape, weights, given)
    function = _function(shape, activation)
    if shape.norm == "before":
        # Less what all examples of a unit have in common.
        common = field.common
        divisor = field.variance - common + shape.eps
        shared = {name: (value - common) / divisor for name, value in field.shared.items()}
        field = Field(0.0, (field.variance - common) / divisor, shared)
        of_inputs /= divisor
    response = respond(function, field)
    after, kept = response, shape.kept_share
    if shape.pool == "max":
        # The largest of 2x2 neighbours, and what f makes of it: that is pooled, if f rises. z is
        # what the four have in common + what each has alone; the largest is taken as normal.
        common = min(max(field.shared[neighbours(1)], 0.0), field.variance)
        alone = field.variance - common
        mean, variance = LARGEST_OF_FOUR
        largest = field.mean + mean * math.sqrt(alone)
        after = respond(function, replace(field, mean=largest, variance=common + variance * alone))
    passed, of_layer = Signal(after.second, after.shared), after.slope
    if shape.norm == "after":
        passed, of_layer = _normalized(response, after, shape.eps)
    if shape.pool == "average":
        # The square of the mean of 2x2 neighbours is the mean of 4 squares and 12 products.
        second = (passed.second + 3 * passed.shared[neighbours(1)]) / 4
        passed, of_layer = Signal(second, passed.shared), of_layer / 4
    if shape.pool:
        passed = Signal(passed.second, _further_apart(passed.shared))
    return _Forward(field, response, passed, of_layer * kept, of_inputs)


def _normalized(response: Response, after: Response, eps: float) -> tuple[Signal, float]:
    """Activations after BatchNorm, and E[f'^2 / (variance of the unit + eps)].

    Without pooling (`after` is `response`) each unit is divided by its own variance over examples.
    Maxout units, and pooled ones, are divided by the mean of these variances.
    """
    common = response.shared[APART]
    divisor = response.second - common + eps
    shared = {name: (value - common) / divisor for name, value in after.shared.items()}
    if after is not response:
        mean = response.mean
        offset = mean * mean - 2 * mean * after.mean
        shared = {name: (value + offset) / divisor for name, value in after.shared.items()}
        return Signal((after.second + offset) / divisor, shared), after.slope / divisor
    if response.by_unit is None:
        return Signal((response.second - common) / divisor, shared), response.slope / divisor
    weights, mean, second, slope = response.by_unit
    variance = (second - mean.square()).clamp_min(0)
    normal = float(weights @ (variance / (variance + eps)))
    factor = float(weights @ (slope / (variance + eps)))
    return Signal(normal, shared), factor


def _further_apart(shared: Mapping[str, float]) -> dict[str, float]:
    """Pairs of pooled places: neighbours come from places twice as far apart."""
    renamed = {name: value for name, value in shared.items() if name in (APART, SAME_PLACE)}
    distance = 1
    while neighbours(2 * distance) in shared:
        renamed[neighbours(distance)] = shared[neighbours(2 * distance)]
        distance *= 2
    return renamed
