"""Every configuration key, once: what it may be, what it changes, and a line of help.

A key's effect decides whether it belongs to a cell's identity:

- `result`: changes the numbers; hashed into the signature.
- `rounding`: changes their last bits alone; recorded beside the result.
- `none`: changes nothing that is computed.

A key that is not in the table is refused, and a new key without a decision fails the tests. At its
neutral value a key is left out of the signature and the factors: cells from before it keep theirs.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from study.config.kinds import (
    COMBINATIONS,
    FLAG,
    MAX_SEED,
    MAX_WHOLE,
    NAME,
    NAMES,
    PAIR_POINTS,
    PATH,
    RATES,
    SEEDS,
    STATEMENTS,
    STEPS,
    TEXT,
    Kind,
    choice,
    either,
    fraction,
    layer_widths,
    list_of,
    number,
    optional,
    per_layer,
    share,
    some_of,
    whole,
)
from study.config.refused import instead_of
from study.console import command
from study.errors import MOST_SUGGESTIONS, InputError, did_you_mean, shown, unknown

Effect = Literal["result", "rounding", "none"]
_NEVER = object()


@dataclass(frozen=True)
class Key:
    """One configuration key: what it changes, what it takes, and a line of help.

    At `neutral`, if it has one, results are what they were before the key was added.
    """

    effect: Effect
    kind: Kind
    help: str
    neutral: Any = _NEVER

    def is_neutral(self, value: Any) -> bool:
        """Whether a canonical value leaves all results as if there were no such key."""
        return bool(value == self.neutral)


MAX_UNITS = 2**20
MAX_THREADS = 4096

GROUPS = (
    "data",
    "model",
    "activation",
    "init",
    "norm",
    "pretraining",
    "optimizer",
    "schedule",
    "probes",
)
"""The factor groups: the level of each is a factor of every cell."""

NUISANCE = ("seeds", "optimizer.lr")
"""Keys that vary inside a cell: one replica for each pair of their values."""

PLACES = ("data.root", "data.cache")
"""Keys that say where the data are."""


PIN = optional(whole(high=MAX_SEED))
LAYER_WIDTHS = layer_widths(MAX_UNITS)
CHANNELS = list_of(list_of(whole(1, MAX_UNITS), at_least=1), at_least=1)
GAIN = either(number(0, above=True), choice("auto"))
TEST_SHIFTS = ("none", "noise", "translate", "contrast")
LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")
NORMALIZATIONS = ("standard", "centre", "pixel", "whiten", "unit", "binary", "none")

KEYS: dict[str, Key] = {
    "study": Key("none", NAME, "name of the study: its directory below outputs_dir"),
    "outputs_dir": Key("none", PATH, "where studies are kept"),
    "levels": Key("none", optional(PATH), "folder of levels of one's own; null is STUDY_LEVELS'"),
    "seeds": Key("result", SEEDS, "how many seeds each cell trains, or which"),
    "batch_size": Key("result", whole(1), "examples per update"),
    "loss": Key("result", choice("cross_entropy", "squared_error"), "what training minimizes"),
    "input_noise": Key("result", number(0), "std of Gaussian noise on the training inputs"),
    "streams.initialization": Key("result", PIN, "pins the seed of initial weights"),
    "streams.order": Key("result", PIN, "pins the seed of batch orders"),
    "streams.augmentation": Key("result", PIN, "pins the seed of flips, crops and augmentations"),
    "streams.noise": Key("result", PIN, "pins the seed of input and norm noise"),
    "streams.dropout": Key("result", PIN, "pins the seed of dropout masks"),
    # data
    "data.name": Key("result", TEXT, "the data set"),
    "data.root": Key("none", optional(PATH), "directory of the data; null is data/"),
    "data.cache": Key(
        "none", optional(PATH), "directory that keeps decoded images; null is beside the data"
    ),
    "data.val_size": Key(
        "result", either(whole(1), fraction()), "validation images, a count or a share of training"
    ),
    "data.train_size": Key("result", optional(whole(1)), "images to train on; null is all left"),
    "data.test_size": Key("result", optional(whole(1)), "test images; null is all"),
    "data.split_seed": Key("result", whole(high=MAX_SEED), "seed of the train/validation split"),
    "data.normalize": Key(
        "result",
        choice(*NORMALIZATIONS),
        "normalization of the inputs, from the training split alone",
    ),
    "data.zca_epsilon": Key("result", number(0, above=True), "ridge of the whitening matrix"),
    "data.flip": Key("result", FLAG, "flip training images left to right at random"),
    "data.crop": Key("result", whole(0), "padding in pixels of random shifted crops; 0 is off"),
    "data.augment": Key(
        "result",
        NAMES,
        "augmentations of a folder of levels, in order, after flips and crops",
        neutral=[],
    ),
    "data.test_shift": Key(
        "result", choice(*TEST_SHIFTS), "what corrupts the test images alone", neutral="none"
    ),
    "data.test_shift_strength": Key(
        "result",
        optional(number(0, above=True)),
        "std of the noise, share of the contrast, or pixels; null is the shift's usual one",
        neutral=None,
    ),
    # model
    "model.name": Key("result", TEXT, "the kind of network"),
    "model.widths": Key(
        "result", LAYER_WIDTHS, "units of each hidden layer; an autoencoder mirrors them"
    ),
    "model.code": Key("result", whole(1, MAX_UNITS), "units of an autoencoder's code"),
    "model.channels": Key("result", CHANNELS, "channels of each convolution, a list per pooling"),
    "model.kernel_size": Key("result", whole(1, MAX_UNITS), "side of each kernel in pixels"),
    "model.pool": Key("result", choice("max", "average"), "2 x 2 pooling after each block"),
    "model.head": Key("result", LAYER_WIDTHS, "units of each dense layer after the convolutions"),
    "model.dropout": Key("result", share(), "share of hidden activations dropped in training"),
    # activation
    "activation.name": Key("result", TEXT, "the activation function"),
    "activation.slope": Key("result", number(), "slope left of zero"),
    "activation.alpha": Key("result", number(0, above=True), "minus the limit at minus infinity"),
    "activation.pieces": Key("result", whole(1, MAX_UNITS), "linear pieces of each maxout unit"),
    # init
    "init.name": Key("result", TEXT, "the initialization of the weights"),
    "init.bias": Key("result", number(), "the initial value of every bias"),
    "init.value": Key("result", number(), "the constant"),
    "init.std": Key("result", number(0), "standard deviation of each weight"),
    "init.bound": Key("result", number(0), "bound of the uniform distribution"),
    "init.gain": Key("result", GAIN, "factor on the weights; auto keeps the second moment"),
    # norm
    "norm.name": Key("result", TEXT, "the normalization layer"),
    "norm.position": Key("result", choice("before", "after"), "before or after the activation"),
    "norm.momentum": Key("result", number(0, 1, above=True), "weight of the newest batch"),
    "norm.eps": Key("result", number(0, above=True), "added to the variance"),
    "norm.affine": Key("result", FLAG, "learn gamma and beta"),
    "norm.evaluation": Key("result", choice("running", "batch"), "statistics in evaluation"),
    "norm.eval_batch_size": Key("result", whole(1), "batch of evaluation=batch"),
    "norm.noise": Key("result", number(0), "scale of non-stationary noise after it; 0 is off"),
    # pretraining
    "pretraining.name": Key("result", TEXT, "what trains the layers before the net is trained"),
    "pretraining.layers": Key(
        "result", either(whole(1), choice("all")), "how many layers are pretrained, from the first"
    ),
    "pretraining.epochs": Key("result", per_layer(whole(1)), "epochs; a list has one a layer"),
    "pretraining.lr": Key(
        "result", per_layer(number(0, above=True)), "learning rate; a list has one a layer"
    ),
    "pretraining.batch_size": Key(
        "result", per_layer(whole(1)), "examples per update; a list has one a layer"
    ),
    "pretraining.optimizer": Key(
        "result",
        per_layer(choice("sgd", "adam", "adamw", "rmsprop")),
        "the optimizer; a list has one a layer",
    ),
    "pretraining.momentum": Key("result", share(), "momentum; an RBM's before its switch"),
    "pretraining.weight_decay": Key("result", number(0), "decay of the weights, never of biases"),
    "pretraining.decoder": Key(
        "result", choice("tied", "untied"), "the transposed encoder, or weights of its own"
    ),
    "pretraining.loss": Key(
        "result", choice("squared", "cross_entropy"), "reconstruction error that is minimized"
    ),
    "pretraining.corruption": Key(
        "result", choice("masking", "gaussian"), "what corrupts a denoising autoencoder's inputs"
    ),
    "pretraining.corruption_level": Key(
        "result", number(0), "probability of masking an input, or std of the Gaussian noise"
    ),
    "pretraining.visible": Key(
        "result", choice("bernoulli", "gaussian"), "visible units of the first layer's RBM"
    ),
    "pretraining.hidden": Key(
        "result",
        choice("auto", "bernoulli", "linear"),
        "hidden units; auto is what the activation is the mean of",
    ),
    "pretraining.mean_field": Key(
        "result", FLAG, "an RBM for an activation that is no probability all the same"
    ),
    "pretraining.cd_steps": Key("result", whole(1), "k of contrastive divergence, CD-k"),
    "pretraining.persistent": Key("result", FLAG, "chains that go on from update to update (PCD)"),
    "pretraining.final_momentum": Key("result", share(), "an RBM's momentum after the switch"),
    "pretraining.momentum_switch": Key("result", whole(0), "epochs before that switch"),
    "pretraining.weight_cost": Key("result", number(0), "an RBM's decay of the weights"),
    "pretraining.equal_budget": Key(
        "result", FLAG, "leave it out, and train the net for as many more updates"
    ),
    # optimizer
    "optimizer.name": Key("result", TEXT, "the optimizer"),
    "optimizer.lr": Key("result", RATES, "learning rate, or the list to choose from"),
    "optimizer.momentum": Key("result", share(), "momentum"),
    "optimizer.nesterov": Key("result", FLAG, "Nesterov's momentum"),
    "optimizer.alpha": Key("result", share(), "decay of the squared gradient's average"),
    "optimizer.beta1": Key("result", share(), "decay of the gradient's average"),
    "optimizer.beta2": Key("result", share(), "decay of the squared gradient's average"),
    "optimizer.eps": Key("result", number(0, above=True), "added to the denominator"),
    "optimizer.weight_decay": Key("result", number(0), "decay of the weights, never of biases"),
    "optimizer.clip_norm": Key(
        "result",
        optional(number(0, above=True)),
        "largest norm of each replica's gradient, scaled down to it; null is no bound",
        neutral=None,
    ),
    # schedule
    "schedule.name": Key("result", TEXT, "how the learning rate changes"),
    "schedule.warmup_epochs": Key("result", number(0), "epochs of linear warm-up"),
    "schedule.every_epochs": Key("result", number(0, above=True), "epochs between two steps"),
    "schedule.factor": Key("result", number(0, 1, above=True), "factor of each step"),
    "schedule.final_factor": Key("result", number(0, 1), "factor at the end of the cosine"),
    # probes
    "probes.name": Key("result", TEXT, "the set of measurements inside the network"),
    "probes.num_examples": Key("result", whole(2), "validation images that probes are taken on"),
    "probes.steps": Key(
        "result",
        either(whole(0), STEPS),
        "updates after which probes are taken: how many, log-spaced, or which",
    ),
    "probes.epochs": Key("result", choice("last", "all"), "epochs at whose end they are taken"),
    "probes.thorough": Key(
        "result", choice("ends", "always"), "when Jacobians and ranks are among them"
    ),
    "probes.own": Key(
        "result", NAMES, "probes of a folder of levels that are taken too", neutral=[]
    ),
    # pairs
    "pairs.points": Key(
        "result",
        PAIR_POINTS,
        "points on the line between neighbouring seeds' networks; 0 is none",
        neutral=0,
    ),
    # trainer
    "trainer.max_epochs": Key("result", whole(1), "epochs of training"),
    "trainer.precision": Key(
        "result", choice("32-true", "64-true", "bf16-mixed", "tf32"), "number format of training"
    ),
    "trainer.accelerator": Key(
        "rounding", choice("auto", "cpu", "cuda", "mps", gpu="cuda"), "the device; gpu is cuda"
    ),
    "trainer.devices": Key("rounding", whole(1), "devices of one cell: 1"),
    "trainer.threads": Key(
        "rounding", optional(whole(1, MAX_THREADS)), "CPU threads; null is the study's"
    ),
    "trainer.checkpoint_seconds": Key(
        "none",
        optional(number(0)),
        "seconds between two checkpoints, at ends of epochs; 0 is each epoch, null is never",
    ),
    "trainer.detect_anomaly": Key(
        "none", FLAG, "stop a cell at the operation that first gives a NaN in a gradient (slow)"
    ),
    "trainer.profiler": Key(
        "none",
        optional(choice("simple", "advanced")),
        "Lightning's profile of each population, printed when it is trained",
    ),
    "trainer.enable_progress_bar": Key("none", FLAG, "show one where output is a terminal"),
    "trainer.fast_dev_run": Key(
        "none", FLAG, "one update and one evaluation of each cell, of which nothing is kept"
    ),
    "logger": Key(
        "none",
        some_of(*LOGGERS),
        "who is given the curves of each learning rate as the epochs end",
    ),
    "callbacks": Key(
        "result", NAMES, "Lightning callbacks of a folder of levels, for training", neutral=[]
    ),
    "population.engine": Key(
        "rounding", choice("auto", "stacked", "sequential"), "how replicas are trained together"
    ),
    "population.products": Key(
        "rounding",
        choice("auto", "torch", "numpy"),
        "whose products dense layers take, PyTorch's or those of NumPy's BLAS",
    ),
    "population.compile": Key(
        "rounding", FLAG, "compile the networks for training (torch.compile)"
    ),
    "population.max_replicas": Key(
        "rounding", optional(whole(1)), "replicas in memory at once; null is all of a cell"
    ),
    "outputs.weights": Key(
        "none",
        choice("chosen", "all", "none"),
        "replicas whose weights stay, of the best and the last epoch",
    ),
    "outputs.tensorboard": Key("none", choice("cell", "replicas", "none"), "TensorBoard's runs"),
    "sweep.max_failures": Key(
        "none", whole(1), "stop when the first so many cells fail alike; no launcher applies it"
    ),
    "sweep.exclude": Key("none", COMBINATIONS, "combinations of levels left out"),
    "report.tables": Key("none", list_of(TEXT), "tables of the report: arguments of `study table`"),
    "claims": Key("none", STATEMENTS, "statements that the study decides"),
}


def is_open(name: str) -> bool:
    """Whether `name` lies below a key whose own keys are free: the axes of a sweep."""
    return name == "sweep.axes" or name.startswith("sweep.axes.")


def parse(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical values of a flat configuration {dotted key: value}.

    Raises `InputError` for an unknown key or a value out of range.
    """
    return {name: parse_one(name, value) for name, value in flat.items() if not is_open(name)}


def parse_one(name: str, value: Any) -> Any:
    """The canonical value of one key."""
    if name not in KEYS:
        raise unknown_key(name)
    kind = KEYS[name].kind
    try:
        return kind.parse(value)
    except ValueError:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        large = " (too large a number)" if is_number and abs(value) > MAX_WHOLE else ""
        raise InputError(
            f"{name}={shown(value)} is out of range{large}: it takes {kind.expects}"
        ) from None


def unknown_key(name: str, groups: Sequence[str] = ()) -> InputError:
    """The error for a name that is neither a key nor one of `groups`.

    Names the keys of its group, or else those that are close to it.
    """
    if (instead := instead_of(name)) is not None:
        return InputError(f"unknown key {shown(name)!r}: {instead}")
    group, _, last = name.rpartition(".")
    siblings = [key for key in KEYS if key.startswith(f"{group or name}.")]
    if siblings:
        return unknown("key", name, siblings)
    close = difflib.get_close_matches(name, [*groups, *KEYS], n=1)
    close += [key for key in KEYS if last in re.split(r"[._]", key)]
    hint = did_you_mean(close[:MOST_SUGGESTIONS])
    return InputError(f"unknown key {shown(name)!r}{hint}; `{command('list')}` prints every key")
