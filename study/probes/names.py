"""Every probe by name: what it measures, in words. Imports nothing heavy.

A layer is a hidden block, counted from 1. A unit of a dense layer is one of its outputs, a unit of
a convolution one of its channels, whose examples are all positions of all images.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """What one column of probes.csv holds: a number of one layer of one replica at one moment.

    `unit` is "%" for a share, which is recorded as a fraction. `always`: every net has it at every
    moment, so that an empty field is a number that is not finite. `lacking`: of which nets there is
    none, where that is no matter of settings.
    """

    name: str
    label: str
    help: str
    unit: str = ""
    always: bool = True
    lacking: str = ""


_of_slope = functools.partial(
    Probe,
    unit="%",
    always=False,
    lacking="an activation whose slope has no bound, as squared ReLU's, has none",
)
"""A share of the largest |f'|."""

_ALL = (
    Probe("preactivation_mean", "mean pre-activation", "mean input of the activation function"),
    Probe(
        "preactivation_variance",
        "variance of pre-activations",
        "variance of the inputs of the activation function, over examples and units",
    ),
    Probe(
        "preactivation_p15",
        "15th percentile of pre-activations",
        "15th percentile of the inputs of the activation function (Ioffe & Szegedy 2015, fig. 1)",
    ),
    Probe(
        "preactivation_p50",
        "median pre-activation",
        "median of the inputs of the activation function",
    ),
    Probe(
        "preactivation_p85",
        "85th percentile of pre-activations",
        "85th percentile of the inputs of the activation function",
    ),
    Probe("activation_mean", "mean activation", "mean output of the activation function"),
    Probe(
        "activation_variance",
        "variance of activations",
        "variance of the outputs of the activation function, over examples and units",
    ),
    Probe(
        "activation_sparsity",
        "zero activations",
        "share of units x examples whose activation is exactly 0",
        "%",
    ),
    _of_slope(
        "dead_fraction",
        "dead units",
        "share of units whose |f'| stays under 1 % of its largest value on every image of the "
        "probe batch (a ReLU that is never active)",
    ),
    _of_slope(
        "dead_fraction_train",
        "dead units on the training set",
        "as dead_fraction, but over every training image, in evaluation mode; taken at the end "
        "alone",
    ),
    _of_slope(
        "saturated_fraction",
        "saturation",
        "share of units x examples with |f'| under 1 % of its largest value: off, where f is flat "
        "on one side alone (ReLU), saturated, where it is flat on both (tanh)",
    ),
    _of_slope(
        "linear_fraction",
        "linear region",
        "share of units x examples with |f'| at least half its largest value",
    ),
    Probe(
        "gradient_variance",
        "variance of back-propagated gradients",
        "variance, over examples and units, of each example's loss differentiated by its "
        "pre-activations (Glorot & Bengio 2010, fig. 7)",
    ),
    Probe(
        "weight_gradient_variance",
        "variance of weight gradients",
        "variance over a layer's weights of the mean loss differentiated by them (Glorot & Bengio "
        "2010, section 4.2)",
    ),
    Probe(
        "sign_agreement",
        "sign agreement of weight gradients",
        "share of a unit's incoming weight gradients that have the sign of most of them, for one "
        "example, averaged over examples and units that have a gradient",
        "%",
    ),
    Probe(
        "jacobian_singular_value",
        "mean singular value of the Jacobian",
        "mean singular value of a layer's activations differentiated by its inputs (Glorot & "
        "Bengio 2010, section 4.2.1), over a few examples; of a convolution, at its centre",
        always=False,
    ),
    Probe(
        "distinct_units",
        "distinct units",
        "number of units that differ in incoming weights, bias, gamma or beta by more than 1e-6 "
        "of the layer's largest weight; 1 is a symmetry that never broke",
    ),
    Probe(
        "update_ratio",
        "update-to-weight ratio",
        "norm of the last update of a layer's weights over the norm of these weights before it",
        always=False,
    ),
    Probe("weight_norm", "norm of the weights", "Frobenius norm of a layer's weights"),
    Probe(
        "effective_rank",
        "effective rank of the weights",
        "exp of the entropy of the singular values' shares of their sum (Roy & Vetterli 2007)",
        always=False,
    ),
    Probe(
        "input_shift",
        "shift of the layer's inputs",
        "distance of each input unit's distribution from the one at the last probe "
        "(2-Wasserstein, of normals with their means and variances), averaged over units, over "
        "the root mean square of their standard deviations there: internal covariate shift",
        always=False,
    ),
    Probe("gamma_mean", "mean gamma", "mean of BatchNorm's gamma", always=False),
    Probe(
        "gamma_std",
        "spread of gamma",
        "standard deviation of BatchNorm's gamma over units",
        always=False,
    ),
    Probe("beta_mean", "mean beta", "mean of BatchNorm's beta", always=False),
    Probe(
        "beta_std",
        "spread of beta",
        "standard deviation of BatchNorm's beta over units",
        always=False,
    ),
)

PROBES: dict[str, Probe] = {probe.name: probe for probe in _ALL}

OFF, SATURATED, NEITHER = "units that are off", "saturation", ""
OFF_OR_SATURATED = "off or saturated units"
FLAT: dict[str, str] = {
    **dict.fromkeys(("sigmoid", "tanh", "hard_tanh", "softsign", "lecun_tanh"), SATURATED),
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "elu", "selu"), OFF),
    **dict.fromkeys(("gelu", "silu", "mish", "softplus"), OFF),
    **dict.fromkeys(("identity", "maxout"), NEITHER),
}
"""By activation what a unit is where |f'| is under 1 % of its largest value.

SATURATED if f is flat at both ends of the line, OFF if it may be at one, NEITHER if it never is. Of
an activation that is not here it is not known.
"""


def label_among(name: str, activations: Iterable[str]) -> str:
    """What a probe is called of nets with these activations: ReLU's units are not saturated.

    >>> label_among("saturated_fraction", ["relu"]), label_among("saturated_fraction", ["tanh"])
    ('units that are off', 'saturation')
    """
    if name != "saturated_fraction":
        return PROBES[name].label
    found = {FLAT.get(each, OFF_OR_SATURATED) for each in activations} - {NEITHER}
    return found.pop() if len(found) == 1 else OFF_OR_SATURATED


ROW = ("seed", "lr", "step", "epoch", "layer")
"""The columns of probes.csv before the probes'.

`step`: updates done; `epoch`: whole epochs done.
"""
