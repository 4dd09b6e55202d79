"""A trained network out of a cell's directory, as a plain module."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from study.data import Normalize
from study.errors import InputError
from study.networks import build_network
from study.outputs.cell import replica_name


def load(
    cell: str | os.PathLike[str], *, seed: int | None = None, lr: float | None = None
) -> nn.Sequential:
    """The network of one replica at its last epoch, in evaluation mode.

    Takes raw images, uint8 or float in [0, 255], [N, C, H, W], and returns outputs [N, classes]:
    `normalize` and `network` are its two parts. `seed` and `lr` default to the first that the
    cell kept weights of. Nothing of the file is executed. Raises `InputError` for a directory
    without kept weights, and for a replica that it has none of.

    >>> network = load("outputs/quickstart/CELL", seed=0)
    >>> network(images).argmax(dim=1)
    """
    directory = Path(cell)
    config = _read_config(directory)
    tensors, input_shape = _read_tensors(directory)
    names = {key.partition("/")[0] for key in tensors} - {"normalization"}
    name = _pick(directory, names, seed, lr)
    state = _below(tensors, name)
    network = build_network(config, input_shape, len(state["output.weight"]))
    network.load_state_dict(state)
    normalize = Normalize.from_state(_below(tensors, "normalization"))
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
        raise InputError(
            f"{directory} kept no weights; train it again with outputs.weights=chosen or all"
        )
    try:
        with safe_open(path, framework="pt") as file:
            channels, height, width = map(int, file.metadata()["input_shape"].split(","))
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, (channels, height, width)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); train the cell again") from None


def _order(name: str) -> tuple[int, float]:
    """The seed and the learning rate of `seed=0,lr=0.1`."""
    seed, _, lr = name.removeprefix("seed=").partition(",lr=")
    return int(seed), float(lr)


def _pick(directory: Path, names: Iterable[str], seed: int | None, lr: float | None) -> str:
    """The first kept replica of the seed and learning rate asked for."""
    ordered = sorted(names, key=_order)
    wanted = [
        name
        for name in ordered
        if (seed is None or name.startswith(f"seed={seed},"))
        and (lr is None or name.endswith(f",lr={float(lr)}"))
    ]
    if not wanted:
        asked = replica_name(seed if seed is not None else "any", lr if lr is not None else "any")
        raise InputError(f"{directory} kept no weights of {asked}; it has: {'; '.join(ordered)}")
    return wanted[0]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
