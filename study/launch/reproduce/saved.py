"""A finished cell as it lies on disk, with the configuration that trains it again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.config.configuration import (
    RECIPE,
    Config,
    check,
    flatten,
    hashed,
    level_versions,
    nest,
    version_changes,
)
from study.config.keys import KEYS
from study.config.level_source import REGISTRIES, source_of
from study.config.own import folders
from study.console import command
from study.errors import InputError
from study.files import read_json
from study.outputs.cell import replica_name
from study.outputs.results import Provenance, ReplicaResult, Result, parse_result
from study.outputs.schema import CONFIG_FILE, LEDGER_FILE, RESULT_FILE
from study.outputs.series import contents, parsed_config


@dataclass(frozen=True)
class Saved:
    """A finished cell: its directory, its sound record, its whole configuration."""

    directory: Path
    result: Result
    config: Config

    @property
    def provenance(self) -> Provenance:
        return self.result.provenance

    @property
    def trained(self) -> list[ReplicaResult]:
        """The replicas that were trained in this cell."""
        return [replica for replica in self.result.replicas if replica.copied_from is None]

    @property
    def copied(self) -> list[ReplicaResult]:
        """Those that were copied from another cell's record."""
        return [replica for replica in self.result.replicas if replica.copied_from]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the replicas that were trained in this cell."""
        return list(dict.fromkeys(replica.seed for replica in self.trained))


def read_saved(directory: Path) -> Saved:
    """The finished cell in `directory`; `InputError` says in one line why there is none to use.

    Every file must be the one that the record names, but for absent weights.
    """
    path = directory / RESULT_FILE
    if not directory.is_dir():
        raise InputError(f"{directory} does not exist; give the directory of a cell")
    if (directory / LEDGER_FILE).exists():
        raise InputError(
            f"{directory} is not a cell but a study; give one of the directories in it"
        )
    try:
        result = parse_result(read_json(path))
    except FileNotFoundError:
        raise InputError(
            f"{directory} is not finished: it has no result.json; `{command('status')}` tells "
            "what a study has"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be used: {error}") from None
    made = result.provenance
    if made.recipe != RECIPE:
        raise InputError(
            f"{directory} was trained by recipe {made.recipe}, and this version has recipe "
            f"{RECIPE}, which gives other results: check out {_commit(made)}"
        )
    for name, found in contents(directory, result.files):
        if isinstance(found, ValueError):
            raise InputError(f"{directory / name} cannot be used: {found}")
    for level, version in made.levels.items():
        key, _, name = level.partition("=")
        key = key if key in REGISTRIES else f"{key}.name"
        if isinstance(version, str) and key in REGISTRIES and source_of(key, name) is None:
            raise InputError(
                f"{directory} was trained with {level}, which is none of this version's: name the "
                f"folder that has it, `{command('reproduce', directory)} levels=DIR`"
            )
    try:
        config = completed(parsed_config((directory / CONFIG_FILE).read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(f"{directory / CONFIG_FILE} cannot be used: {error}") from None
    if others := version_changes(made.levels, level_versions(hashed(config.mapping))):
        own = any(folder.declares(*level.split("=")) for level in others for folder in folders())
        then = "name the folder as it was, levels=DIR" if own else f"check out {_commit(made)}"
        raise InputError(
            f"{directory} was trained by another version of {', '.join(others)}, so this one gives "
            f"other results: {then}"
        )
    if config.signature(made.data_fingerprint) != result.signature:
        raise InputError(
            f"{directory}: config.yaml is not the configuration that its result.json was trained "
            f"with, or that of another version: try {_commit(made)}"
        )
    return Saved(directory, result, config)


def _commit(provenance: Provenance) -> str:
    """What to check out to have the code that trained a cell, or all that is known of it."""
    commit = provenance.git_commit
    if commit and provenance.git_diff_sha256:
        return f"the version that trained it, which is commit {commit} with uncommitted changes"
    return f"commit {commit}" if commit else "the version that trained it"


def completed(config: Mapping[str, Any]) -> Config:
    """A configuration with the keys that were added since it was written, at their defaults.

    Such keys change no result, or have a neutral value that does not: any other would have changed
    the signature. Raises `InputError` for a key that this version has not.
    """
    from study.config.compose import compose_cell, hydra_ready

    with hydra_ready():
        defaults = compose_cell(()).config
    flat = dict(flatten(config))
    added = {
        name: value
        for name, value in flatten(defaults.mapping)
        if name in KEYS
        and name not in flat
        and (KEYS[name].effect != "result" or KEYS[name].is_neutral(value))
    }
    return check(nest(flat | added))


def replica_names(replicas: Iterable[ReplicaResult]) -> list[str]:
    """How these replicas are called in files."""
    return [replica_name(replica.seed, replica.lr) for replica in replicas]


# The pretrained weights behind a saved cell, where they are still kept.


def pretraining_cache(saved: Saved, study: Path) -> Path | None:
    """Where a study keeps the weights that a cell starts from; None if it is not pretrained."""
    from study.training.pretraining.cache import cache_directory, pretraining_signature
    from study.training.pretraining.stage import is_pretrained

    if not is_pretrained(saved.config):
        return None
    digest = pretraining_signature(saved.config, saved.provenance.data_fingerprint)
    return cache_directory(study, saved.config.pretraining.name, digest)


def pretraining_headers(saved: Saved) -> dict[int, dict[str, str]]:
    """By trained seed the header of its pretrained weights; {} where they are gone."""
    cache = pretraining_cache(saved, saved.directory.parent)
    return {
        seed: header_of(cache / f"seed={seed}.safetensors") if cache else {} for seed in saved.seeds
    }


def header_of(path: Path) -> dict[str, str]:
    """The header of a safetensors file; {} where it has none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}
