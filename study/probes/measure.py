"""The probes: from what passed through a layer to the numbers of study/outputs/metrics.py."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from study.errors import InputError
from study.networks import Network
from study.outputs.metrics import PROJECTS, Metric
from study.probes import gradients, signals, slopes, weights
from study.probes.capture import Layer, capture
from study.probes.signals import mean_and_variance
from study.training.task import Task

Numbers = dict[str, Tensor]
"""{probe: a number for each replica, [K]}."""
Take = Callable[[Layer], Tensor | Sequence[Tensor] | None]
"""A layer's number or numbers, [K] each; None where it has none."""

SAME = 1e-6
"""Units are the same if they differ by less than this share of the layer's largest weight."""
JACOBIAN_EXAMPLES = 8
CONVOLUTION_EXAMPLES = 128
"""Images on which the sign agreement of a convolution is measured: it needs each one's gradient."""

TAKEN: list[tuple[list[Metric], Take]] = []
"""What is measured by which function, in the order of this file."""
OWN_PROBES: dict[str, Callable[[Layer], Tensor | None]] = {}
"""What takes each number that `probes.own` may name: a user's own, of folders of levels."""


def probe(*names: str) -> Callable[[Take], Take]:
    """Declares that a function takes these probes, which have rows in the table of metrics."""

    def declare(take: Take) -> Take:
        TAKEN.append(([PROJECTS[name] for name in names], take))
        return take

    return declare


def measure(layer: Layer, *, thorough: bool = False, own: Sequence[str] = ()) -> Numbers:
    """Every probe of one layer that it has, with a user's `own` of these names.

    `thorough` adds those of thorough moments.
    """
    numbers: Numbers = {}
    for rows, take in TAKEN:
        if rows[0].when == "thorough" and not thorough:
            continue
        taken = take(layer)
        if taken is not None:
            values = [taken] if isinstance(taken, Tensor) else taken
            numbers |= zip((row.name for row in rows), values, strict=True)
    for name in own:
        number = OWN_PROBES[name](layer)
        if number is None:
            continue
        if not isinstance(number, Tensor) or number.shape != layer.weight.shape[:1]:
            shape = list(number.shape) if isinstance(number, Tensor) else type(number).__name__
            raise InputError(
                f"probes.own={name} returns {shape}: it takes a tensor of a number for each of "
                f"{len(layer.weight)} networks, [{len(layer.weight)}], or None"
            )
        numbers[name] = number.detach()
    return numbers


def measured(
    network: Network, inputs: Tensor, targets: Tensor, task: Task, *, thorough: bool = False
) -> dict[str, list[float]]:
    """{probe: a number for each hidden layer} of a plain network on inputs [N, C, H, W].

    `targets` are what the task compares outputs with; `thorough` adds the probes of thorough
    moments. What needs an earlier moment is left out. The network is left as it was.
    """
    layers = [
        measure(layer, thorough=thorough) for layer in capture(network, inputs, targets, task)
    ]
    return {name: [float(layer[name]) for layer in layers] for name in layers[0]} if layers else {}


@probe("preactivation_mean", "preactivation_variance")
def preactivation(layer: Layer) -> tuple[Tensor, Tensor]:
    return mean_and_variance(layer.preactivation)


@probe("preactivation_p15", "preactivation_p50", "preactivation_p85")
def preactivation_percentiles(layer: Layer) -> Sequence[Tensor]:
    return signals.percentiles(layer.preactivation).unbind(1)


@probe("activation_mean", "activation_variance")
def activation(layer: Layer) -> tuple[Tensor, Tensor]:
    return mean_and_variance(layer.activation)


@probe("activation_sparsity")
def activation_sparsity(layer: Layer) -> Tensor:
    return signals.zero_fraction(layer.activation)


@probe("dead_fraction", "saturated_fraction", "linear_fraction")
def shares_of_slopes(layer: Layer) -> tuple[Tensor, ...]:
    """Nan for dead units, too, where a slope is, or |f'| has no bound."""
    saturated = slopes.saturated_fraction(layer.slope, layer.largest_slope)
    dead = slopes.dead_units(layer.slope, layer.largest_slope).to(saturated).mean(1)
    linear = slopes.linear_fraction(layer.slope, layer.largest_slope)
    return dead.where(~saturated.isnan(), torch.nan), saturated, linear


@probe("gradient_variance")
def gradient_variance(layer: Layer) -> Tensor:
    return mean_and_variance(layer.gradient)[1]


@probe("weight_gradient_variance")
def weight_gradient_variance(layer: Layer) -> Tensor:
    return mean_and_variance(layer.weight_gradient)[1]


@probe("sign_agreement")
def sign_agreement(layer: Layer) -> Tensor:
    if not layer.convolves:
        return gradients.sign_agreement(layer.inputs, layer.gradient.squeeze(3))
    height, width = layer.weight.shape[3:]
    return gradients.convolution_sign_agreement(
        layer.inputs[:, :CONVOLUTION_EXAMPLES],
        layer.gradient[:, :CONVOLUTION_EXAMPLES],
        kernel_size=(height, width),
        padding=(height // 2, width // 2),
    )


@probe("jacobian_singular_value")
def jacobian_singular_value(layer: Layer) -> Tensor:
    """Over the first examples; of a convolution at the centre, as its kernel acts on one patch."""
    position = 0
    if layer.convolves:
        height, width = layer.inputs.shape[3:]
        position = height // 2 * width + width // 2
    slope = layer.slope[:, :JACOBIAN_EXAMPLES, :, position]
    if layer.pieces > 1:
        # Each piece's share of its unit's slope: pieces that tie share it.
        before = layer.preactivation[:, :JACOBIAN_EXAMPLES, :, position]
        by_piece = before.unflatten(2, (layer.pieces, -1))
        largest = by_piece == by_piece.amax(2, keepdim=True)
        slope = (largest / largest.sum(2, keepdim=True)).to(before.dtype).flatten(2)
    slope = slope * layer.norm_scale.unsqueeze(1)
    return weights.mean_singular_value(layer.weight.flatten(2), slope, layer.pieces)


@probe("distinct_units")
def distinct_units(layer: Layer) -> Tensor:
    """By all that makes a unit what it is: weights, bias, gamma and beta of its pieces."""
    count, units = len(layer.weight), layer.activation.shape[2]
    parts = [layer.weight.flatten(2)]
    parts += [p.unsqueeze(2) for p in (layer.bias, layer.gamma, layer.beta) if p is not None]
    by_unit = [part.reshape(count, -1, units, part.shape[2]).transpose(1, 2) for part in parts]
    rows = torch.cat([part.flatten(2) for part in by_unit], dim=2)
    tolerance = SAME * layer.weight.flatten(1).abs().amax(1)
    distinct = weights.distinct_units(rows, tolerance).double()
    return distinct.where(tolerance.isfinite(), torch.nan)


@probe("update_ratio")
def update_ratio(layer: Layer) -> Tensor | None:
    before = layer.weight_before
    return None if before is None else weights.update_ratio(before, layer.weight)


@probe("weight_norm")
def weight_norm(layer: Layer) -> Tensor:
    return weights.weight_norm(layer.weight)


@probe("effective_rank")
def effective_rank(layer: Layer) -> Tensor:
    return weights.effective_rank(layer.weight.flatten(2))


@probe("input_shift")
def input_shift(layer: Layer) -> Tensor | None:
    before = layer.inputs_before
    return None if before is None else signals.input_shift(before, layer.input_distribution)


@probe("gamma_mean", "gamma_std")
def gamma(layer: Layer) -> tuple[Tensor, Tensor] | None:
    return _mean_and_std(layer.gamma)


@probe("beta_mean", "beta_std")
def beta(layer: Layer) -> tuple[Tensor, Tensor] | None:
    return _mean_and_std(layer.beta)


def _mean_and_std(parameter: Tensor | None) -> tuple[Tensor, Tensor] | None:
    if parameter is None:
        return None
    mean, variance = mean_and_variance(parameter)
    return mean, variance.sqrt()
