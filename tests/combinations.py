"""Configurations of every activation, norm, model and optimizer, and replicas to train under them.

Every level of the registries is there: some in the variants below, any other as its file has it.
Levels are read from their files and put together by hand: composing hundreds would take minutes.
"""

import functools
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from study.config.configuration import RECONSTRUCTING_MODELS, Config
from study.data import Data, Split
from study.networks import ACTIVATIONS as ACTIVATION_LEVELS
from study.networks import MODELS as MODEL_LEVELS
from study.networks import NORMS as NORM_LEVELS
from study.training import Alone, Replica, Settings, Stack
from study.training.build import initial_network, why_alone
from study.training.optimizers import OPTIMIZERS as OPTIMIZER_LEVELS
from tests import tiny

CONF = Path(__file__).parents[1] / "conf"
SHAPE = (2, 5, 5)
BATCH = 8
NUM_STATES = 16
Case = dict[str, Any]
Variants = dict[str, dict[str, Any]]


@functools.cache
def level(group: str, name: str) -> dict[str, Any]:
    """The keys of a level, as its file has them; its name alone where it has none."""
    path = CONF / group / f"{name}.yaml"
    return (
        dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.exists() else {"name": name}
    )


def others(group: str, registry: Iterable[str], listed: Iterable[dict[str, Any]]) -> Variants:
    """The levels of a registry that are not among the listed variants."""
    named = {variant["name"] for variant in listed}
    return {name: level(group, name) for name in registry if name not in named}


ACTIVATIONS = sorted(ACTIVATION_LEVELS)
# Every three of the four keys in every combination: the fourth is their parity.
NORMS: list[dict[str, Any]] = [{"name": "none"}] + [
    {
        "name": "batch",
        "position": ("before", "after")[after],
        "evaluation": ("running", "batch")[batch],
        "noise": (0.0, 0.5)[noisy],
        "affine": (after + batch + noisy) % 2 == 0,
    }
    for after, batch, noisy in itertools.product((0, 1), repeat=3)
]
NORMS += others("norm", NORM_LEVELS, NORMS).values()
SLOW, FAST = (0.002, 0.01), (0.01, 0.03)
OPTIMIZERS: Variants = {
    "sgd": {"name": "sgd", "momentum": 0.0, "lr": FAST},
    "sgd decay": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.1, "lr": FAST},
    "momentum decay": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1, "lr": SLOW},
    "nesterov": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": SLOW},
    "rmsprop": {"name": "rmsprop", "lr": SLOW},
    "rmsprop momentum decay": {
        "name": "rmsprop", "momentum": 0.5, "weight_decay": 0.1, "lr": SLOW,
    },
    "adam decay": {"name": "adam", "weight_decay": 0.1, "lr": SLOW},
    "adamw": {"name": "adamw", "weight_decay": 0.1, "lr": SLOW},
}  # fmt: skip
OPTIMIZERS |= {
    name: keys | {"lr": SLOW}
    for name, keys in others("optimizer", OPTIMIZER_LEVELS, OPTIMIZERS.values()).items()
}
MODELS: Variants = {
    "mlp": {"name": "mlp", "widths": [5, 4], "dropout": 0.0},
    "mlp dropout": {"name": "mlp", "widths": [6, 5], "dropout": 0.3},
    "cnn": {"name": "cnn", "channels": [[2], [3]], "kernel_size": 3, "pool": "max", "head": [4],
            "dropout": 0.3},
    "cnn average": {"name": "cnn", "channels": [[3, 2]], "kernel_size": 3, "pool": "average",
                    "head": [], "dropout": 0.0},
    "resnet": {"name": "resnet", "channels": [[2], [3]], "dropout": 0.3},
    "autoencoder": {"name": "autoencoder", "widths": [6], "code": 3, "dropout": 0.3},
}  # fmt: skip
MODELS |= others("model", MODEL_LEVELS, MODELS.values())
INPUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "noise": {"input_noise": 0.3},
    "augmented": {"flip": True, "crop": 1},
    "both": {"input_noise": 0.3, "flip": True, "crop": 1},
}
LOSSES = ("cross_entropy", "squared_error")
SCHEDULES = ("constant", "step", "cosine")
# (seed, which of the two rates): of several shapes, and never all that seeds x rates would give.
REPLICAS: dict[str, list[tuple[int, int]]] = {
    "grid": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "uneven": [(4, 1), (0, 0), (2, 1), (2, 0)],
    "crossed": [(0, 1), (1, 0)],
    "one rate": [(5, 0), (3, 0), (1, 0)],
    "one seed": [(2, 1), (2, 0)],
}
FACTORS: dict[str, Sequence[Any]] = {
    "activation": ACTIVATIONS,
    "norm": range(len(NORMS)),
    "optimizer": list(OPTIMIZERS),
    "model": list(MODELS),
    "inputs": list(INPUTS),
    "loss": LOSSES,
    "schedule": SCHEDULES,
    "replicas": list(REPLICAS),
}
Pair = tuple[tuple[str, Any], tuple[str, Any]]
PLAIN: Case = {
    "activation": "relu", "norm": 0, "optimizer": "sgd", "model": "mlp", "inputs": "plain",
    "loss": "cross_entropy", "schedule": "constant", "replicas": "grid",
}  # fmt: skip


@functools.cache
def cases() -> list[Case]:
    """Every activation with every norm, and every pair of levels of any two factors.

    Each case is of a hundred that are drawn the one with the most pairs that none has had before.
    """
    draw = random.Random(1)
    rest = ("model", "inputs", "loss", "schedule", "replicas")
    chosen: list[Case] = []
    missing = set(all_pairs())
    for (row, activation), norm in itertools.product(enumerate(ACTIVATIONS), range(len(NORMS))):
        optimizer = list(OPTIMIZERS)[(row + norm) % len(OPTIMIZERS)]
        given = {"activation": activation, "norm": norm, "optimizer": optimizer}
        drawn = [
            given | {factor: draw.choice(list(FACTORS[factor])) for factor in rest}
            for _ in range(100)
        ]
        chosen.append(max(drawn, key=lambda case: len(missing & pairs_of(case))))
        missing -= pairs_of(chosen[-1])
    return chosen


def pairs_of(case: Case) -> set[Pair]:
    """Every two factors of a case with their levels."""
    return set(itertools.combinations(((factor, case[factor]) for factor in FACTORS), 2))


def all_pairs() -> Iterator[Pair]:
    """Every two levels of different factors."""
    for first, second in itertools.combinations(FACTORS, 2):
        for pair in itertools.product(FACTORS[first], FACTORS[second]):
            yield (first, pair[0]), (second, pair[1])


def config_of(case: Case) -> Config:
    """The configuration of a case: so many epochs of one batch.

    An autoencoder has neither the inputs nor the loss that its task excludes.
    """
    usual = tiny.config("init=he_normal")
    norm, optimizer = NORMS[case["norm"]], OPTIMIZERS[case["optimizer"]]
    model = MODELS[case["model"]]
    reconstructs = model["name"] in RECONSTRUCTING_MODELS
    inputs = {} if reconstructs else dict(INPUTS[case["inputs"]])
    batches = {"eval_batch_size": 9} if "position" in norm else {}
    levels = {
        "model": model,
        "activation": level("activation", case["activation"]),
        "norm": level("norm", norm["name"]) | norm | batches,
        "optimizer": level("optimizer", optimizer["name"]) | optimizer,
        "schedule": level("schedule", case["schedule"]) | {"warmup_epochs": 2},
    }
    return tiny.changed(
        Config.from_mapping({**usual.mapping, **levels}),
        loss="squared_error" if reconstructs else case["loss"],
        batch_size=BATCH,
        input_noise=inputs.pop("input_noise", 0.0),
        data=inputs,
        trainer={"max_epochs": NUM_STATES},
        population={"engine": "auto"},
    )


@functools.cache
def data() -> Data:
    """48 training images of 2 x 5 x 5 in float64."""
    return tiny.data(num_train=6 * BATCH, shape=SHAPE)


def batch_split(step: int) -> Split:
    """The images of one step: a split of a single batch."""
    train, start = data().train, BATCH * (step % 6)
    return Split(train.inputs[start : start + BATCH], train.labels[start : start + BATCH])


def replicas_of(case: Case) -> list[Replica]:
    """The replicas of a case; an autoencoder's loss is a sum over pixels, and its rates small."""
    scale = 0.01 if MODELS[case["model"]]["name"] == "autoencoder" else 1
    rates = [scale * lr for lr in OPTIMIZERS[case["optimizer"]]["lr"]]
    return [Replica(seed, rates[rate]) for seed, rate in REPLICAS[case["replicas"]]]


def alone_for(config: Config) -> str | None:
    """Why replicas of a configuration are not stacked, if they are not."""
    return why_alone([initial_network(config, data(), 0)], config.optimizer.name)


def both(config: Config, replicas: Sequence[Replica]) -> tuple[Stack, list[Alone]]:
    """A stack, and its replicas alone in the stack's order, started from equal weights."""
    return stack_of(config, replicas), [alone_of(config, each) for each in in_order(replicas)]


def in_order(replicas: Sequence[Replica]) -> list[Replica]:
    return sorted(replicas, key=lambda replica: replica.lr)


def stack_of(config: Config, replicas: Sequence[Replica]) -> Stack:
    networks = [initial_network(config, data(), replica.seed).double() for replica in replicas]
    stack = Stack(networks, replicas, Settings.from_config(config))
    assert stack.replicas == in_order(replicas)
    stack.start()
    return stack


def alone_of(config: Config, replica: Replica) -> Alone:
    network = initial_network(config, data(), replica.seed).double()
    alone = Alone(network, replica, Settings.from_config(config))
    alone.start()
    return alone


def assert_close(
    first: Tensor, second: Tensor, what: object, *, rtol: float = 1e-10, atol: float = 1e-12
) -> None:
    if not torch.allclose(first, second, rtol=rtol, atol=atol, equal_nan=True):
        torch.testing.assert_close(
            first, second, rtol=rtol, atol=atol, equal_nan=True, msg=lambda text: f"{what}: {text}"
        )
