"""Hydra, and nothing else that knows it: overrides in, composed configurations out."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from study.configuration import CONF, Config, check, levels
from study.errors import InputError, unknown
from study.keys import GROUPS, KEYS, NUISANCE, is_open

SWITCHES = (*GROUPS, "trainer", "experiment")
"""The groups of configuration files; whatever else is overridden is a key."""


@dataclass(frozen=True)
class Axis:
    """One override: the key or group, and for each of its values the overrides that set it."""

    name: str
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Composed:
    """A checked configuration, the file of each group, and the sweep that it carries."""

    config: Config
    choices: dict[str, str]
    axes: dict[str, list[Any]]


@contextlib.contextmanager
def hydra_ready() -> Iterator[None]:
    """Hydra initialized on this project's configuration files."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def parse_overrides(arguments: Sequence[str]) -> list[Axis]:
    """The overrides of a command line, sweeps spelled out.

    Raises `InputError` for what is not an override, and for groups, levels or keys that no file
    has.
    """
    return [_axis(_parse(argument), argument) for argument in arguments]


def _parse(argument: str) -> Override:
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    try:
        return parser.parse_override(argument)
    except HydraException:
        raise InputError(
            f"cannot read {argument!r}: write KEY=VALUE, such as activation=relu or "
            "'optimizer.lr=[0.01,0.1]'"
        ) from None


def _axis(override: Override, argument: str) -> Axis:
    name = override.key_or_group
    if override.is_delete():
        raise InputError(f"cannot read {argument!r}: a key is set to a value, never removed")
    if not name.startswith(("hydra.", "hydra/")):
        _check_name(name)
    if override.is_sweep_override():
        if name in NUISANCE:
            raise InputError(
                f"{argument} would split a population over cells: write "
                f"'{name}=[{argument.partition('=')[2]}]' to train them together"
            )
        if not override.is_discrete_sweep():
            raise InputError(f"cannot sweep {argument!r}: list the values, such as {name}=1,2,3")
        values = [str(value) for value in override.sweep_string_iterator()]
    else:
        values = [override.get_value_element_as_str()]
    return Axis(name, tuple(settings(name, value) for value in values))


def _check_name(name: str) -> None:
    if name in SWITCHES or name in KEYS or is_open(name):
        return
    raise unknown("key", name, [*SWITCHES, *KEYS])


def settings(name: str, value: str) -> tuple[str, ...]:
    """The overrides that set a key, or a group to a level such as `leaky_relu slope=0.01`."""
    if name not in SWITCHES:
        return (f"{name}={value}",)
    level, *changes = value.strip("'\"").split()
    if level not in levels(name) and not (name == "experiment" and level == "null"):
        raise unknown(name, level, levels(name))
    return (f"{name}={level}", *(f"{name}.{change}" for change in changes))


def axis_of(name: str, values: Any) -> Axis:
    """One axis of an experiment's file: a group's levels, or a key's values."""
    _check_name(name)
    if name in NUISANCE:
        raise InputError(f"sweep.axes.{name}: a population holds all of them; set {name} instead")
    if not isinstance(values, list) or not values:
        raise InputError(f"sweep.axes.{name}={values} is out of range: it takes a list of values")
    texts = [value if name in SWITCHES else json.dumps(value) for value in values]
    return Axis(name, tuple(settings(name, str(text)) for text in texts))


def compose_cell(overrides: Sequence[str]) -> Composed:
    """Composes and checks one configuration; raises `InputError` for what cannot be."""
    try:
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        choices = dict(config.hydra.runtime.choices)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(one_line(str(error), overrides)) from None
    return composed(plain, choices)


def composed(plain: dict[str, Any], choices: Mapping[str, Any]) -> Composed:
    """Checks what Hydra composed; `choices` names the file of each group."""
    axes = dict(_flat_axes(plain["sweep"].get("axes") or {}))
    return Composed(check(plain), {name: choices[name] for name in GROUPS}, axes)


def _flat_axes(axes: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Axes by dotted name, whether written `model.widths:` or nested."""
    for name, value in axes.items():
        if isinstance(value, dict):
            yield from _flat_axes(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def one_line(message: str, overrides: Sequence[str]) -> str:
    """Hydra's page as a line that says what would be right."""
    key = re.search(r"Could not override '([\w.]+)'", message)
    if key and "." in key[1]:
        group, _, name = key[1].partition(".")
        level = next((text for text in overrides if text.startswith(f"{group}=")), group)
        also = ", ".join(other for other in levels(group) if _has(group, other, name))
        return f"{level} has no key {name!r}; levels of {group} that have it: {also or 'none'}"
    return " ".join(message.split("\n")[0].split())


def _has(group: str, level: str, name: str) -> bool:
    text = (CONF / group / f"{level}.yaml").read_text(encoding="utf-8")
    return re.search(rf"^{re.escape(name)}:", text, re.MULTILINE) is not None


def hydra_page(arguments: Sequence[str]) -> int:
    """Hydra's own page for flags such as `--cfg job` and `--help`."""
    sys.argv = ["study train", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_no_job)()
    return 0


def _no_job(config: Any) -> None:
    raise AssertionError("a page runs no job")
