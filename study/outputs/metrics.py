"""Every probe by name: what it measures, in words. Imports nothing heavy.

A layer is a hidden block, counted from 1. A unit of a dense layer is one of its outputs, a unit of
a convolution one of its channels, whose examples are all positions of all images.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.config.configuration import RECONSTRUCTION


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


# The metrics a table can show: label, unit, direction and a glossary line each.


@dataclass(frozen=True)
class Metric:
    """What a number of `result.json` means and how a table prints it.

    `direction`: "lower" or "higher" is better, or "none". `scale` turns the recorded number into
    `unit`. `decimals`: None prints `digits` significant digits. `per_cell`: one number for the
    whole cell, not one per replica. `fixed`: {factor: level} that its name leaves out. `lacking`:
    of which nets there is no such number, "" if every one may have it.
    """

    name: str
    label: str
    unit: str
    direction: str
    help: str
    decimals: int | None = 4
    scale: float = 1.0
    per_cell: bool = False
    digits: int = 4
    fixed: Mapping[str, str] = field(default_factory=dict)
    lacking: str = ""

    def value(self, owner: Mapping[str, Any]) -> float | None:
        """The number in a replica (or in a result, if `per_cell`); None when not finite."""
        number = owner.get(self.name)
        return None if number is None else float(number)

    @property
    def is_of_data(self) -> bool:
        """Whether the number is a loss or an error: of other images it would be another."""
        return self.name.endswith(("_error", "_loss"))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that an error, a loss or a share can be, in its unit."""
        return 0.0, 100.0 if self.unit == "%" else math.inf

    @property
    def follows_training(self) -> bool:
        """Whether training, and so its learning rate, changes the number."""
        return True

    def is_measured(self, replica: Mapping[str, Any]) -> bool:
        """Whether the number was taken of a replica, finite or not."""
        return True

    def text(self, number: float) -> str:
        """`number` in this metric's unit, with its decimals or significant digits."""
        scaled = number * self.scale
        if self.decimals is None:
            return f"{scaled + 0.0:.{self.digits}g}"  # + 0.0: no -0
        if scaled != 0 and not 1e-4 <= abs(scaled) < 1e5 and self.unit != "%":
            return f"{scaled:.3g}"
        text = f"{scaled:.{self.decimals}f}"
        return text.lstrip("-") if float(text) == 0 else text


_SPLITS = {
    "train": ("training", "the training set, in evaluation mode"),
    "val": ("validation", "the validation set"),
    "test": ("test", "the test set (read once, after training)"),
}
_STATES = {
    "": ("", "of the best epoch (lowest validation error)"),
    "last_": (", last epoch", "of the last epoch"),
}


def _split_metrics() -> list[Metric]:
    metrics = []
    for prefix, (suffix, weights) in _STATES.items():
        for split, (word, images) in _SPLITS.items():
            wrong = f"share of images of {images} that the weights {weights} classify wrongly"
            mean = f"mean loss over {images}, with the weights {weights}"
            label = f"{word} error{suffix}"
            name = f"{prefix}{split}_error"
            metrics.append(Metric(name, label, "%", "lower", wrong, 2, 100.0))
            name = f"{prefix}{split}_loss"
            metrics.append(Metric(name, f"{word} loss{suffix}", "", "lower", mean))
    return metrics


_OTHERS = [
    Metric(
        "best_epoch",
        "best epoch",
        "epochs",
        "none",
        "epoch with the lowest validation error (then validation loss, then the earliest); "
        "a diverged replica has none",
        decimals=1,
    ),
    Metric(
        "chosen_lr",
        "chosen learning rate",
        "",
        "none",
        "learning rate with the lowest validation error averaged over all seeds",
        decimals=None,
        per_cell=True,
    ),
    Metric(
        "wall_seconds",
        "training time",
        "s",
        "none",
        "wall time of training and evaluating the replicas that were trained in this cell; not of "
        "preparing the data, nor of replicas copied from an earlier cell",
        decimals=1,
        per_cell=True,
    ),
    Metric(
        "pretraining_seconds",
        "pretraining time",
        "s",
        "none",
        "wall time of pretraining, for all seeds of a cell",
        decimals=1,
        per_cell=True,
    ),
]

METRICS: dict[str, Metric] = {metric.name: metric for metric in [*_split_metrics(), *_OTHERS]}


def _reconstruction_metrics() -> list[Metric]:
    metrics = []
    for prefix, (suffix, weights) in _STATES.items():
        for split, (word, images) in _SPLITS.items():
            label = f"squared error summed over pixels, mean over {word} images{suffix}"
            meaning = (
                "squared difference of an image and its reconstruction, summed over pixels (as "
                f"normalized), mean over {images}, with the weights {weights}"
            )
            metrics.append(Metric(f"{prefix}{split}_error", label, "", "lower", meaning, 2))
    return metrics


OF_TASK: dict[str, dict[str, Metric]] = {
    RECONSTRUCTION: {metric.name: metric for metric in _reconstruction_metrics()}
}
"""The metrics that mean something else where the task is not classification."""


def depends_on_task(metric: Metric) -> bool:
    """Whether a number of one task cannot stand beside one of another."""
    return metric.is_of_data


# By name the formula and the source of every metric of tables, probe and quantity of claims.
#
# z: pre-activations, a = f(z) activations, x: a layer's inputs, W its weights, L_n the loss of
# example n, L its mean over examples; n counts examples (of a convolution positions too), i units.
# y is what a net gives, t the target. What a name means in words stands beside it in
# docs/metrics.md.


Formula = tuple[str, str]
"""The formula, and where it is from; the source may be empty."""

GLOROT = "Glorot & Bengio 2010"
BATCHNORM = "Ioffe & Szegedy 2015"

_ERROR = "mean over n of [argmax y_n ≠ t_n]"
_LOSS = "mean over n of −log softmax(y_n)[t_n]; with `loss=squared_error` of Σ_c (y_nc − t_nc)²"
_LOSSES: dict[str, Formula] = {
    f"{state}{split}_{kind}": (formula, "")
    for state in ("", "last_")
    for split in ("train", "val", "test")
    for kind, formula in (("error", _ERROR), ("loss", _LOSS))
}

METRIC_FORMULAS: Mapping[str, Formula] = {
    **_LOSSES,
    "best_epoch": ("argmin over epochs of (val_error, val_loss, epoch)", ""),
    "chosen_lr": ("argmin over lr of (mean over seeds of val_error, of val_loss, lr)", ""),
    "wall_seconds": ("clock", ""),
    "pretraining_seconds": ("clock", ""),
}

RECONSTRUCTION_FORMULA: Formula = (
    "mean over n of Σ_p (y_np − x_np)², p over pixels",
    "Hinton & Salakhutdinov 2006",
)
"""Of every error where the net is an autoencoder."""

PROBE_FORMULAS: Mapping[str, Formula] = {
    "preactivation_mean": ("mean over n, i of z_ni", ""),
    "preactivation_variance": ("mean over n, i of (z_ni − mean z)²", ""),
    "preactivation_p15": ("15th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "preactivation_p50": ("50th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "preactivation_p85": ("85th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "activation_mean": ("mean over n, i of a_ni", f"{GLOROT}, fig. 2"),
    "activation_variance": ("mean over n, i of (a_ni − mean a)²", f"{GLOROT}, fig. 6"),
    "activation_sparsity": ("mean over n, i of [a_ni = 0]", "Glorot, Bordes & Bengio 2011"),
    "dead_fraction": ("mean over i of [max_n abs f'(z_ni) < 0.01 sup abs f']", "the lecture"),
    "dead_fraction_train": ("the same, n over the training set", "the lecture"),
    "saturated_fraction": ("mean over n, i of [abs f'(z_ni) < 0.01 sup abs f']", "this project"),
    "linear_fraction": ("mean over n, i of [abs f'(z_ni) ≥ 0.5 sup abs f']", "this project"),
    "gradient_variance": ("variance over n, i of ∂L_n/∂z_ni", f"{GLOROT}, fig. 7"),
    "weight_gradient_variance": ("variance over j of ∂L/∂W_j", f"{GLOROT}, section 4.2"),
    "sign_agreement": (
        "mean over n, i of (1 + abs Σ_j s_nij / Σ_j abs s_nij) / 2, s_nij = sign ∂L_n/∂W_ij",
        "after LeCun et al. 1998, section 4.3",
    ),
    "jacobian_singular_value": (
        "mean over n, k of σ_k(diag(f'(z_n)) W)",
        f"{GLOROT}, section 4.2.1",
    ),
    "distinct_units": (
        "classes of units whose rows (W_i, b_i, γ_i, β_i) differ by at most 1e-6 max abs W",
        "this project",
    ),
    "update_ratio": ("norm(W' − W) / norm(W), W' after the update", "this project"),
    "weight_norm": ("sqrt(Σ_ij W_ij²)", ""),
    "effective_rank": (
        "exp(−Σ_k p_k log p_k), p_k = σ_k / Σ_l σ_l, σ of W",
        "Roy & Vetterli 2007, definition 1",
    ),
    "input_shift": (
        "mean over i of sqrt((m'_i − m_i)² + (s'_i − s_i)²) / sqrt(mean over i of s_i²), m and s "
        "mean and standard deviation of x_i at the last probe, m' and s' now",
        "distance: Givens & Shortt 1984, proposition 7; notion: Ioffe & Szegedy 2015",
    ),
    "gamma_mean": ("mean over i of γ_i", BATCHNORM),
    "gamma_std": ("sqrt(mean over i of (γ_i − mean γ)²)", BATCHNORM),
    "beta_mean": ("mean over i of β_i", BATCHNORM),
    "beta_std": ("sqrt(mean over i of (β_i − mean β)²)", BATCHNORM),
}

_BARRIER = "max over α of L((1 − α) w + α w') − [(1 − α) L(w) + α L(w')]"
_ENTEZARI = "Entezari et al. 2022"

QUANTITIES: Mapping[str, Formula] = {
    "diverged": ("100 [the last loss is not finite, or over 1,000 times that before training]", ""),
    "epoch_seconds": ("seconds of training / epochs", ""),
    "epochs_to_train_error": ("min {epoch: error while it trained ≤ target}", ""),
    "epochs_to_val_error": ("min {epoch: val_error ≤ target}", ""),
    "pairs.barrier": (f"{_BARRIER}, L the training loss", _ENTEZARI),
    "pairs.test_barrier": (f"{_BARRIER}, L the test loss", _ENTEZARI),
    "pairs.error_barrier": (f"{_BARRIER}, L the test error", _ENTEZARI),
    "pairs.disagreement": ("mean over n of [argmax y_n ≠ argmax y'_n]", "Fort et al. 2019"),
    "pairs.distance": ("norm(w' − w)", ""),
    "pairs.relative_distance": ("norm(w' − w) / sqrt((norm(w)² + norm(w')²) / 2)", ""),
    "pairs.cosine": ("w · w' / (norm(w) norm(w'))", "Fort et al. 2019"),
}


# How fast a quantity changes from layer to layer. Pure Python: tables import it.


def depth_slope(values: Sequence[float]) -> float:
    """Decades by which values grow from one layer to the next; negative if they shrink.

    The least-squares slope of log10(value) over depth (compare Glorot & Bengio 2010, section 4.2:
    gradients that shrink or grow with depth). `values` are in order of depth; what is not a
    positive finite number is skipped, its place kept. nan if fewer than two are left.

    >>> round(depth_slope([1e-4, 1e-3, 0.0, 1e-1]), 6)
    1.0
    """
    points = [
        (depth, math.log10(value)) for depth, value in enumerate(values) if 0 < value < math.inf
    ]
    if len(points) < 2:
        return math.nan
    mean_depth = sum(depth for depth, _ in points) / len(points)
    mean_log = sum(log for _, log in points) / len(points)
    covariance = sum((depth - mean_depth) * (log - mean_log) for depth, log in points)
    return covariance / sum((depth - mean_depth) ** 2 for depth, _ in points)
