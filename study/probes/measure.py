"""From what passed through a layer to its probes."""

import torch
from torch import Tensor

from study.networks import Network
from study.probes.capture import Layer, capture
from study.probes.gradients import convolution_sign_agreement, sign_agreement
from study.probes.signals import mean_and_variance, percentiles, unit_distribution, zero_fraction
from study.probes.slopes import dead_units, linear_fraction, saturated_fraction
from study.probes.weights import (
    distinct_units,
    effective_rank,
    mean_singular_value,
    update_ratio,
    weight_norm,
)
from study.training.task import Task

Numbers = dict[str, Tensor]
"""{probe: a number for each replica, [K]}."""
Distribution = tuple[Tensor, Tensor]
"""Mean and standard deviation of each unit."""

SAME = 1e-6
"""Units are the same if they differ by less than this share of the layer's largest weight."""
JACOBIAN_EXAMPLES = 8
CONVOLUTION_EXAMPLES = 128
"""Images on which the sign agreement of a convolution is measured: it needs each one's gradient."""


def measure(layer: Layer, *, before: Tensor | None = None, thorough: bool = False) -> Numbers:
    """Every probe of one layer but for the shift of its inputs.

    `before`: the layer's weight one update ago, [K, ...]; `thorough` adds the Jacobian and the
    effective rank.
    """
    numbers = _of_signals(layer) | _of_gradients(layer) | _of_weights(layer)
    if before is not None:
        numbers["update_ratio"] = update_ratio(before, layer.weight)
    if thorough:
        numbers["jacobian_singular_value"] = _jacobian(layer)
        numbers["effective_rank"] = effective_rank(layer.weight.flatten(2))
    return numbers


def input_distribution(layer: Layer) -> Distribution:
    """Mean and standard deviation of each unit that feeds the layer: [K or 1, units] each."""
    inputs = layer.inputs
    return unit_distribution(inputs.flatten(3) if inputs.dim() == 5 else inputs.unsqueeze(3))


def _of_signals(layer: Layer) -> Numbers:
    before, after = layer.preactivation, layer.activation
    mean, variance = mean_and_variance(before)
    low, median, high = percentiles(before).unbind(1)
    activation_mean, activation_variance = mean_and_variance(after)
    saturated = saturated_fraction(layer.slope, layer.largest_slope)
    dead = dead_units(layer.slope, layer.largest_slope).to(saturated).mean(1)
    return {
        "preactivation_mean": mean,
        "preactivation_variance": variance,
        "preactivation_p15": low,
        "preactivation_p50": median,
        "preactivation_p85": high,
        "activation_mean": activation_mean,
        "activation_variance": activation_variance,
        "activation_sparsity": zero_fraction(after),
        "dead_fraction": dead.where(~saturated.isnan(), torch.nan),
        "saturated_fraction": saturated,
        "linear_fraction": linear_fraction(layer.slope, layer.largest_slope),
    }


def _of_gradients(layer: Layer) -> Numbers:
    return {
        "gradient_variance": mean_and_variance(layer.gradient)[1],
        "weight_gradient_variance": mean_and_variance(layer.weight_gradient)[1],
        "sign_agreement": _sign_agreement(layer),
    }


def _sign_agreement(layer: Layer) -> Tensor:
    if layer.inputs.dim() == 3:
        return sign_agreement(layer.inputs, layer.gradient.squeeze(3))
    height, width = layer.weight.shape[3:]
    return convolution_sign_agreement(
        layer.inputs[:, :CONVOLUTION_EXAMPLES],
        layer.gradient[:, :CONVOLUTION_EXAMPLES],
        kernel_size=(height, width),
        padding=(height // 2, width // 2),
    )


def _of_weights(layer: Layer) -> Numbers:
    weight = layer.weight
    tolerance = SAME * weight.flatten(1).abs().amax(1)
    distinct = distinct_units(_units(layer), tolerance).double()
    numbers = {
        "distinct_units": distinct.where(tolerance.isfinite(), torch.nan),
        "weight_norm": weight_norm(weight),
    }
    for name, parameter in (("gamma", layer.gamma), ("beta", layer.beta)):
        if parameter is not None:
            mean, variance = mean_and_variance(parameter)
            numbers |= {f"{name}_mean": mean, f"{name}_std": variance.sqrt()}
    return numbers


def _units(layer: Layer) -> Tensor:
    """All that makes a unit what it is, [K, U, D]: weights, bias, gamma and beta of its pieces."""
    count, units = len(layer.weight), layer.activation.shape[2]
    parts = [layer.weight.flatten(2)]
    parts += [p.unsqueeze(2) for p in (layer.bias, layer.gamma, layer.beta) if p is not None]
    by_unit = [part.reshape(count, -1, units, part.shape[2]).transpose(1, 2) for part in parts]
    return torch.cat([part.flatten(2) for part in by_unit], dim=2)


def _jacobian(layer: Layer) -> Tensor:
    """Over the first examples; of a convolution at the centre, as its kernel acts on one patch."""
    position = _centre(layer)
    before = layer.preactivation[:, :JACOBIAN_EXAMPLES, :, position]
    slopes = layer.slope[:, :JACOBIAN_EXAMPLES, :, position]
    if layer.pieces > 1:
        slopes = _largest_pieces(before, layer.pieces)
    slopes = slopes * layer.norm_scale.unsqueeze(1)
    return mean_singular_value(layer.weight.flatten(2), slopes, layer.pieces)


def _largest_pieces(before: Tensor, pieces: int) -> Tensor:
    """Each piece's share of its unit's slope, [K, E, p U]: pieces that tie share it."""
    by_piece = before.unflatten(2, (pieces, -1))
    largest = by_piece == by_piece.amax(2, keepdim=True)
    return (largest / largest.sum(2, keepdim=True)).to(before.dtype).flatten(2)


def _centre(layer: Layer) -> int:
    """The position in the middle of the images: padding keeps their size."""
    if layer.inputs.dim() == 3:
        return 0
    height, width = layer.inputs.shape[3:]
    return height // 2 * width + width // 2


# The probes of one plain network, as it is.


def measured(
    network: Network, inputs: Tensor, targets: Tensor, task: Task, *, thorough: bool = False
) -> dict[str, list[float]]:
    """{probe: a number for each hidden layer} of a network on inputs [N, C, H, W].

    `targets` are what the task compares outputs with; `thorough` adds the Jacobian and the
    effective rank. What needs an earlier moment is left out. The network is left as it was.
    """
    layers = [
        measure(layer, thorough=thorough) for layer in capture(network, inputs, targets, task)
    ]
    return {name: [float(layer[name]) for layer in layers] for name in layers[0]} if layers else {}
