"""Every configuration key, once: what it may be, what it changes, and a line of help.

A key's effect decides whether it belongs to a cell's identity:

- `result`: changes the numbers; hashed into the signature.
- `rounding`: changes their last bits alone; recorded beside the result.
- `none`: changes nothing that is computed.

A key that is not in the table is refused, and a new key without a decision fails the tests.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from study.errors import InputError, unknown

Effect = Literal["result", "rounding", "none"]
Parse = Callable[[Any], Any]

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


@dataclass(frozen=True)
class Key:
    """One configuration key.

    `parse` returns the canonical value (an integer learning rate becomes a float) and raises
    `ValueError` for a value out of range; `expects` says in words what it takes.
    """

    effect: Effect
    parse: Parse
    expects: str
    help: str


@dataclass(frozen=True)
class _Kind:
    parse: Parse
    expects: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> _Kind:
    """A finite number in [low, high], or in (low, high] if `above`."""

    def parse(value: Any) -> float:
        if not _is_number(value) or not low <= value <= high or (above and value == low):
            raise ValueError
        return float(value)

    if above:
        bound = f" above {low:g}"
    elif math.isfinite(low):
        bound = f" of at least {low:g}"
    else:
        bound = ""
    return _Kind(parse, "a number" + bound + (f", at most {high:g}" if high < math.inf else ""))


def share() -> _Kind:
    """A number in [0, 1)."""

    def parse(value: Any) -> float:
        if not _is_number(value) or not 0 <= value < 1:
            raise ValueError
        return float(value)

    return _Kind(parse, "a number from 0 up to, not including, 1")


def whole(low: int = 0, high: int | None = None) -> _Kind:
    """An integer of at least `low`."""

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError
        if high is not None and value > high:
            raise ValueError
        return value

    return _Kind(parse, f"a whole number of at least {low}" + (f", at most {high}" if high else ""))


def choice(*names: str) -> _Kind:
    """One of the names."""

    def parse(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return _Kind(parse, "one of " + ", ".join(names))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _plain_name(value: Any) -> str:
    """A name that cannot leave its directory."""
    allowed = "-_. +=@"
    if not isinstance(value, str) or value.strip(". ") != value or not value:
        raise ValueError
    if not all(character.isalnum() or character in allowed for character in value):
        raise ValueError
    return value


FLAG = _Kind(_flag, "true or false")
TEXT = _Kind(_text, "a text")
NAME = _Kind(_plain_name, "a plain name: letters, digits, spaces and - _ . + = @")


def optional(kind: _Kind) -> _Kind:
    """The kind, or null."""

    def parse(value: Any) -> Any:
        return None if value is None else kind.parse(value)

    return _Kind(parse, f"{kind.expects}, or null")


def either(first: _Kind, second: _Kind) -> _Kind:
    """Whichever of the two kinds takes the value."""

    def parse(value: Any) -> Any:
        try:
            return first.parse(value)
        except ValueError:
            return second.parse(value)

    return _Kind(parse, f"{first.expects}, or {second.expects}")


def list_of(kind: _Kind, *, at_least: int = 0) -> _Kind:
    """A list of the kind."""

    def parse(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) < at_least:
            raise ValueError
        return [kind.parse(item) for item in value]

    return _Kind(parse, f"a list, each item {kind.expects}")


def _anything(value: Any) -> Any:
    return value


ANYTHING = _Kind(_anything, "anything")


def _seeds(value: Any) -> list[int]:
    """A count of seeds, or the seeds themselves, as a sorted list."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = list(range(value))
    seeds = list_of(whole(0), at_least=1).parse(value)
    if len(set(seeds)) != len(seeds):
        raise ValueError
    return sorted(seeds)


def _learning_rates(value: Any) -> list[float]:
    """One learning rate or several, as a sorted list."""
    rates = value if isinstance(value, list | tuple) else [value]
    rates = list_of(number(0, above=True), at_least=1).parse(rates)
    if len(set(rates)) != len(rates):
        raise ValueError
    return sorted(rates)


SEEDS = _Kind(_seeds, "a count of at least 1, or a list of distinct whole numbers")
RATES = _Kind(_learning_rates, "a number above 0, or a list of distinct ones")
PIN = optional(whole())
LAYER_WIDTHS = list_of(whole(1))
CHANNELS = list_of(list_of(whole(1), at_least=1), at_least=1)
GAIN = either(number(0, above=True), choice("auto"))


def _key(effect: Effect, kind: _Kind, text: str) -> Key:
    return Key(effect, kind.parse, kind.expects, text)


KEYS: dict[str, Key] = {
    "study": _key("none", NAME, "name of the study: its directory below outputs_dir"),
    "outputs_dir": _key("none", TEXT, "where studies are kept"),
    "seeds": _key("result", SEEDS, "how many seeds each cell trains, or which"),
    "batch_size": _key("result", whole(1), "examples per update"),
    "loss": _key("result", choice("cross_entropy", "squared_error"), "what training minimizes"),
    "input_noise": _key("result", number(0), "std of Gaussian noise on the training inputs"),
    "streams.initialization": _key("result", PIN, "pins the seed of initial weights"),
    "streams.order": _key("result", PIN, "pins the seed of batch orders"),
    "streams.augmentation": _key("result", PIN, "pins the seed of flips and crops"),
    "streams.noise": _key("result", PIN, "pins the seed of input and norm noise"),
    "streams.dropout": _key("result", PIN, "pins the seed of dropout masks"),
    # data
    "data.name": _key("result", TEXT, "the data set"),
    "data.root": _key("none", optional(TEXT), "directory of the data; null is data/"),
    "data.val_size": _key(
        "result", either(whole(1), share()), "validation images, a count or a share of training"
    ),
    "data.train_size": _key("result", optional(whole(1)), "images to train on; null is all left"),
    "data.test_size": _key("result", optional(whole(1)), "test images; null is all"),
    "data.split_seed": _key("result", whole(), "seed of the train/validation split"),
    "data.normalize": _key(
        "result",
        choice("standard", "centre", "pixel", "whiten", "unit", "binary", "none"),
        "normalization of the inputs, from the training split alone",
    ),
    "data.zca_epsilon": _key("result", number(0, above=True), "ridge of the whitening matrix"),
    "data.flip": _key("result", FLAG, "flip training images left to right at random"),
    "data.crop": _key("result", whole(0), "padding in pixels of random shifted crops; 0 is off"),
    # model
    "model.name": _key("result", TEXT, "the kind of network"),
    "model.widths": _key("result", LAYER_WIDTHS, "units of each hidden layer"),
    "model.channels": _key("result", CHANNELS, "channels of each convolution, a list per pooling"),
    "model.kernel_size": _key("result", whole(1), "side of each kernel in pixels"),
    "model.pool": _key("result", choice("max", "average"), "2 x 2 pooling after each block"),
    "model.head": _key("result", LAYER_WIDTHS, "units of each dense layer after the convolutions"),
    "model.dropout": _key("result", share(), "share of hidden activations dropped in training"),
    # activation
    "activation.name": _key("result", TEXT, "the activation function"),
    "activation.slope": _key("result", number(), "slope left of zero"),
    "activation.alpha": _key("result", number(0, above=True), "minus the limit at minus infinity"),
    "activation.pieces": _key("result", whole(1), "linear pieces of each maxout unit"),
    # init
    "init.name": _key("result", TEXT, "the initialization of the weights"),
    "init.bias": _key("result", number(), "the initial value of every bias"),
    "init.value": _key("result", number(), "the constant"),
    "init.std": _key("result", number(0), "standard deviation of each weight"),
    "init.bound": _key("result", number(0), "bound of the uniform distribution"),
    "init.gain": _key("result", GAIN, "factor on the weights; auto keeps the second moment"),
    # norm
    "norm.name": _key("result", TEXT, "the normalization layer"),
    "norm.position": _key("result", choice("before", "after"), "before or after the activation"),
    "norm.momentum": _key("result", number(0, 1, above=True), "weight of the newest batch"),
    "norm.eps": _key("result", number(0, above=True), "added to the variance"),
    "norm.affine": _key("result", FLAG, "learn gamma and beta"),
    "norm.evaluation": _key("result", choice("running", "batch"), "statistics in evaluation"),
    "norm.eval_batch_size": _key("result", whole(1), "batch of evaluation=batch"),
    "norm.noise": _key("result", number(0), "scale of non-stationary noise after it; 0 is off"),
    "pretraining.name": _key("result", TEXT, "what trains the layers before the net is trained"),
    # optimizer
    "optimizer.name": _key("result", TEXT, "the optimizer"),
    "optimizer.lr": _key("result", RATES, "learning rate, or the list to choose from"),
    "optimizer.momentum": _key("result", share(), "momentum"),
    "optimizer.nesterov": _key("result", FLAG, "Nesterov's momentum"),
    "optimizer.alpha": _key("result", share(), "decay of the squared gradient's average"),
    "optimizer.beta1": _key("result", share(), "decay of the gradient's average"),
    "optimizer.beta2": _key("result", share(), "decay of the squared gradient's average"),
    "optimizer.eps": _key("result", number(0, above=True), "added to the denominator"),
    "optimizer.weight_decay": _key("result", number(0), "decay of the weights, never of biases"),
    # schedule
    "schedule.name": _key("result", TEXT, "how the learning rate changes"),
    "schedule.warmup_epochs": _key("result", number(0), "epochs of linear warm-up"),
    "schedule.every_epochs": _key("result", number(0, above=True), "epochs between two steps"),
    "schedule.factor": _key("result", number(0, 1, above=True), "factor of each step"),
    "schedule.final_factor": _key("result", number(0, 1), "factor at the end of the cosine"),
    "probes.name": _key("result", TEXT, "the set of measurements inside the network"),
    # trainer
    "trainer.max_epochs": _key("result", whole(1), "epochs of training"),
    "trainer.precision": _key(
        "result", choice("32-true", "64-true", "bf16-mixed"), "number format of training"
    ),
    "trainer.accelerator": _key("rounding", choice("auto", "cpu", "cuda", "mps"), "the device"),
    "trainer.devices": _key("rounding", whole(1), "devices of one cell: 1"),
    "trainer.threads": _key("rounding", optional(whole(1)), "CPU threads; null is the study's"),
    "outputs.weights": _key("none", choice("chosen", "all", "none"), "replicas whose weights stay"),
    "outputs.tensorboard": _key("none", choice("cell", "replicas", "none"), "TensorBoard's runs"),
    "sweep.max_failures": _key("none", whole(1), "stop when that many cells fail alike"),
    "sweep.exclude": _key("none", list_of(ANYTHING), "combinations of levels left out"),
    "claims": _key("none", list_of(ANYTHING), "statements that the study decides"),
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
        raise unknown("key", name, KEYS)
    key = KEYS[name]
    try:
        return key.parse(value)
    except ValueError:
        raise InputError(
            f"{name}={_shown(value)} is out of range: it takes {key.expects}"
        ) from None


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
