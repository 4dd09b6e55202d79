"""The table of metrics: a row for every number that is recorded, and for every one that claims add.

The columns of probes.csv, `--metric`, docs/metrics.md and docs/probes.md, TensorBoard's charts and
final numbers and what a pre-flight predicts follow from it. Imports nothing heavy.

In formulas: z: pre-activations, a = f(z) activations, x: a layer's inputs, W its weights, L_n the
loss of example n, L its mean over examples; n counts examples (of a convolution positions too), i
units. y is what a net gives, t the target. A layer is a hidden block, counted from 1. A unit of a
dense layer is one of its outputs, a unit of a convolution one of its channels, whose examples are
all positions of all images.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from study.config import own
from study.config.configuration import RECONSTRUCTION
from study.config.level_source import WORDS
from study.errors import InputError

Chart = Literal["", "signals", "gradients", "units", "weights", "BatchNorm", "own"]
"""TensorBoard's categories of charts, in order; a metric without one has no chart there."""

When = Literal["every", "later", "thorough", "last"]
"""At which moments: at every one, not at the first, at the thorough ones, or at the last alone."""


@dataclass(frozen=True)
class Metric:
    """A row: what a number means, when it is recorded, and how and where it is shown.

    `per`: there is one for each replica, for the whole cell, or for each layer of a replica at each
    moment (a probe); "seed": claims compute one for each seed. `unit`: "%" for a share, which is
    recorded as a fraction. `direction`: "lower" or "higher" is better, or "none". `when`: at which
    moments, of a probe. `lacking`: of which nets there is no such number, where that is no matter
    of settings; "" if every one may have it. `of_norm`: only nets with BatchNorm have it.

    `scale` turns the recorded number into `unit`. `decimals`: None prints `digits` significant
    digits. `fixed`: {factor: level} that its name leaves out. `chart`: TensorBoard's category of a
    probe. `final`: a probe whose mean over layers is one of a run's final numbers there.
    `predicted`: a probe that the pre-flight's theory predicts.
    """

    name: str
    label: str
    unit: str
    direction: str
    help: str
    formula: str = ""
    source: str = ""
    per: Literal["replica", "cell", "layer", "seed"] = "replica"
    when: When = "last"
    lacking: str = ""
    of_norm: bool = False
    decimals: int | None = 4
    scale: float = 1.0
    digits: int = 4
    fixed: Mapping[str, str] = field(default_factory=dict)
    chart: Chart = ""
    final: bool = False
    predicted: bool = False

    def value(self, owner: object) -> float | None:
        """The number of a `ReplicaResult` (of a `Result`, if `per_cell`); None when not finite."""
        number = getattr(owner, self.name)
        return None if number is None else float(number)

    @property
    def per_cell(self) -> bool:
        """Whether there is one number for the whole cell, not one per replica."""
        return self.per == "cell"

    @property
    def always(self) -> bool:
        """Whether every net has it at every moment: an empty field is a number not finite."""
        return self.when == "every" and not self.lacking and not self.of_norm

    @property
    def worst(self) -> float:
        """What a number that is not finite counts as: the worst there is; NaN if none is better."""
        return {"lower": math.inf, "higher": -math.inf}.get(self.direction, math.nan)

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

    def is_measured(self, replica: object) -> bool:
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


# What result.json holds of a replica, or of the whole cell.

_SPLITS = {
    "train": ("training", "the training set, in evaluation mode"),
    "val": ("validation", "the validation set"),
    "test": ("test", "the test set (read once, after training)"),
}
_STATES = {
    "": ("", "of the best epoch (lowest validation error)"),
    "last_": (", last epoch", "of the last epoch"),
}
METRIC_KEYS = tuple(
    f"{state}{split}_{kind}" for state in _STATES for split in _SPLITS for kind in ("loss", "error")
)
"""The losses and errors of a replica, in the order of its record."""


def _split_metrics(task: str = "") -> Iterator[Metric]:
    for state, (suffix, weights) in _STATES.items():
        for split, (word, images) in _SPLITS.items():
            if task == RECONSTRUCTION:
                yield Metric(
                    f"{state}{split}_error",
                    f"squared error summed over pixels, mean over {word} images{suffix}",
                    "",
                    "lower",
                    "squared difference of an image and its reconstruction, summed over pixels (as "
                    f"normalized), mean over {images}, with the weights {weights}",
                    "mean over n of Σ_p (y_np − x_np)², p over pixels",
                    "Hinton & Salakhutdinov 2006",
                    decimals=2,
                )
                continue
            yield Metric(
                f"{state}{split}_error",
                f"{word} error{suffix}",
                "%",
                "lower",
                f"share of images of {images} that the weights {weights} classify wrongly",
                "mean over n of [argmax y_n ≠ t_n]",
                decimals=2,
                scale=100.0,
            )
            yield Metric(
                f"{state}{split}_loss",
                f"{word} loss{suffix}",
                "",
                "lower",
                f"mean loss over {images}, with the weights {weights}",
                "mean over n of −log softmax(y_n)[t_n]; with `loss=squared_error` of "
                "Σ_c (y_nc − t_nc)²",
            )


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        *_split_metrics(),
        Metric(
            "best_epoch",
            "best epoch",
            "epochs",
            "none",
            "epoch with the lowest validation error (then validation loss, then the earliest); "
            "a diverged replica has none",
            "argmin over epochs of (val_error, val_loss, epoch)",
            decimals=1,
        ),
        Metric(
            "chosen_lr",
            "chosen learning rate",
            "",
            "none",
            "learning rate with the lowest validation error averaged over all seeds",
            "argmin over lr of (mean over seeds of val_error, of val_loss, lr)",
            per="cell",
            decimals=None,
        ),
        Metric(
            "wall_seconds",
            "training time",
            "s",
            "none",
            "wall time of training and evaluating the replicas that were trained in this cell; not "
            "of preparing the data, nor of replicas copied from an earlier cell",
            "clock",
            per="cell",
            decimals=1,
        ),
        Metric(
            "pretraining_seconds",
            "pretraining time",
            "s",
            "none",
            "wall time of pretraining, for all seeds of a cell",
            "clock",
            per="cell",
            decimals=1,
        ),
    )
}
"""What tables show beside probes."""

OF_TASK: dict[str, dict[str, Metric]] = {
    RECONSTRUCTION: {row.name: row for row in _split_metrics(RECONSTRUCTION)}
}
"""The metrics that mean something else where the task is not classification."""


def depends_on_task(metric: Metric) -> bool:
    """Whether a number of one task cannot stand beside one of another."""
    return metric.is_of_data


# The probes: what is measured of every hidden layer of every replica, at moments of training.
# study/probes/measure.py has the function of each.

ROW = ("seed", "lr", "step", "epoch", "layer")
"""The columns of probes.csv before the probes'.

`step`: updates done; `epoch`: whole epochs done.
"""
GLOROT = "Glorot & Bengio 2010"
BATCHNORM = "Ioffe & Szegedy 2015"
_NO_BOUND = "an activation whose slope has no bound, as squared ReLU's, has none"


def _probe(
    name: str,
    label: str,
    help: str,
    formula: str,
    source: str = "",
    *,
    chart: Chart,
    share: bool = False,
    when: When = "every",
    lacking: str = "",
    of_norm: bool = False,
    final: bool = False,
    predicted: bool = False,
) -> Metric:
    return Metric(
        name,
        label,
        "%" if share else "",
        "none",
        help,
        formula,
        source,
        per="layer",
        when=when,
        lacking=lacking,
        of_norm=of_norm,
        decimals=2 if share else None,
        scale=100.0 if share else 1.0,
        digits=3,
        chart=chart,
        final=final,
        predicted=predicted,
    )


def _of_norm(name: str, letter: str) -> tuple[Metric, Metric]:
    return (
        _probe(
            f"{name}_mean",
            f"mean {name}",
            f"mean of BatchNorm's {name}",
            f"mean over i of {letter}_i",
            BATCHNORM,
            chart="BatchNorm",
            of_norm=True,
        ),
        _probe(
            f"{name}_std",
            f"spread of {name}",
            f"standard deviation of BatchNorm's {name} over units",
            f"sqrt(mean over i of ({letter}_i − mean {letter})²)",
            BATCHNORM,
            chart="BatchNorm",
            of_norm=True,
        ),
    )


PROJECTS: dict[str, Metric] = {
    row.name: row
    for row in (
        _probe(
            "preactivation_mean",
            "mean pre-activation",
            "mean input of the activation function",
            "mean over n, i of z_ni",
            chart="signals",
            predicted=True,
        ),
        _probe(
            "preactivation_variance",
            "variance of pre-activations",
            "variance of the inputs of the activation function, over examples and units",
            "mean over n, i of (z_ni − mean z)²",
            chart="signals",
            predicted=True,
        ),
        _probe(
            "preactivation_p15",
            "15th percentile of pre-activations",
            "15th percentile of the inputs of the activation function (Ioffe & Szegedy 2015, fig. "
            "1)",
            "15th percentile of all z_ni",
            f"{BATCHNORM}, fig. 1",
            chart="signals",
        ),
        _probe(
            "preactivation_p50",
            "median pre-activation",
            "median of the inputs of the activation function",
            "50th percentile of all z_ni",
            f"{BATCHNORM}, fig. 1",
            chart="signals",
        ),
        _probe(
            "preactivation_p85",
            "85th percentile of pre-activations",
            "85th percentile of the inputs of the activation function",
            "85th percentile of all z_ni",
            f"{BATCHNORM}, fig. 1",
            chart="signals",
        ),
        _probe(
            "activation_mean",
            "mean activation",
            "mean output of the activation function",
            "mean over n, i of a_ni",
            f"{GLOROT}, fig. 2",
            chart="signals",
            predicted=True,
        ),
        _probe(
            "activation_variance",
            "variance of activations",
            "variance of the outputs of the activation function, over examples and units",
            "mean over n, i of (a_ni − mean a)²",
            f"{GLOROT}, fig. 6",
            chart="signals",
            final=True,
            predicted=True,
        ),
        _probe(
            "activation_sparsity",
            "zero activations",
            "share of units x examples whose activation is exactly 0",
            "mean over n, i of [a_ni = 0]",
            "Glorot, Bordes & Bengio 2011",
            share=True,
            chart="signals",
        ),
        _probe(
            "dead_fraction",
            "dead units",
            "share of units whose |f'| stays under 1 % of its largest value on every image of the "
            "probe batch (a ReLU that is never active)",
            "mean over i of [max_n abs f'(z_ni) < 0.01 sup abs f']",
            "the lecture",
            share=True,
            chart="units",
            lacking=_NO_BOUND,
            final=True,
            predicted=True,
        ),
        _probe(
            "dead_fraction_train",
            "dead units on the training set",
            "as dead_fraction, but over every training image, in evaluation mode; taken at the end "
            "alone",
            "the same, n over the training set",
            "the lecture",
            share=True,
            chart="units",
            when="last",
            lacking=_NO_BOUND,
        ),
        _probe(
            "saturated_fraction",
            "saturation",
            "share of units x examples with |f'| under 1 % of its largest value: off, where f is "
            "flat on one side alone (ReLU), saturated, where it is flat on both (tanh)",
            "mean over n, i of [abs f'(z_ni) < 0.01 sup abs f']",
            "this project",
            share=True,
            chart="units",
            lacking=_NO_BOUND,
            final=True,
        ),
        _probe(
            "linear_fraction",
            "linear region",
            "share of units x examples with |f'| at least half its largest value",
            "mean over n, i of [abs f'(z_ni) ≥ 0.5 sup abs f']",
            "this project",
            share=True,
            chart="units",
            lacking=_NO_BOUND,
            final=True,
        ),
        _probe(
            "gradient_variance",
            "variance of back-propagated gradients",
            "variance, over examples and units, of each example's loss differentiated by its "
            "pre-activations (Glorot & Bengio 2010, fig. 7)",
            "variance over n, i of ∂L_n/∂z_ni",
            f"{GLOROT}, fig. 7",
            chart="gradients",
            predicted=True,
        ),
        _probe(
            "weight_gradient_variance",
            "variance of weight gradients",
            "variance over a layer's weights of the mean loss differentiated by them (Glorot & "
            "Bengio 2010, section 4.2)",
            "variance over j of ∂L/∂W_j",
            f"{GLOROT}, section 4.2",
            chart="gradients",
        ),
        _probe(
            "sign_agreement",
            "sign agreement of weight gradients",
            "share of a unit's incoming weight gradients that have the sign of most of them, for "
            "one example, averaged over examples and units that have a gradient",
            "mean over n, i of (1 + abs Σ_j s_nij / Σ_j abs s_nij) / 2, s_nij = sign ∂L_n/∂W_ij",
            "after LeCun et al. 1998, section 4.3",
            share=True,
            chart="gradients",
        ),
        _probe(
            "jacobian_singular_value",
            "mean singular value of the Jacobian",
            "mean singular value of a layer's activations differentiated by its inputs (Glorot & "
            "Bengio 2010, section 4.2.1), over a few examples; of a convolution, at its centre",
            "mean over n, k of σ_k(diag(f'(z_n)) W)",
            f"{GLOROT}, section 4.2.1",
            chart="gradients",
            when="thorough",
        ),
        _probe(
            "distinct_units",
            "distinct units",
            "number of units that differ in incoming weights, bias, gamma or beta by more than "
            "1e-6 of the layer's largest weight; 1 is a symmetry that never broke",
            "classes of units whose rows (W_i, b_i, γ_i, β_i) differ by at most 1e-6 max abs W",
            "this project",
            chart="units",
            predicted=True,
        ),
        _probe(
            "update_ratio",
            "update-to-weight ratio",
            "norm of the last update of a layer's weights over the norm of these weights before it",
            "norm(W' − W) / norm(W), W' after the update",
            "this project",
            chart="weights",
            when="later",
        ),
        _probe(
            "weight_norm",
            "norm of the weights",
            "Frobenius norm of a layer's weights",
            "sqrt(Σ_ij W_ij²)",
            chart="weights",
        ),
        _probe(
            "effective_rank",
            "effective rank of the weights",
            "exp of the entropy of the singular values' shares of their sum (Roy & Vetterli 2007)",
            "exp(−Σ_k p_k log p_k), p_k = σ_k / Σ_l σ_l, σ of W",
            "Roy & Vetterli 2007, definition 1",
            chart="weights",
            when="thorough",
        ),
        _probe(
            "input_shift",
            "shift of the layer's inputs",
            "distance of each input unit's distribution from the one at the last probe "
            "(2-Wasserstein, of normals with their means and variances), averaged over units, over "
            "the root mean square of their standard deviations there: internal covariate shift",
            "mean over i of sqrt((m'_i − m_i)² + (s'_i − s_i)²) / sqrt(mean over i of s_i²), m and "
            "s mean and standard deviation of x_i at the last probe, m' and s' now",
            "distance: Givens & Shortt 1984, proposition 7; notion: Ioffe & Szegedy 2015",
            chart="signals",
            when="later",
        ),
        *_of_norm("gamma", "γ"),
        *_of_norm("beta", "β"),
    )
}

"""The project's own probes."""


class _Probes(Mapping[str, Metric]):
    """The project's probes, then a user's own: of the folders of levels in use, else of records.

    A record says what its own probes are called, so that it can be read where no folder is named.
    """

    def __init__(self) -> None:
        self.recorded: dict[str, Metric] = {}

    def own(self) -> dict[str, Metric]:
        """Those of records that were read, and of the folders in use, whose words come first.

        InputError for one whose name is taken.
        """
        rows = dict(self.recorded)
        for folder in own.folders():
            for each in folder.declared:
                if each.kind != "probe":
                    continue
                if each.name in (*ROW, *PROJECTS, *METRICS, *QUANTITIES):
                    raise InputError(
                        f"{each.path} line {each.line}: {each} exists already; give it another name"
                    )
                rows[each.name] = _own_probe(
                    each.name, {**each.words, "help": each.headline.rstrip(".")}
                )
        return rows

    def learn(self, words: Mapping[str, Mapping[str, str]]) -> None:
        """Takes the `words` that a record has of its probes."""
        for name, each in words.items():
            self.recorded[name] = _own_probe(name, each)

    def words(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """What a record keeps of a user's own probes."""
        rows = self.own()
        return {
            name: {word: text for word in ("help", *WORDS) if (text := getattr(rows[name], word))}
            for name in names
        }

    def __getitem__(self, name: str) -> Metric:
        return PROJECTS[name] if name in PROJECTS else self.own()[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**PROJECTS, **self.own()})

    def __len__(self) -> int:
        return len({**PROJECTS, **self.own()})


def _own_probe(name: str, words: Mapping[str, str]) -> Metric:
    label = words.get("label") or name.replace("_", " ")
    row = _probe(
        name,
        label,
        words.get("help") or label,
        words.get("formula", ""),
        words.get("source", ""),
        chart="own",
        share=words.get("unit") == "%",
        lacking="a layer of which its function returns None has none",
    )
    return replace(row, unit=words.get("unit", ""))


PROBES = _Probes()
"""All that may be recorded of layers: probes.csv has columns of PROJECTS, then of a user's own."""

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


# What claims add: numbers of a seed that no table shows. study/analysis/claims/quantities.py reads
# them.

POINTS = "points"
"""Percentage points: the unit of a difference between two shares."""
PAIRS = "pairs."
"""Before the name of a number of the line between the networks of neighbouring seeds."""


def _quantity(
    name: str, label: str, unit: str, formula: str, source: str = "", help: str = ""
) -> Metric:
    return Metric(name, label, unit, "none", help or label, formula, source, per="seed")


def _of_pair(name: str, label: str, unit: str, formula: str, source: str = "") -> Metric:
    return _quantity(f"{PAIRS}{name}", f"{label}, neighbouring seeds", unit, formula, source)


_BARRIER = "max over α of L((1 − α) w + α w') − [(1 − α) L(w) + α L(w')], L the"
_ENTEZARI, _FORT = "Entezari et al. 2022", "Fort et al. 2019"

QUANTITIES: dict[str, Metric] = {
    row.name: row
    for row in (
        _quantity(
            "diverged",
            "share of diverged replicas",
            POINTS,
            "100 [the last loss is not finite, or over 1,000 times that before training]",
        ),
        _quantity(
            "epoch_seconds",
            "seconds of an epoch",
            "seconds",
            "seconds of training / epochs",
            help="seconds of an epoch, of replicas trained one by one",
        ),
        _quantity(
            "epochs_to_train_error",
            "epochs until training error is at most `target`",
            "epochs",
            "min {epoch: error while it trained ≤ target}",
        ),
        _quantity(
            "epochs_to_val_error",
            "epochs until validation error is at most `target`",
            "epochs",
            "min {epoch: val_error ≤ target}",
        ),
        _of_pair(
            "barrier", "barrier of the training loss", "", f"{_BARRIER} training loss", _ENTEZARI
        ),
        _of_pair(
            "test_barrier", "barrier of the test loss", "", f"{_BARRIER} test loss", _ENTEZARI
        ),
        _of_pair(
            "error_barrier",
            "barrier of the test error",
            POINTS,
            f"{_BARRIER} test error",
            _ENTEZARI,
        ),
        _of_pair(
            "disagreement",
            "share of test images classified differently",
            POINTS,
            "mean over n of [argmax y_n ≠ argmax y'_n]",
            _FORT,
        ),
        _of_pair("distance", "distance of the weights", "", "norm(w' − w)"),
        _of_pair(
            "relative_distance",
            "relative distance of the weights",
            "",
            "norm(w' − w) / sqrt((norm(w)² + norm(w')²) / 2)",
        ),
        _of_pair("cosine", "cosine of the weights", "", "w · w' / (norm(w) norm(w'))", _FORT),
    )
}
