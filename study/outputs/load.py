"""A trained network out of a cell's directory, as a plain module."""

import os
import shlex
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from study.data import Normalize
from study.errors import InputError
from study.networks import build_network
from study.outputs.cell import by_replica, replica_name
from study.outputs.record_form import check_result
from study.outputs.sealed import read_json


def load(
    cell: str | os.PathLike[str], *, seed: int | None = None, lr: float | None = None
) -> nn.Sequential:
    """The network of one replica at its last epoch, in evaluation mode.

    Takes raw images, uint8 or float in [0, 255], [N, C, H, W], and returns outputs [N, classes]; an
    autoencoder returns reconstructions of the normalized images, [N, C H W] (their logits, if it
    minimized cross-entropy). `normalize` and `network` are its two parts. `lr` defaults to the
    learning rate that the cell chose, `seed` to the lowest with kept weights. The weights are those
    of the last epoch: their test error is the record's `last_test_error`, while `test_error`, the
    headline, is that of the best epoch. Nothing of the file is executed. Raises `InputError` for a
    directory without kept weights, and for a replica that it has none of.

    >>> network = load("outputs/quickstart/CELL", seed=0)
    >>> network(images).argmax(dim=1)
    """
    directory = Path(cell)
    config = _read_config(directory)
    tensors, input_shape = _read_tensors(directory)
    states = by_replica(tensors)
    normalization = states.pop("normalization", {})
    names = states.keys()
    name = _pick(directory, names, seed, _chosen_lr(directory, names) if lr is None else lr)
    state = states[name]
    network = build_network(config, input_shape, len(state["output.weight"]))
    network.to(state["output.weight"].dtype).load_state_dict(state)
    normalize = Normalize.from_state(normalization)
    parts = OrderedDict[str, nn.Module](normalize=normalize, network=network)
    return nn.Sequential(parts).to(state["output.weight"].dtype).eval()


def _read_config(directory: Path) -> dict[str, Any]:
    try:
        text = (directory / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        raise InputError(
            f"{directory} is no cell: it has no config.yaml; give a directory that "
            "`study status` lists"
        ) from None
    try:
        config = yaml.safe_load(text)
        return {group: dict(config[group]) for group in ("model", "activation", "norm")}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise InputError(f"{directory / 'config.yaml'} is damaged; train the cell again") from None


def _read_tensors(directory: Path) -> tuple[dict[str, Tensor], tuple[int, int, int]]:
    """All kept tensors, and the shape (C, H, W) of an input."""
    path = directory / "weights.safetensors"
    if not path.exists():
        raise InputError(_no_weights(directory))
    try:
        with safe_open(path, framework="pt") as file:
            channels, height, width = map(int, file.metadata()["input_shape"].split(","))
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, (channels, height, width)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); train the cell again") from None


def _no_weights(directory: Path) -> str:
    """Why there are none and how to get them: to a launch, a finished cell is finished."""
    record = _read_record(directory)
    if record is None:
        return f"{directory} is not finished, so it has no weights yet; train the cell first"
    try:
        command = shlex.split(record["provenance"]["command"])
    except (KeyError, TypeError, ValueError):
        command = []
    if command[:2] != ["study", "train"]:
        command = ["study", "train", "..."]
    parts = [p for p in command if p != "--failed" and not p.startswith("outputs.weights=")]
    again = shlex.join([*parts, "outputs.weights=chosen"])
    return (
        f"{directory} kept no weights, and a launch leaves a finished cell as it is: "
        f"remove the directory and train the cell again with `{again}`"
    )


def _read_record(directory: Path) -> dict[str, Any] | None:
    """The cell's result.json, if it can be trusted."""
    try:
        record = read_json(directory / "result.json")
        check_result(record, record["signature"])
    except (OSError, ValueError, KeyError):
        return None
    return record


def _chosen_lr(directory: Path, names: Collection[str]) -> float:
    """The learning rate that the record chose; without a record, the only kept one."""
    if record := _read_record(directory):
        return float(record["chosen_lr"])
    rates = sorted({_order(name)[1] for name in names})
    if len(rates) != 1:
        raise InputError(
            f"{directory} has no usable result.json to say which learning rate was chosen; "
            f"give lr=, one of: {', '.join(map(str, rates))}"
        )
    return rates[0]


def _order(name: str) -> tuple[int, float]:
    """The seed and the learning rate of `seed=0,lr=0.1`."""
    seed, _, lr = name.removeprefix("seed=").partition(",lr=")
    return int(seed), float(lr)


def _pick(directory: Path, names: Collection[str], seed: int | None, lr: float) -> str:
    """The kept replica of this learning rate and seed, or of the lowest seed."""
    places = {_order(name): name for name in names}
    wanted = [place for place in sorted(places) if place[1] == lr and seed in (None, place[0])]
    if not wanted:
        asked = replica_name("any" if seed is None else seed, float(lr))
        kept = "; ".join(places[place] for place in sorted(places))
        raise InputError(f"{directory} kept no weights of {asked}; it has: {kept}")
    return places[wanted[0]]
