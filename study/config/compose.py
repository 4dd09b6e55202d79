"""Hydra, and nothing else that knows it: overrides in, composed configurations out."""

import contextlib
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString, Transformer
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from study.config.configuration import (
    CONF,
    Config,
    added,
    check,
    check_level,
    file_of,
    flatten,
    level_defaults,
    levels,
    no_key,
)
from study.config.keys import GROUPS, KEYS, NUISANCE, is_open, unknown_key
from study.config.own import folders
from study.config.refused import check_hydra, hydra_instead, instead_of, is_hydras
from study.errors import InputError, shown, unknown
from study.files import CHECKOUT, MAX_DEPTH, TOO_DEEP, require_shallow

SUBTREES = (*GROUPS, "trainer")
"""The groups whose files write into the subtree of their name."""
SWITCHES = (*SUBTREES, "experiment")
"""The groups of configuration files; whatever else is overridden is a key."""

MAX_VALUES = 10_000
"""Values of one axis: a range of a million is a slip of the pen."""


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


@dataclass(frozen=True)
class Raw:
    """What Hydra composed, not checked yet.

    `choices` names the file of each group, `files` are those that are ours, and `interpolates` says
    whether a value was made from another (`${...}`).
    """

    plain: dict[str, Any]
    choices: dict[str, Any]
    files: tuple[Path, ...]
    interpolates: bool


class OwnFolders(SearchPathPlugin):
    """The folders of a user's own levels, behind this project's files."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in folders():
            search_path.append("levels", f"file://{folder.path}")


@contextlib.contextmanager
def hydra_ready() -> Iterator[None]:
    """Hydra initialized on this project's configuration files, and a user's own."""
    GlobalHydra.instance().clear()
    Plugins.instance().register(OwnFolders)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        for folder in added:
            path = loader.get_search_path()
            path.prepend("command-line", f"file://{folder}", anchor="schema")
            loader.repository.initialize_sources(path)
        yield


def parse_overrides(arguments: Sequence[str]) -> list[Axis]:
    """The overrides of a command line, sweeps spelled out.

    Raises `InputError` for what is not an override, and for groups, levels or keys that no file
    has.
    """
    overrides = [_parse(argument) for argument in arguments]
    check_hydra({override.key_or_group: override.value() for override in overrides})
    return [_axis(*each) for each in zip(overrides, arguments, strict=True)]


def _parse(argument: str) -> Override:
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    try:
        override = parser.parse_overrides([argument])[0]
    except (HydraException, ValueError, RecursionError):
        raise _unreadable(argument) from None
    if not override.key_or_group or override.package is not None:
        raise _unreadable(argument)
    return override


def _unreadable(argument: str) -> InputError:
    """The error for what is no override, with quotes where the shell took them off."""
    name, _, value = argument.partition("=")
    if name in GROUPS and " " in value:
        levels = ",".join(f"'{level}'" if " " in level else level for level in value.split(","))
        return InputError(f'cannot read {shown(argument)!r}: quote it twice: "{name}={levels}"')
    return InputError(
        f"cannot read {shown(argument)!r}: write KEY=VALUE, such as activation=relu or "
        "'optimizer.lr=[0.01,0.1]'"
    )


def _axis(override: Override, argument: str) -> Axis:
    name = override.key_or_group
    if override.is_delete():
        raise InputError(f"cannot read {argument!r}: a key is set to a value, never removed")
    if not is_hydras(name):
        _check_name(name)
    if override.is_sweep_override():
        values = _swept(override, argument)
    else:
        values = [_text(name, override.value(), override.get_value_element_as_str())]
    return Axis(name, tuple(settings(name, value) for value in values))


def _swept(override: Override, argument: str) -> list[str]:
    """The values of a sweep."""
    name, _, given = argument.partition("=")
    if name in NUISANCE:
        raise InputError(
            f"{argument} would split a population over cells: write "
            f"'{name}=[{given}]' to train them together"
        )
    if name == "experiment" or not _makes_factor(name):
        raise InputError(f"cannot sweep {argument!r}: {name} takes one value for all cells")
    if not override.is_discrete_sweep():
        raise InputError(f"cannot sweep {argument!r}: list the values, such as {name}=1,2,3")
    try:
        swept = list(itertools.islice(override.sweep_iterator(), MAX_VALUES + 1))
    except ValueError:
        raise _unreadable(argument) from None
    if not 1 <= len(swept) <= MAX_VALUES:
        few = "no value" if not swept else f"more than {MAX_VALUES} values"
        raise InputError(f"cannot sweep {argument!r}: it has {few}")
    return [_text(name, value, Transformer.str(value)) for value in swept]


def _makes_factor(name: str) -> bool:
    """Whether a sweep over `name` gives cells of different factors."""
    if is_hydras(name):
        return False
    return name not in KEYS or KEYS[name].effect == "result" or name == "data.root"


def _text(name: str, value: Any, quoted: str) -> str:
    """A level as its name stands in the file, a value as it stands in an override."""
    text = value.text if isinstance(value, QuotedString) else value
    is_name = isinstance(text, str) and re.fullmatch(r"\w{1,100}", text)
    if name == "hydra/launcher" and not is_name:
        presets = ", ".join(levels(name))
        raise InputError(f"{name}={shown(quoted)}: it takes the name of a launcher, as {presets}")
    return text if name in SWITCHES and isinstance(text, str) else quoted


def _check_name(name: str) -> None:
    group, _, key = name.partition(".")
    if is_open(name):
        raise InputError(
            f"{name} is for an experiment's file; on the command line write -m activation=relu,tanh"
        )
    if group in GROUPS and key == "name":
        raise InputError(f"{name} comes with its level: write {group}=LEVEL")
    if name not in SWITCHES and name not in KEYS:
        raise unknown_key(name, SWITCHES)


def settings(name: str, value: str) -> tuple[str, ...]:
    """The overrides that set a key, or a group to a level such as `leaky_relu slope=0.01`."""
    if name not in SWITCHES:
        return (f"{name}={value}",)
    level, *changes = value.split() or [""]
    if level not in levels(name):
        raise _no_level(name, level)
    first: dict[str, str] = {}
    for change in changes:
        key = change.partition("=")[0]
        _check_name(f"{name}.{key}")
        if "=" not in change:
            raise InputError(f"{name}={value}: write such as {name}='{level} {change}=VALUE'")
        _parse(f"{name}.{change}")
        if first.setdefault(key, change) != change:
            raise InputError(f"{name}={shown(value)}: it has {first[key]} and {change}; leave one")
    return (f"{name}={level}", *(f"{name}.{change}" for change in changes))


def _no_level(group: str, level: str) -> InputError:
    """The error for a level that no file has."""
    if (instead := instead_of(f"{group}={level}")) is not None:
        return InputError(f"{group}={level}: {instead}")
    return unknown(group, shown(level), levels(group))


def axis_of(name: str, values: Any) -> Axis:
    """One axis of an experiment's file: a group's levels, or a key's values."""
    _check_name(name)
    if name in NUISANCE:
        raise InputError(f"sweep.axes.{name}: a population holds all of them; set {name} instead")
    if not isinstance(values, list) or not values:
        raise InputError(f"sweep.axes.{name}={shown(values)}: it takes a list of values")
    if not _makes_factor(name):
        raise InputError(f"sweep.axes.{name}: {name} takes one value for all cells")
    texts = [value if name in SWITCHES else json.dumps(value) for value in values]
    return Axis(name, tuple(settings(name, str(text)) for text in texts))


def compose_cell(overrides: Sequence[str]) -> Composed:
    """Composes and checks one configuration; raises `InputError` for what cannot be."""
    raw = compose_raw(overrides)
    return composed(raw.plain, raw.choices)


def compose_raw(overrides: Sequence[str]) -> Raw:
    """Composes one configuration; raises `InputError` for what Hydra refuses."""
    try:
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        choices = dict(config.hydra.runtime.choices)
        _check_unread(config.hydra, overrides)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        written = str(OmegaConf.to_container(config, resolve=False))
        _check_resolvers(written)
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except YAMLError as error:
        raise InputError(f"no valid YAML: {' '.join(str(error).split())}") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(one_line(error, overrides)) from None
    except RecursionError:
        if not any(map(_is_deep, overrides)):
            raise InputError(
                "an experiment's defaults lead back to itself: it goes on from another by the "
                "entry `- NAME`, with the other's name alone"
            ) from None
        raise _too_deep(overrides) from None
    try:
        require_shallow(plain)
    except ValueError:
        raise _too_deep(overrides) from None
    for group in SUBTREES:
        if not isinstance(choices.get(group), str):
            raise InputError(
                f"{group} takes one level; several are a sweep, of sweep.axes.{group} in a file"
            )
    chosen = [f"{group}/{name}" for group, name in choices.items() if name is not None]
    ours = [file_of(*name.rsplit("/", 1)) for name in chosen if not name.startswith("hydra/")]
    return Raw(plain, choices, (CONF / "config.yaml", *ours), "${" in written)


def _check_unread(hydra: DictConfig, overrides: Sequence[str]) -> None:
    """Raises `InputError` where a file sets what of Hydra's configuration no launch reads there."""
    typed = tuple(text for text in overrides if is_hydras(text.lstrip("+")))
    was, now = _hydra_without_files(CONF, typed), _hydra_settings(hydra)
    for name in [*now, *was]:
        if was.get(name) != now.get(name):
            if name.startswith("launcher."):
                raise InputError(
                    "a file that sets hydra/launcher has no effect here: write it on the command "
                    "line, as hydra/launcher=machine"
                )
            raise InputError(
                f"hydra.{name} in a file has no effect here: {hydra_instead(f'hydra.{name}')}"
            )


@functools.lru_cache(maxsize=16)
def _hydra_without_files(conf: Path, typed: tuple[str, ...]) -> dict[str, Any]:
    """Hydra's settings as config.yaml below `conf` and the command line give them."""
    config = compose("config", overrides=list(typed), return_hydra_config=True)
    return _hydra_settings(config.hydra)


def _hydra_settings(hydra: DictConfig) -> dict[str, Any]:
    """Hydra's settings by dotted name, without what it notes of one composition."""
    plain: Any = OmegaConf.to_container(hydra, resolve=False)
    return {
        name: value
        for name, value in flatten(plain)
        if name.partition(".")[0] not in ("runtime", "overrides") and name != "job.override_dirname"
    }


def _check_resolvers(text: str) -> None:
    """Raises `InputError` for `${NAME:...}` that nothing resolves, or twice to different values."""
    for name in re.findall(r"(?<!\\)\$\{\s*([A-Za-z_][\w.]*)\s*:", text):
        if name in ("hydra", "now") or not OmegaConf.has_resolver(name):
            raise InputError(
                f"${{{name}:...}}: {_UNRESOLVED.get(name, 'nothing has registered it')}; write a "
                "value, ${KEY} for that of another key, or ${oc.env:NAME} for a variable's"
            )


_UNRESOLVED = {
    "hydra": "a cell is composed before Hydra has a job",
    "now": "a cell is found again by its values, and this is another one each time",
}
"""Hydra's own resolvers that have no meaning here, and why."""


def _too_deep(overrides: Sequence[str]) -> InputError:
    """The error for a value of lists in lists, of which Hydra knows no bound."""
    return InputError(f"{shown(next(filter(_is_deep, overrides), 'a value'))}: {TOO_DEEP}")


def _is_deep(text: str) -> bool:
    return text.count("[") + text.count("{") > MAX_DEPTH


def _chosen(group: str, overrides: Sequence[str]) -> str:
    """`init=he_normal`: the level of a group that the overrides lead to, the default included."""
    switches = [text for text in overrides if text.lstrip("+").partition("=")[0] in SWITCHES]
    config = compose("config", overrides=switches, return_hydra_config=True)
    return f"{group}={config.hydra.runtime.choices[group]}"


def composed(plain: dict[str, Any], choices: Mapping[str, Any]) -> Composed:
    """Checks what Hydra composed; `choices` names the file of each group."""
    written = (plain["sweep"] if isinstance(plain["sweep"], dict) else {}).get("axes") or {}
    if not isinstance(written, dict):
        raise InputError(f"sweep.axes={shown(written)}: write such as activation: [relu, tanh]")
    axes = dict(_flat_axes(written))
    for name in GROUPS:
        level_defaults(name, choices[name])
    config = check(plain)
    for name in GROUPS:
        check_level(name, choices[name], config.mapping[name])
    return Composed(config, {name: choices[name] for name in GROUPS}, axes)


def _flat_axes(axes: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Axes by dotted name, whether written `model.widths:` or nested."""
    for name, value in axes.items():
        if isinstance(value, dict):
            yield from _flat_axes(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def one_line(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's page as a line that says what would be right."""
    message = str(error)
    lines = [" ".join(line.split()) for line in message.splitlines() if line.strip()]
    if key := re.search(r"Could not override '(\w+)\.([\w.]+)'", message):
        group, name = key.groups()
        if group not in SWITCHES:
            return f"no key {group}.{name}"
        return str(no_key(group, _chosen(group, overrides), name))
    if merged := re.match(r"Error merging override ([\w.]+)=", lines[0]):
        key_of = KEYS.get(merged[1])
        cause = str(error.__cause__ or "").partition("\n")[0]
        reason = f"it takes {key_of.kind.expects}" if key_of else cause
        return f"{lines[0]}: {reason}".removesuffix(": ")
    if launcher := re.search(r"Could not (?:find|load) 'hydra/launcher/(\w+)'", message):
        if not launcher[1].startswith(("joblib", "submitit", "ray")):
            return str(unknown("launcher", launcher[1], levels("hydra/launcher")))
        extra = "make setup EXTRAS=joblib"
        if CHECKOUT is None:
            extra = "pip install 'neural-training-study[joblib]'"
        return (
            f"hydra/launcher={launcher[1]} is not installed: `{extra}` (or submitit, ray) "
            "installs the launchers of that name"
        )
    if level := re.search(r"Could not (?:find|load) '(?:experiment/)?(\w+)/(\w+)'", message):
        group, name = level.groups()
        if group in SWITCHES:
            if f"'experiment/{group}/" in message:
                return f"{lines[0]}: write `override /{group}: {name}`"
            return str(_no_level(group, name))
    if part := re.search(r"Could not override '([\w/]+)'", message):
        instead = instead_of(part[1]) or "no file of conf/ has such a group"
        return f"{lines[0].partition('. No match')[0].rstrip('.')}: {instead}"
    if sweeper := re.search(r"Could not (?:find|load) '(hydra/sweeper/\w+)'", message):
        return f"{sweeper[1]}: {hydra_instead('hydra.sweeper')}"
    if lines[0].endswith(":"):
        return " ".join(lines[:2])
    place = next((line for line in lines[1:] if line.startswith("full_key: ")), "full_key: ")
    return f"{place.removeprefix('full_key: ')}: {lines[0]}".removeprefix(": ")


class Assembler:
    """Composes the cells of one sweep; `base` is what `fixed`, the same in all of them, gives.

    Hydra takes 60 ms a configuration, whatever changes: a minute for 1,000 cells. But each group is
    a subtree of its own, so it is asked once for each combination of the axes within a group and
    not for each cell: 1,000 cells of six axes are 25 questions, and planned in 3 s. Files and
    overrides are not merged here: their order, struct mode and grammar are Hydra's alone.

    A cell equals what Hydra composes of `fixed` and the cell's own overrides. One in which a group
    may depend on another is composed whole: where a value interpolates, a level's file writes
    outside its group or brings other files, or a defaults list says more than fixed levels.
    """

    def __init__(self, fixed: Sequence[str]) -> None:
        self._fixed = tuple(fixed)
        self._raw = compose_raw(fixed)
        self._parts: dict[tuple[str, ...], Raw | None] = {(): _separable(self._raw)}
        self.base = composed(self._raw.plain, self._raw.choices)

    def cell(self, combination: Mapping[str, tuple[str, ...]]) -> Composed:
        """The cell of a combination {axis: the overrides that set its value}, checked.

        Raises `InputError` for what cannot be composed, or is no valid configuration.
        """
        by_root: dict[str, tuple[str, ...]] = {"": ()}
        for name, overrides in combination.items():
            root = re.split(r"[./]", name, maxsplit=1)[0]
            by_root[root] = (*by_root.get(root, ()), *overrides)
        plain, choices = dict(self._raw.plain), dict(self._raw.choices)
        for root, overrides in by_root.items():
            part = self._part(overrides)
            if part is None:
                own = [text for overrides in combination.values() for text in overrides]
                return compose_cell([*self._fixed, *own])
            if root in plain:
                plain[root] = part.plain[root]
                choices[root] = part.choices.get(root)
        return composed(plain, choices)

    def _part(self, overrides: tuple[str, ...]) -> Raw | None:
        """What the axes of one subtree give; None where they may not be taken by themselves."""
        if overrides not in self._parts:
            self._parts[overrides] = _separable(compose_raw((*self._fixed, *overrides)))
        return self._parts[overrides]


def _separable(raw: Raw) -> Raw | None:
    """`raw` if none of its subtrees depends on another, else None.

    A file that is not where its choice says was taken from elsewhere, or into another group.
    """
    if raw.interpolates or not all(path.is_file() for path in raw.files):
        return None
    texts = [(path.parent.name, path.read_text(encoding="utf-8")) for path in raw.files]
    return raw if all(_keeps_to_itself(group, text) for group, text in texts) else None


@functools.lru_cache(maxsize=256)
def _keeps_to_itself(group: str, text: str) -> bool:
    """Whether a file of `group` leaves the subtrees of other groups alone.

    A file above the groups (config.yaml, an experiment) is the same for all cells: it may write
    anywhere and set levels, as long as they do not depend on those of a cell.
    """
    defaults = (yaml.safe_load(text) or {}).get("defaults") or []
    if group in SUBTREES:
        return not defaults and "@package" not in text
    # Each is `_self_`, or sets a group under its own name.
    return all(
        entry == "_self_"
        if isinstance(entry, str)
        else not any(mark in str(entry) for mark in ("${", "@", "["))
        for entry in defaults
    )
