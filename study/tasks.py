"""The tasks by name: which one a kind of network has, and which one a record is of."""

from collections.abc import Mapping
from typing import Any

CLASSIFICATION = "classification"
RECONSTRUCTION = "reconstruction"

RECONSTRUCTING_MODELS = ("autoencoder",)
"""The kinds of network (`model.name`) whose outputs are to be their own inputs."""


def task_of(config: Mapping[str, Any]) -> str:
    """The task of a cell's configuration."""
    return RECONSTRUCTION if config["model"]["name"] in RECONSTRUCTING_MODELS else CLASSIFICATION


def recorded_task(result: Mapping[str, Any]) -> str:
    """The task of a result.json; records from before there were two have none."""
    return str(result.get("task", CLASSIFICATION))
