"""A level's name and keys: what passes comes back canonical, what does not is named.

And the defaults of the keywords, for those who write none, are those of conf.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from study.config.keys import KEYS, parse_one
from study.errors import InputError
from study.networks import ACTIVATIONS, CNN, INITIALIZERS, MODELS, NORMS, initialize
from study.networks.registry import Arguments, keywords, only_keys, split_level

CONF = Path(__file__).parents[2] / "conf"
FUNCTIONS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "activation": ACTIVATIONS,
    "init": INITIALIZERS,
    "norm": NORMS,
    "model": {name: network_class for name, (_, network_class) in MODELS.items()},
}
ELSEWHERE = {"init": {"bias"}, "model": {"activation", "norm"}}
"""Keys of a group that `initialize` takes, and keywords of a model that are groups themselves."""


def level(group, name):
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


def function(tensor, *, gain=1.0, std=2.0):
    pass


def test_a_name_is_a_level_without_keys():
    assert split_level("init", "zeros", ["zeros"]) == ("zeros", {})
    level: Arguments = {"name": "zeros", "bias": 0.5}
    assert split_level("init", level, ["zeros"]) == ("zeros", {"bias": 0.5})
    assert level == {"name": "zeros", "bias": 0.5}


@pytest.mark.parametrize("config", ["zeroes", {}, {"name": None}, {"name": ["zeros"]}])
def test_a_name_outside_the_registry_is_refused(config):
    with pytest.raises(InputError, match="unknown init .*; choose from: zeros, constant"):
        split_level("init", config, ["zeros", "constant"])


def test_keywords_are_the_keyword_only_parameters_with_their_defaults():
    assert keywords(function) == {"gain": 1.0, "std": 2.0}


def test_only_the_keys_of_the_function_are_taken():
    only_keys("init x", {"gain": 1.0}, keywords(function))
    with pytest.raises(InputError, match="unknown key of init x 'gian' .did you mean 'gain'"):
        only_keys("init x", {"gian": 1.0}, keywords(function))
    with pytest.raises(InputError, match="init x takes no parameters; leave 'gain' out"):
        only_keys("init x", {"gain": 1.0}, [])


@pytest.mark.parametrize("group", FUNCTIONS)
def test_conf_and_registry_name_each_other(group):
    paths = sorted((CONF / group).glob("*.yaml"))
    names = {path.stem: level(group, path.stem)["name"] for path in paths}
    without_file = set(FUNCTIONS[group]) - set(names.values())
    without_entry = set(names.values()) - set(FUNCTIONS[group])
    assert not without_file, f"conf/{group} has no file for them"
    assert not without_entry, f"conf/{group} has files for them, the registry has no entry"
    assert group == "model" or all(name == own for name, own in names.items())
    for path in paths:
        first = path.read_text().splitlines()[0]
        place = (
            f"the first line of conf/{group}/{path.name} should say what it is in 10 to 91 signs"
        )
        assert re.fullmatch(r"# \S.{9,90}", first), place


@pytest.mark.parametrize("group", FUNCTIONS)
def test_keywords_and_their_defaults_are_those_of_conf(group):
    elsewhere = {"name", *ELSEWHERE.get(group, set())}
    for name, function in FUNCTIONS[group].items():
        own = {key: value for key, value in keywords(function).items() if key not in elsewhere}
        said = level(group, name)
        assert said.keys() - elsewhere == own.keys(), name
        for key, default in own.items():
            assert f"{group}.{key}" in KEYS
            assert parse_one(f"{group}.{key}", default) == said[key], (name, key)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_init_by_name_alone_is_that_of_conf(name):
    states = []
    for init in ({"name": name}, level("init", name)):
        network = CNN((3, 8, 8), 10, channels=[[4]], head=[5])
        sample = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        generator = torch.Generator().manual_seed(0)
        initialize(network, init, {"name": "relu"}, generator, sample)
        states.append(network.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
