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
from study.console import command
from study.errors import InputError
from study.files import read_json
from study.outputs.cell import replica_name
from study.outputs.results import parse_result
from study.outputs.series import contents, parsed_config

NEEDED = ("data_fingerprint", "threads", "device", "recipe")
"""What a record's provenance must say for the cell to be trained again."""


@dataclass(frozen=True)
class Saved:
    """A finished cell: its directory, its sound record, its whole configuration."""

    directory: Path
    record: dict[str, Any]
    config: Config

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(self.record["provenance"])

    @property
    def trained(self) -> list[dict[str, Any]]:
        """The entries of the replicas that were trained in this cell."""
        return [entry for entry in self.record["replicas"] if "copied_from" not in entry]

    @property
    def copied(self) -> list[dict[str, Any]]:
        """The entries of those that were copied from another cell's record."""
        return [entry for entry in self.record["replicas"] if "copied_from" in entry]


def read_saved(directory: Path) -> Saved:
    """The finished cell in `directory`; `InputError` says in one line why there is none to use."""
    record = _record(directory)
    recipe = record["provenance"].get("recipe")
    if recipe != RECIPE:
        raise InputError(
            f"{directory} was trained by recipe {recipe}, and this version has recipe {RECIPE}, "
            f"which gives other results: check out {_commit(record)}"
        )
    _check_files(directory, record)
    try:
        config = completed(parsed_config((directory / "config.yaml").read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(f"{directory / 'config.yaml'} cannot be used: {error}") from None
    versions = record["provenance"].get("levels", {})
    if others := version_changes(versions, level_versions(hashed(config.mapping))):
        raise InputError(
            f"{directory} was trained by another version of {', '.join(others)}, so this one gives "
            f"other results: check out {_commit(record)}"
        )
    if config.signature(record["provenance"]["data_fingerprint"]) != record["signature"]:
        raise InputError(
            f"{directory}: config.yaml is not the configuration that its result.json was trained "
            f"with, or that of another version: try {_commit(record)}"
        )
    return Saved(directory, record, config)


def _record(directory: Path) -> dict[str, Any]:
    """The sound result.json; `InputError` where there is none."""
    path = directory / "result.json"
    if not directory.is_dir():
        raise InputError(f"{directory} does not exist; give the directory of a cell")
    if (directory / "study.json").exists():
        raise InputError(
            f"{directory} is not a cell but a study; give one of the directories in it"
        )
    try:
        record = read_json(path)
        parse_result(record)
        for name in NEEDED:
            record["provenance"][name]
    except FileNotFoundError:
        raise InputError(
            f"{directory} is not finished: it has no result.json; `{command('status')}` tells "
            "what a study has"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be used: {error}") from None
    except (KeyError, TypeError):
        raise InputError(f"{path} cannot be used: it does not say where it comes from") from None
    return record


def _check_files(directory: Path, record: Mapping[str, Any]) -> None:
    """`InputError` unless every file is the one that the record names, but for absent weights."""
    for name, found in contents(directory, record["files"]):
        if isinstance(found, ValueError):
            raise InputError(f"{directory / name} cannot be used: {found}")


def _commit(record: dict[str, Any]) -> str:
    """What to check out to have the code that trained a cell, or all that is known of it."""
    commit = record["provenance"].get("git_commit")
    if commit and record["provenance"].get("git_diff_sha256"):
        return f"the version that trained it, which is commit {commit} with uncommitted changes"
    return f"commit {commit}" if commit else "the version that trained it"


def completed(config: Mapping[str, Any]) -> Config:
    """A configuration with the keys that were added since it was written, at their defaults.

    Such keys change no result, or have a neutral value that does not: any other would have changed
    the signature. Raises `InputError` for a key that this version has not.
    """
    flat = dict(flatten(config))
    added = {
        name: value
        for name, value in flatten(_defaults().mapping)
        if name in KEYS and name not in flat and _changes_nothing(name, value)
    }
    return check(nest(flat | added))


def _changes_nothing(name: str, value: Any) -> bool:
    return KEYS[name].effect != "result" or KEYS[name].is_neutral(value)


def _defaults() -> Config:
    from study.config.compose import compose_cell, hydra_ready

    with hydra_ready():
        return compose_cell(()).config


def names(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """How the replicas of these entries are called in files."""
    return [replica_name(entry["seed"], entry["lr"]) for entry in entries]
