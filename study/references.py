"""What stands beside a reconstruction in its record: what a linear code of the same size leaves."""

from collections.abc import Mapping
from typing import Any

import torch

from study.data import Data, principal_energies
from study.tasks import RECONSTRUCTION, task_of

Energies = tuple[torch.Tensor, torch.Tensor]
_kept: dict[tuple[Any, ...], Energies] = {}
"""The energies of each data set that a cell of this process was trained on: a few kB each."""


def task_record(config: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """What a result.json says of its task: `task` and, of a reconstruction, `references`."""
    task = task_of(config)
    if task != RECONSTRUCTION:
        return {"task": task}
    return {"task": task, "references": references(config, data)}


def references(config: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Squared errors, summed over pixels, mean over images, of PCA and of the mean image.

    PCA has as many components as the network's code has units. Both are fitted to the training and
    the validation images of the cell together, normalized as the network is given them:
    `train_error` is of those images, `test_error` of the test images.
    """
    train, test = _energies(config["data"], data)
    components = min(config["model"]["code"], len(train))
    return {
        "pca": {"components": components, **_errors(train, test, components)},
        "mean_image": _errors(train, test, 0),
    }


def _errors(train: torch.Tensor, test: torch.Tensor, components: int) -> dict[str, float]:
    """What that many components leave."""
    return {
        "train_error": float(train[components:].sum()),
        "test_error": float(test[components:].sum()),
    }


def _energies(keys: Mapping[str, Any], data: Data) -> Energies:
    """Those of the data that the keys of the group `data` describe, computed once."""
    described = sorted((name, value) for name, value in keys.items() if name != "root")
    key = (data.fingerprint, *described)
    if key not in _kept:
        fitted = (data.train.inputs, data.val.inputs)
        _kept[key] = principal_energies(fitted, data.test.inputs)
    return _kept[key]
