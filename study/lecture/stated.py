"""The claims that the files in conf/experiment state, read without composing anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from study.catalogue import headline
from study.claims.schema import Claim, parse_claims
from study.configuration import CONF

EXPERIMENTS = CONF / "experiment"

Stated = Mapping[str, Mapping[str, Any]]
"""{study: {claim's id: the claim as the file writes it}}."""


def stated_claims(folder: Path = EXPERIMENTS) -> dict[str, dict[str, Any]]:
    """The claims of every experiment, by the name of its file."""
    return {path.stem: _claims(path) for path in sorted(folder.glob("*.yaml"))}


def question(experiment: str) -> str:
    """What an experiment asks, by the headline of its file."""
    return headline("experiment", experiment).partition(": ")[2]


def link(experiment: str) -> str:
    """Its name, leading from a page of docs/ to its file."""
    return f"[`{experiment}`](../conf/experiment/{experiment}.yaml)"


def parsed(value: Any) -> Claim:
    """A claim as a record; InputError where it cannot be read."""
    return parse_claims([value])[0]


def _claims(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {str(claim["id"]): claim for claim in content.get("claims") or []}
