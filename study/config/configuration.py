"""A cell's configuration: checked, and what its identity and its factors are.

The signature hashes what changes a cell's results and nothing else (Dora and signac name runs the
same way): the `result` keys that are not at their neutral value, the data's fingerprint, RECIPE,
and the version of each level that is not the project's own, or has a recipe of its own.
"""

import contextlib
import functools
import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import own
from study.config.groups import (
    DataGroup,
    GroupType,
    LevelGroup,
    ModelGroup,
    NormGroup,
    OptimizerGroup,
    OutputsGroup,
    PairsGroup,
    PopulationGroup,
    PretrainingGroup,
    ProbesGroup,
    ScheduleGroup,
    SweepGroup,
    TrainerGroup,
    typed,
)
from study.config.keys import GROUPS, KEYS, NUISANCE, parse, parse_one, unknown_key
from study.config.level_source import OWN, REGISTRIES, required_source
from study.errors import InputError, shown, unknown
from study.files import CHECKOUT, PACKAGE

if TYPE_CHECKING:
    from study.networks.registry import Arguments

RECIPE = 1
"""Raised with every change of the code that changes results."""

LEVEL_RECIPES: dict[tuple[str, str], int] = {
    # Units that start equal are held equal, where rounding decided before.
    ("init", "zeros"): 2,
    ("init", "constant"): 2,
}
"""The recipes of single levels, such as `{("init", "constant"): 2}`.

Raised with a change that changes the results of no cell but those of one of the project's levels.
"""

OWN_GAIN = {
    "he_uniform": "sqrt 2",
    "he_normal": "sqrt 2",
    "he_lecture": "the lecture's bounds",
    "he_average": "sqrt 2",
    "lsuv": "measured on data",
}
"""Levels that carry their own gain, and which: another beside it is refused."""

CONF = (CHECKOUT or PACKAGE) / "conf"
"""This project's configuration files."""


@dataclass(frozen=True)
class Config:
    """A cell's configuration, checked and typed; `seeds` and learning rates ascend.

    `mapping` is its canonical form, nested by group: what config.yaml holds, and what is signed.
    """

    study: str
    outputs_dir: str
    levels: str | None
    seeds: Sequence[int]
    batch_size: int
    loss: str
    input_noise: float
    logger: Sequence[str]
    callbacks: Sequence[str]
    streams: Mapping[str, int | None]
    data: DataGroup
    model: ModelGroup
    activation: LevelGroup
    init: LevelGroup
    norm: NormGroup
    pretraining: PretrainingGroup
    optimizer: OptimizerGroup
    schedule: ScheduleGroup
    probes: ProbesGroup
    pairs: PairsGroup
    trainer: TrainerGroup
    population: PopulationGroup
    outputs: OutputsGroup
    sweep: SweepGroup
    report: Mapping[str, Any]
    claims: Sequence[Any]
    mapping: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Config":
        """The typed form of a canonical mapping."""

        def group(name: str, kind: type[GroupType]) -> GroupType:
            return typed(kind, mapping.get(name, {}))

        return cls(
            study=mapping["study"],
            outputs_dir=mapping["outputs_dir"],
            levels=mapping.get("levels"),
            seeds=mapping["seeds"],
            batch_size=mapping["batch_size"],
            loss=mapping["loss"],
            input_noise=mapping["input_noise"],
            logger=mapping.get("logger", ["tensorboard"]),
            callbacks=mapping.get("callbacks", []),
            streams=mapping["streams"],
            data=group("data", DataGroup),
            model=group("model", ModelGroup),
            activation=group("activation", LevelGroup),
            init=group("init", LevelGroup),
            norm=group("norm", NormGroup),
            pretraining=group("pretraining", PretrainingGroup),
            optimizer=group("optimizer", OptimizerGroup),
            schedule=group("schedule", ScheduleGroup),
            probes=group("probes", ProbesGroup),
            pairs=group("pairs", PairsGroup),
            trainer=group("trainer", TrainerGroup),
            population=group("population", PopulationGroup),
            outputs=group("outputs", OutputsGroup),
            sweep=group("sweep", SweepGroup),
            report=mapping.get("report", {}),
            claims=mapping.get("claims", []),
            mapping=mapping,
        )

    def changed(self, values: Mapping[str, Any]) -> "Config":
        """The configuration with other canonical values, by dotted key."""
        return Config.from_mapping(nest(dict(flatten(self.mapping)) | dict(values)))

    @property
    def network(self) -> Mapping[str, "Arguments"]:
        """The levels that a network is built from."""
        groups = {"model": self.model, "activation": self.activation, "norm": self.norm}
        return {name: group.level for name, group in groups.items()}

    @property
    def has_runs(self) -> bool:
        """Whether TensorBoard has runs of the cell, and of its pretraining."""
        return self.outputs.tensorboard != "none" and "tensorboard" in self.logger

    @property
    def num_replicas(self) -> int:
        """The replicas of a cell: its seeds times its learning rates."""
        return len(self.seeds) * len(self.optimizer.lr)

    def signature(self, fingerprint: str, *, without_seeds: bool = False) -> str:
        """The cell's identity on the data of that fingerprint, under this code."""
        return signature(self.mapping, fingerprint, without_seeds=without_seeds)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) pairs of a nested configuration; lists and empty mappings are values."""
    for name, value in config.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{dotted}.")
        else:
            yield dotted, value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The nested configuration of dotted keys."""
    config: dict[str, Any] = {}
    for dotted, value in flat.items():
        *groups, name = dotted.split(".")
        place = config
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return config


def check(config: Mapping[str, Any]) -> Config:
    """The canonical configuration; raises `InputError` for what is unknown or out of range."""
    for name in GROUPS:
        group = config.get(name, {})
        if isinstance(group, Mapping) and "name" not in group:
            raise InputError(f"{name}.name is missing: choose {name}={'|'.join(levels(name))}")
    mapping = nest(parse(dict(flatten(config))))
    for name in GROUPS:
        names = sorted({keys["name"] for keys in sound_levels(name).values()})
        if (given := mapping[name]["name"]) not in names:
            raise unknown(f"{name}.name", given, names)
    own.check_names(dict(flatten(mapping)))
    checked = Config.from_mapping(mapping)
    optimizer = checked.optimizer.level
    if optimizer.get("nesterov") and not optimizer["momentum"]:
        raise InputError(
            "optimizer.nesterov=true needs a momentum: set optimizer.momentum above 0, such as 0.9"
        )
    if checked.trainer.devices != 1:
        raise InputError(
            f"trainer.devices={checked.trainer.devices}: a cell trains on one device; "
            "to use several, run many cells at once with hydra/launcher=machine"
        )
    warmup, epochs = checked.schedule.warmup_epochs, checked.trainer.max_epochs
    if warmup > epochs:
        raise InputError(
            f"schedule.warmup_epochs={warmup:g} is longer than training: "
            f"it takes at most trainer.max_epochs={epochs}"
        )
    _check_shift(checked.data)
    if checked.probes.own and checked.probes.name == "none":
        given = shown(checked.probes.own)
        raise InputError(f"probes.own={given} beside probes=none, which takes none: leave one out")
    points = checked.pairs.points
    if points and len(checked.seeds) < 2:
        raise InputError(f"pairs.points={points} beside one seed: a pair needs two seeds")
    return checked


def _check_shift(data: DataGroup) -> None:
    """InputError for a strength of no shift, or one that its shift cannot have."""
    shift, strength = data.test_shift, data.test_shift_strength
    if strength is None:
        return
    given = f"data.test_shift_strength={strength:g}"
    if shift == "none":
        raise InputError(f"{given} beside data.test_shift=none: say which shift is so strong")
    if shift == "translate" and strength != int(strength):
        raise InputError(f"{given}: data.test_shift=translate moves images by whole pixels")
    if shift == "contrast" and strength > 1:
        raise InputError(f"{given}: data.test_shift=contrast takes away a share, at most 1")


def check_level(group: str, choice: str, values: Mapping[str, Any]) -> None:
    """Raises `InputError` where a group is not what the file it came from says it is."""
    defaults = level_defaults(group, choice)
    if values["name"] != defaults["name"]:
        raise InputError(
            f"{group}.name={values['name']} beside {group}={choice}: "
            f"choose the level by {group}={values['name']}"
        )
    for name in values:
        if name not in defaults:
            raise no_key(group, f"{group}={choice}", name)


def no_key(group: str, level: str, name: str) -> InputError:
    """The error for a key that a level has not: names the levels that have it."""
    also = ", ".join(other for other, keys in sound_levels(group).items() if name in keys)
    choices = f"levels of {group} that have it: {also or 'none'}"
    own = OWN_GAIN.get(level.rpartition("=")[2]) if (group, name) == ("init", "gain") else None
    if own:
        return InputError(f"{level} carries its own gain ({own}): leave init.gain out; {choices}")
    return InputError(f"{level} has no key {name!r}; {choices}")


added: list[Path] = []
"""The directory of configuration files of a user's own that is in use, if one is."""


@contextlib.contextmanager
def own_files(folder: Path | None) -> Iterator[None]:
    """A block in which the files of a user's own `folder` are found beside those of conf/.

    Raises `InputError` for a folder, or a file in it, that nothing would read.
    """
    if folder is None:
        yield
        return
    _check_folder(folder)
    added.append(folder.absolute())
    levels.cache_clear()
    level_defaults.cache_clear()
    try:
        yield
    finally:
        added.remove(folder.absolute())
        levels.cache_clear()
        level_defaults.cache_clear()


def _check_folder(folder: Path) -> None:
    groups = (*GROUPS, "trainer", "experiment", "hydra/launcher")
    if not folder.is_dir():
        raise InputError(f"--config-dir {shown(str(folder))}: there is no such directory")
    if (folder / "config.yaml").exists():
        raise InputError(
            f"{folder / 'config.yaml'} would not be read, that of conf/ is: write other values "
            "into a file of experiment/"
        )
    files = sorted((*folder.glob("*/*.yaml"), *folder.glob("*/*.yml"), *folder.glob("hydra/*/*")))
    for path in files:
        group = path.parent.relative_to(folder).as_posix()
        if group not in groups:
            raise InputError(f"{path} would not be read: {unknown('group', group, groups)}")
        if path.suffix != ".yaml":
            raise InputError(f"{path} would not be read: Hydra reads files named NAME.yaml")
        if (CONF / group / path.name).exists():
            raise InputError(
                f"{path}: conf/{group} has a {path.stem} already; give yours another name"
            )
    if not files:
        raise InputError(f"--config-dir {folder}: it has no file such as experiment/NAME.yaml")


def file_of(group: str, level: str) -> Path:
    """The file of a level, an experiment or a launcher: of conf/, or a user's own."""
    paths = [folder / group / f"{level}.yaml" for folder in places()]
    return next((path for path in paths if path.is_file()), paths[0])


def places() -> list[Path]:
    """Where configuration files are: conf/, then a user's own."""
    return [CONF, *added, *(folder.path for folder in own.folders())]


def file_shown(group: str, level: str) -> str:
    """Where that is, as messages say it: `conf/activation/relu.yaml`."""
    path = file_of(group, level)
    root = CONF.parent if path.is_relative_to(CONF) else Path.cwd()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@functools.cache
def levels(group: str) -> tuple[str, ...]:
    """The levels of a group: its configuration files, by name, and those of a user's own."""
    paths = (path for folder in places() for path in (folder / group).glob("*.yaml"))
    return tuple(sorted(path.stem for path in paths))


def use_levels(arguments: Sequence[str] = ()) -> None:
    """Has the levels of a user's own folder known from here on, and no others.

    It is that of `levels=DIR` among the arguments, or of the file of `experiment=NAME`, or of
    STUDY_LEVELS. `InputError` for a folder that is missing, and for what is wrong in it.
    """
    words = (argument.lstrip("+").partition("=") for argument in arguments)
    given = {name: value.strip("'\"") for name, _, value in words}
    directory = given.get("levels")
    directory = None if directory == "null" else directory
    if directory is None and "experiment" in given:
        path = file_of("experiment", given["experiment"])
        named = _yaml(path).get("levels") if path.is_file() else None
        directory = None if named is None else parse_one("levels", named)
    own.use(directory)
    for function in (levels, level_defaults, defaults):
        function.cache_clear()
    for folder in own.folders():
        for path in sorted(folder.path.glob("*/*.yaml")):
            own.check_yaml(folder, path.parent.name, path, _yaml(path).get("name"), CONF)


def _yaml(path: Path) -> dict[str, Any]:
    """What a configuration file says; nothing where it cannot be read, which others say."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


@functools.cache
def level_defaults(group: str, level: str) -> dict[str, Any]:
    """The canonical keys of a level as its file gives them.

    Raises `InputError`, which names the file, for one that is not a level's.
    """
    import yaml

    path = file_of(group, level)
    is_ours = path.is_relative_to(CONF)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            raise InputError("it has no line such as `name: relu`")
        keys = {f"{group}.{name}": value for name, value in content.items()}
        if others := [name for name in keys if name not in KEYS]:
            new = 'is declared beside the function: key("name", number(), "what it is")'
            place = "gets a line in study/config/keys.py" if is_ours else new
            raise InputError(f"{unknown_key(others[0])}; a new one {place}")
        return {name.partition(".")[2]: value for name, value in parse(keys).items()}
    except (InputError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file_shown(group, level)}: {' '.join(str(error).split())}") from None


def sound_levels(group: str) -> dict[str, dict[str, Any]]:
    """The levels of a group whose files can be used, and their keys; warns of the others."""
    found = {}
    for level in levels(group):
        try:
            found[level] = level_defaults(group, level)
        except InputError as error:
            warn_once(str(error))
    return found


@functools.cache
def warn_once(line: str) -> None:
    """Says a line where logging does, if nobody has said it yet."""
    logging.getLogger(__name__).warning("%s", line)


def factors(
    config: Mapping[str, Any], choices: Mapping[str, str], swept: Collection[str] = ()
) -> dict[str, Any]:
    """The level of every factor group and the value of every other result key.

    `choices` names the file that each group was taken from. A key of a group that a launch sweeps
    on its own (one of `swept`, such as `model.widths`) is a factor under its dotted name; any other
    that differs from the file is part of the level's name: `leaky_relu slope=0.01`. Seeds and
    learning rates vary inside a cell and are not factors, nor is a key at its neutral value. Under
    one `swept`, two configurations of equal factors have equal signatures on equal data.
    """
    named = {group: level_name(group, choices[group], config[group], swept) for group in GROUPS}
    others = {}
    for key, value in flatten(config):
        if key in NUISANCE:
            continue
        if key.partition(".")[0] in GROUPS:
            if key in swept:
                others[key] = _shown_value(key, value)
        elif KEYS[key].effect == "result" and (key in swept or not KEYS[key].is_neutral(value)):
            others[key] = plain(value)
    return named | others


FINGERPRINT_DIGITS = 6


def with_fingerprint(
    factors: Mapping[str, Any], config: Mapping[str, Any], fingerprint: str
) -> dict[str, Any]:
    """The factors with an image folder told apart from another of the same name.

    A level shows a folder by its last name, as `image_folder root=birds`; the first digits of the
    fingerprint of its images follow: `image_folder root=birds#1a2b3c`.
    """
    told = dict(factors)
    data = config["data"]
    if data["name"] != "image_folder" or data["root"] is None:
        return told
    shown, mark = _shown_value("data.root", data["root"]), f"#{fingerprint[:FINGERPRINT_DIGITS]}"
    if "data.root" in told:
        told["data.root"] = f"{shown}{mark}"
    else:
        part = f" root={shown}"
        told["data"] = told["data"].replace(part, f"{part}{mark}", 1)
    return told


def notable(factors: Mapping[str, Any]) -> dict[str, Any]:
    """The levels of the factor groups, and of the others those that differ from the default."""
    usual = defaults()
    return {
        name: level
        for name, level in factors.items()
        if name in GROUPS or name not in usual or usual[name] != level
    }


@functools.cache
def defaults() -> dict[str, Any]:
    """What keys outside the factor groups are set to where nothing else is said."""
    import yaml

    config = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    config["trainer"] = yaml.safe_load((CONF / "trainer/default.yaml").read_text(encoding="utf-8"))
    flat = {key: value for key, value in flatten(config) if key in KEYS}
    return {key: plain(value) for key, value in parse(flat).items()}


def level_name(
    group: str, choice: str, values: Mapping[str, Any], swept: Collection[str] = ()
) -> str:
    """The name of a level: its file, then each key that differs from the file.

    Keys in `swept` are factors of their own, and left out; so is where a cache is kept.
    """
    defaults = level_defaults(group, choice)
    parts = [choice]
    for name, value in values.items():
        key = f"{group}.{name}"
        if key in (*NUISANCE, *swept, "data.cache") or defaults.get(name, ...) == value:
            continue
        parts.append(f"{name}={_shown_value(key, value)}")
    return " ".join(parts)


def _shown_value(key: str, value: Any) -> Any:
    """A key's value as a factor shows it; of a directory its last name, wherever it lies."""
    if key == "data.root" and value is not None:
        return Path(value).name
    return plain(value)


def plain(value: Any) -> Any:
    """A value as a factor shows it: numbers and texts as they are, the rest as compact JSON."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, separators=(",", ":"))


def hashed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The flat keys that are part of a cell's identity, with their values."""
    return {
        key: value
        for key, value in flatten(config)
        # One that is not in the table is of a folder of levels that nobody named to this process.
        if key not in KEYS or (KEYS[key].effect == "result" and not KEYS[key].is_neutral(value))
    }


VERSIONED = tuple(key for key in REGISTRIES if key != "data.name")
"""The keys whose levels have versions; what a data set is, the fingerprint of its images says."""

Versions = Mapping[str, int | str]
"""By level, such as `activation=swish`: its recipe, or the digest of its source."""


def signature(
    config: Mapping[str, Any],
    fingerprint: str,
    *,
    without_seeds: bool = False,
    versions: Versions | None = None,
) -> str:
    """SHA-256 of all that changes the cell's results.

    With `without_seeds`, of all but the seeds: equal for cells that differ in seeds alone. Levels
    are of the `versions` that this code has, or of those that are given.
    """
    keys = hashed(config)
    if without_seeds:
        keys.pop("seeds", None)
    return identity_hash(keys, fingerprint, versions)


def identity_hash(
    keys: Mapping[str, Any], fingerprint: str, versions: Versions | None = None
) -> str:
    """SHA-256 of flat keys with their values, of the data's fingerprint, RECIPE and versions."""
    identity: dict[str, Any] = {"config": dict(keys), "data": fingerprint, "recipe": RECIPE}
    if of_levels := level_versions(keys) if versions is None else versions:
        identity["levels"] = dict(of_levels)
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def level_versions(keys: Mapping[str, Any]) -> dict[str, int | str]:
    """The versions of the levels that flat keys name, but for the project's at its first recipe.

    Raises `InputError` for a level that no source says anything of.
    """
    found: dict[str, int | str] = {}
    for key, name in named_levels(keys):
        group = key.removesuffix(".name")
        if (group, name) in LEVEL_RECIPES:
            found[f"{group}={name}"] = LEVEL_RECIPES[group, name]
        elif name not in OWN[key]:
            found[f"{group}={name}"] = required_source(key, name).sha256
    return found


def version_changes(trained: Versions, now: Versions) -> list[str]:
    """The levels, such as `activation=swish`, of which two sets of versions do not agree."""
    levels = dict.fromkeys((*trained, *now))
    return [level for level in levels if trained.get(level) != now.get(level)]


def named_levels(keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, level) wherever flat keys name one that has a version."""
    for key in VERSIONED:
        value = keys.get(key)
        names = value if isinstance(value, list) else [value]
        yield from ((key, name) for name in dict.fromkeys(names) if isinstance(name, str))


def directory_name(choices: Mapping[str, str], signature: str) -> str:
    """`<slug>-<sig8>`: the main levels, for the eye, and the signature's first 8 digits."""
    slug = [choices[group] for group in ("data", "model", "activation", "init", "norm")]
    if choices["pretraining"] != "none":
        slug.append(choices["pretraining"])
    return "-".join([*slug, signature[:8]])


# The tasks by name: which one a kind of network has, and which one a record is of.


CLASSIFICATION = "classification"
RECONSTRUCTION = "reconstruction"

RECONSTRUCTING_MODELS = ("autoencoder",)
"""The kinds of network (`model.name`) whose outputs are to be their own inputs."""


def task_of(config: Config) -> str:
    """The task of a cell's configuration."""
    return RECONSTRUCTION if config.model.name in RECONSTRUCTING_MODELS else CLASSIFICATION
