"""What stands beside a cell's numbers in its record: what is known without training.

Beside a reconstruction what a linear code of the same size leaves, beside a linear network the
solution of ridge regression.
"""

from collections.abc import Mapping
from typing import Any

import torch

from study.data import Data, principal_energies, ridge
from study.tasks import RECONSTRUCTION, task_of

Energies = tuple[torch.Tensor, torch.Tensor]
_kept: dict[tuple[Any, ...], Energies] = {}
"""The energies of each data set that a cell of this process was trained on: a few kB each."""


def task_record(config: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """What a result.json says of its task: `task` and, where there are any, `references`."""
    task = task_of(config)
    found = linear_codes(config, data) if task == RECONSTRUCTION else ridge_solution(config, data)
    return {"task": task, "references": found} if found else {"task": task}


def linear_codes(config: Mapping[str, Any], data: Data) -> dict[str, Any]:
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


def ridge_solution(config: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """What a penalized linear network with squared error comes to at last; {} of other networks.

    Its mean loss under input noise of std sigma and weight decay lambda, whose gradient is
    lambda W, has the minimum of ridge regression with `penalty` N (sigma^2 + lambda / 2) on its N
    training images. Losses and errors are as those of a network in evaluation mode, without noise
    and penalty, on its training and on the test images.
    """
    strength = _penalty(config)
    if not strength:
        return {}
    train, test = data.train, data.test
    penalty = len(train) * strength
    solution = ridge(train.inputs, train.labels, data.num_classes, penalty=penalty)
    record = {"penalty": penalty}
    for name, split in (("train", train), ("test", test)):
        loss, error = solution.loss_and_error(split.inputs, split.labels)
        record |= {f"{name}_loss": loss, f"{name}_error": error}
    return {"ridge": record}


def _penalty(config: Mapping[str, Any]) -> float:
    """sigma^2 + lambda / 2 of a cell that minimizes a ridge regression's loss; 0 of any other.

    AdamW's decay is none of the loss; flips and crops change the images.
    """
    model, data, optimizer = config["model"], config["data"], config["optimizer"]
    is_linear = model["name"] == "mlp" and not model["widths"]
    is_plain = config["norm"]["name"] == "none" and config["pretraining"]["name"] == "none"
    decay = optimizer.get("weight_decay", 0.0)
    if (
        not (is_linear and is_plain and config["loss"] == "squared_error")
        or (data["flip"] or data["crop"])
        or (decay and optimizer["name"] == "adamw")
    ):
        return 0.0
    return float(config["input_noise"] ** 2 + decay / 2)


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
