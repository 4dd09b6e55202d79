"""Identity: a signature changes with what changes results, and with nothing else."""

import contextlib
import copy
import functools
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from study.config import configuration
from study.config.compose import Composed, compose_cell, hydra_ready
from study.config.configuration import (
    Config,
    check,
    factors,
    flatten,
    level_defaults,
    levels,
    nest,
    signature,
)
from study.config.keys import GROUPS, KEYS, parse_one
from study.config.own import FORMS
from study.errors import InputError
from study.launch.reproduce.saved import completed
from study.outputs.series import parsed_config

# For each key a level that has it, and another value that its range allows.
OTHER: dict[str, tuple[str, Any]] = {
    "study": ("", "another"),
    "outputs_dir": ("", "elsewhere"),
    "levels": ("", "mine"),
    "seeds": ("", 3),
    "batch_size": ("", 64),
    "loss": ("", "squared_error"),
    "input_noise": ("", 0.5),
    "streams.initialization": ("", 1),
    "streams.order": ("", 1),
    "streams.augmentation": ("", 1),
    "streams.noise": ("", 1),
    "streams.dropout": ("", 1),
    "data.name": ("", "kmnist"),
    "data.root": ("", "elsewhere"),
    "data.cache": ("", "elsewhere"),
    "data.val_size": ("", 0.1),
    "data.train_size": ("", 1000),
    "data.test_size": ("", 1000),
    "data.test_shift": ("", "noise"),
    "data.test_shift_strength": ("data.test_shift=noise", 0.1),
    "data.split_seed": ("", 1),
    "data.normalize": ("", "unit"),
    "data.zca_epsilon": ("", 0.1),
    "data.flip": ("", True),
    "data.crop": ("", 4),
    "model.name": ("", "cnn"),
    "model.widths": ("", [8]),
    "model.code": ("model=autoencoder", 20),
    "model.channels": ("model=cnn", [[8]]),
    "model.kernel_size": ("model=cnn", 5),
    "model.pool": ("model=cnn", "average"),
    "model.head": ("model=cnn", []),
    "model.dropout": ("", 0.5),
    "activation.name": ("", "tanh"),
    "activation.slope": ("activation=leaky_relu", 0.01),
    "activation.alpha": ("activation=elu", 2),
    "activation.pieces": ("activation=maxout", 3),
    "init.name": ("", "he_uniform"),
    "init.bias": ("", 0.1),
    "init.value": ("init=constant", 0.2),
    "init.std": ("init=normal", 0.1),
    "init.bound": ("init=uniform", 0.1),
    "init.gain": ("init=orthogonal", "auto"),
    "norm.name": ("norm=batch", "none"),
    "norm.position": ("norm=batch", "after"),
    "norm.momentum": ("norm=batch", 0.5),
    "norm.eps": ("norm=batch", 1e-3),
    "norm.affine": ("norm=batch", False),
    "norm.evaluation": ("norm=batch", "batch"),
    "norm.eval_batch_size": ("norm=batch", 64),
    "norm.noise": ("norm=batch", 1),
    "pretraining.name": ("pretraining=rbm", "none"),
    "pretraining.layers": ("pretraining=rbm", 1),
    "pretraining.epochs": ("pretraining=rbm", [1, 2]),
    "pretraining.lr": ("pretraining=rbm", 0.01),
    "pretraining.batch_size": ("pretraining=rbm", 10),
    "pretraining.optimizer": ("pretraining=supervised", "sgd"),
    "pretraining.momentum": ("pretraining=rbm", 0.1),
    "pretraining.weight_decay": ("pretraining=supervised", 1e-4),
    "pretraining.decoder": ("pretraining=autoencoder", "untied"),
    "pretraining.loss": ("pretraining=autoencoder", "cross_entropy"),
    "pretraining.corruption": ("pretraining=denoising_autoencoder", "gaussian"),
    "pretraining.corruption_level": ("pretraining=denoising_autoencoder", 0.5),
    "pretraining.visible": ("pretraining=rbm", "gaussian"),
    "pretraining.hidden": ("pretraining=rbm", "linear"),
    "pretraining.mean_field": ("pretraining=rbm", True),
    "pretraining.cd_steps": ("pretraining=rbm", 5),
    "pretraining.persistent": ("pretraining=rbm", True),
    "pretraining.final_momentum": ("pretraining=rbm", 0.8),
    "pretraining.momentum_switch": ("pretraining=rbm", 2),
    "pretraining.weight_cost": ("pretraining=rbm", 0),
    "pretraining.equal_budget": ("pretraining=rbm", True),
    "optimizer.name": ("", "adam"),
    "optimizer.lr": ("", [0.01, 0.1]),
    "optimizer.momentum": ("", 0.5),
    "optimizer.nesterov": ("", True),
    "optimizer.alpha": ("optimizer=rmsprop", 0.9),
    "optimizer.beta1": ("optimizer=adam", 0.8),
    "optimizer.beta2": ("optimizer=adam", 0.9),
    "optimizer.eps": ("optimizer=adam", 1e-4),
    "optimizer.weight_decay": ("", 1e-4),
    "pairs.points": ("", 5),
    "schedule.name": ("", "cosine"),
    "schedule.warmup_epochs": ("", 1),
    "schedule.every_epochs": ("schedule=step", 2),
    "schedule.factor": ("schedule=step", 0.5),
    "schedule.final_factor": ("schedule=cosine", 0.1),
    "probes.name": ("", "full"),
    "probes.num_examples": ("", 100),
    "probes.steps": ("", [1, 2]),
    "probes.epochs": ("", "all"),
    "probes.thorough": ("", "always"),
    "trainer.max_epochs": ("", 3),
    "trainer.precision": ("", "64-true"),
    "trainer.accelerator": ("", "cpu"),
    "trainer.devices": ("", 2),
    "trainer.threads": ("", 1),
    "population.engine": ("", "stacked"),
    "population.products": ("", "torch"),
    "population.compile": ("", True),
    "population.max_replicas": ("", 2),
    "outputs.weights": ("", "all"),
    "outputs.tensorboard": ("", "none"),
    "sweep.max_failures": ("", 1),
    "sweep.exclude": ("", [{"activation": "relu"}]),
    "trainer.checkpoint_seconds": ("", 0),
    "trainer.detect_anomaly": ("", True),
    "trainer.profiler": ("", "simple"),
    "trainer.enable_progress_bar": ("", False),
    "trainer.fast_dev_run": ("", True),
    "logger": ("", ["csv"]),
    "callbacks": ("", ["mine"]),
    "data.augment": ("", ["mine"]),
    "probes.own": ("", ["mine"]),
    "optimizer.clip_norm": ("", 1.0),
    "report.tables": ("", ["--metric val_error"]),
    "claims": ("", [{"id": "one"}]),
}

OF_FOLDERS = tuple(form.key for form in FORMS.values() if form.takes_list)
"""Keys that name what only a folder of levels has."""


@functools.cache
def composed(*overrides: str) -> Composed:
    with hydra_ready():
        return compose_cell([text for text in overrides if text])


def with_value(config: Config, name: str, value: Any) -> Mapping[str, Any]:
    flat = dict(flatten(config.mapping))
    assert name in flat
    return nest(flat | {name: value})


def another_value(name: str) -> tuple[str, Any]:
    """As OTHER has it; of a level's key that is not there, another number or the other truth."""
    if name in OTHER:
        return OTHER[name]
    group, _, last = name.partition(".")
    for level in levels(group):
        value = level_defaults(group, level).get(last)
        others = (not value,) if isinstance(value, bool) else (value and value / 2, 1, 2)
        for other in others if isinstance(value, int | float) else ():
            with contextlib.suppress(InputError):
                if parse_one(name, other) != value:
                    return f"{group}={level}", other
    raise AssertionError(
        f"OTHER in tests/config/test_configuration.py needs another value of {name}"
    )


def test_only_keys_have_another_value() -> None:
    assert OTHER.keys() <= KEYS.keys()


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_signature_changes_with_result_keys_alone(name: str) -> None:
    overrides, value = another_value(name)
    config = composed(overrides).config
    changed = with_value(config, name, value)
    refused = ("trainer.devices", "optimizer.nesterov", *OF_FOLDERS)
    if name not in refused and not name.endswith(".name"):
        changed = check(changed).mapping
    versions: dict[str, int | str] | None = {} if name in OF_FOLDERS else None
    same = signature(changed, "data", versions=versions) == config.signature("data")
    assert same == (KEYS[name].effect != "result")


def neutral_keys() -> dict[str, Any]:
    """The keys with a neutral value, and that value."""
    return {name: key.neutral for name, key in KEYS.items() if type(key.neutral) is not object}


def test_a_key_at_its_neutral_value_is_as_if_it_were_not() -> None:
    """So that cells from before a key keep their signatures, factors and directories."""
    assert neutral_keys() == {
        "data.test_shift": "none",
        "data.test_shift_strength": None,
        "pairs.points": 0,
        "optimizer.clip_norm": None,
        "callbacks": [],
        "data.augment": [],
        "probes.own": [],
    }
    usual = composed("")
    flat = dict(flatten(usual.config.mapping))
    assert {name: flat[name] for name in neutral_keys()} == neutral_keys()
    before = nest({name: value for name, value in flat.items() if name not in neutral_keys()})
    assert signature(before, "data") == signature(usual.config.mapping, "data")
    assert factors(before, usual.choices) == factors(usual.config.mapping, usual.choices)
    assert "pairs.points" in factors(usual.config.mapping, usual.choices, {"pairs.points"})
    assert factors(composed("pairs.points=5").config.mapping, usual.choices)["pairs.points"] == 5
    assert completed(before) == usual.config


def test_a_configuration_saved_with_retired_keys_is_read_without_them() -> None:
    config = composed("").config
    usual = config.mapping
    old = {**usual, "report": {**usual["report"], "targets": [], "margin": None, "compare": []}}
    assert completed(parsed_config(yaml.safe_dump(old).encode())) == config
    unknown = {**usual, "report": {**usual["report"], "target": []}}
    with pytest.raises(InputError, match=r"report\.target'"):
        completed(parsed_config(yaml.safe_dump(unknown).encode()))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("data.test_shift_strength=0.1",), "beside data.test_shift=none"),
        (("data.test_shift=translate", "data.test_shift_strength=1.5"), "by whole pixels"),
        (("data.test_shift=contrast", "data.test_shift_strength=1.5"), "a share, at most 1"),
        (("data.test_shift=fog",), "one of none, noise, translate, contrast"),
        (("pairs.points=1",), "0, or a whole number from 2 to 1001"),
        (("pairs.points=5", "seeds=1"), "a pair needs two seeds"),
    ],
)
def test_shifts_and_pairs_that_cannot_be_are_refused(overrides: tuple[str, ...], line: str) -> None:
    with pytest.raises(InputError, match=line):
        composed(*overrides)


def test_the_signature_changes_with_the_data_and_the_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = composed("").config
    first = config.signature("data")
    assert config.signature("other data") != first
    monkeypatch.setattr(configuration, "RECIPE", configuration.RECIPE + 1)
    assert config.signature("data") != first


@given(st.randoms())
def test_the_order_of_keys_is_nothing(random: Any) -> None:
    config = composed("").config
    flat = list(flatten(config.mapping))
    shuffled = nest(dict(random.sample(flat, len(flat))))
    assert shuffled == config.mapping
    assert signature(shuffled, "data") == config.signature("data")


def test_equal_values_written_otherwise_are_the_same_cell() -> None:
    first = composed("seeds=3", "optimizer.lr=[1,0.1]", "init.bias=0").config
    second = composed("seeds=[2,0,1]", "optimizer.lr=[0.1,1.0]", "init.bias=-0.0").config
    assert first.signature("data") == second.signature("data")
    assert composed("optimizer.lr=1").config.signature("") == (
        composed("optimizer.lr=[1.0]").config.signature("")
    )


def test_without_seeds_the_signature_forgets_the_seeds_alone() -> None:
    first, second = composed("seeds=5").config, composed("seeds=[7]").config
    assert first.signature("d") != second.signature("d")
    assert first.signature("d", without_seeds=True) == second.signature("d", without_seeds=True)
    third = composed("seeds=5", "optimizer.lr=0.2").config
    assert first.signature("d", without_seeds=True) != third.signature("d", without_seeds=True)


def test_a_warmup_longer_than_training_is_refused() -> None:
    assert composed("schedule.warmup_epochs=3", "trainer.max_epochs=3")
    with pytest.raises(InputError, match=r"warmup_epochs=3\.5 is longer .*max_epochs=3"):
        composed("schedule.warmup_epochs=3.5", "trainer.max_epochs=3")


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_name_is_refused_in_one_line(group: str) -> None:
    config = copy.deepcopy(dict(composed("").config.mapping))
    del config[group]["name"]
    with pytest.raises(InputError, match=f"{group}.name is missing") as caught:
        check(config)
    assert levels(group)[0] in str(caught.value)


def test_checking_is_idempotent() -> None:
    config = composed("").config
    assert check(config.mapping) == config
