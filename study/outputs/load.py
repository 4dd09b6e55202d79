"""A trained network out of a study or a cell's directory, as a plain module."""

import contextlib
import csv
import os
import shlex
from collections import OrderedDict
from collections.abc import Collection, Mapping
from numbers import Integral
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from study.config import own
from study.config.configuration import level_versions, plain, version_changes
from study.data import Normalize
from study.errors import InputError, listed, unknown
from study.files import read_json
from study.networks import Arguments, Network, build_network
from study.outputs.cell import by_replica, replica_name
from study.outputs.factors import (
    all_levels,
    cell_level,
    level_text,
    parse_where,
    varying_factors,
    where_text,
)
from study.outputs.records import CellRecord, factor_names, read_ledger
from study.outputs.results import Result, parse_result
from study.outputs.schema import CONFIG_FILE, CURVES_FILE, LEDGER_FILE, RESULT_FILE, WEIGHTS_FILE
from study.outputs.series import parsed_yaml, read_curves, verified

WHEN = ("best", "last")
"""The epochs of a replica whose weights are kept."""
Replica = tuple[int, float]
"""Seed and learning rate."""


class TrainedNetwork(nn.Sequential):
    """`normalize`, then `network`, and whose weights they are.

    `cell` is the directory that they come from, `seed` and `lr` tell the replica, and `epoch` is
    the number of epochs that it was trained for until then.
    """

    normalize: Normalize
    network: Network
    cell: Path
    seed: int
    lr: float
    epoch: int


def load(
    directory: str | os.PathLike[str],
    /,
    *,
    seed: int | None = None,
    lr: float | None = None,
    when: str = "best",
    **levels: object,
) -> TrainedNetwork:
    """The network of one replica, in evaluation mode.

    `directory` is a cell's, or a study's, of which `levels` choose one cell: FACTOR=LEVEL, as in
    `study table --where`. `lr` defaults to the learning rate that the cell chose, `seed` to the
    lowest with kept weights. The weights are those of the epoch that was best on validation, whose
    test error is the record's `test_error`, the headline; with `when="last"`, and of a replica that
    diverged, those of the last epoch, whose test error is `last_test_error`.

    Takes raw images, uint8 or float in [0, 255], [N, C, H, W], and returns outputs [N, classes]; an
    autoencoder returns reconstructions of the normalized images, [N, C H W] (their logits, if it
    minimized cross-entropy). Nothing of the files is executed. Raises `InputError` where no cell
    or several have the levels, where the weights were not kept, and where a file is damaged.

    >>> network = load("outputs/quickstart", activation="relu", init="he_normal", norm="batch")
    >>> network(images).argmax(dim=1)
    >>> load("outputs/widths", seed=1, when="last", **{"model.widths": [64, 64]}).epoch
    """
    if when not in WHEN:
        raise unknown("epoch", when, WHEN)
    own.register()
    cell = _cell_of(Path(directory), levels)
    record: Result | None = None
    with contextlib.suppress(OSError, ValueError):
        record = parse_result(read_json(cell / RESULT_FILE))
    if record:
        _check_files(cell, record)
    config = _read_config(cell)
    if record:
        _check_versions(cell, record, config)
    tensors, input_shape = _read_tensors(cell)
    states = by_replica(tensors)
    normalize = Normalize.from_state(states.pop("normalization", {}))
    last: dict[Replica, dict[str, Tensor]] = {}
    earlier: dict[Replica, tuple[int, dict[str, Tensor]]] = {}
    for name, state in states.items():
        # `seed=0,lr=0.1`, with `,epoch=3` where that was the best and not the last.
        first, rate, *number = (part.partition("=")[2] for part in name.split(","))
        replica = int(first), float(rate)
        if number:
            earlier[replica] = int(number[0]), state
        else:
            last[replica] = state
    replica = _pick(cell, record, last, seed, lr)
    if when == "best" and replica in earlier:
        epoch, state = earlier[replica]
    else:
        epoch, state = _last_epoch(cell, replica), last[replica]
        if when == "best":
            _check_best(cell, record, replica, epoch)
    network = build_network(config, input_shape, len(state["output.weight"]))
    network.to(state["output.weight"].dtype)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{cell / WEIGHTS_FILE} does not fit the network that this version of the code makes "
            f"of config.yaml ({reason}); load it with the version that trained it"
        ) from None
    trained = TrainedNetwork(OrderedDict[str, nn.Module](normalize=normalize, network=network))
    trained.cell, (trained.seed, trained.lr), trained.epoch = cell, replica, epoch
    return trained.to(state["output.weight"].dtype).eval()


def _cell_of(directory: Path, levels: Mapping[str, object]) -> Path:
    """The directory of the one cell that has the levels; `directory` itself where it is a cell."""
    if not levels and not (directory / LEDGER_FILE).exists():
        return directory
    ledger = read_ledger(directory)
    # Their records are not read: a study may have thousands.
    cells = [
        CellRecord(each.directory, directory, "", each.factors, "missing") for each in ledger.cells
    ]
    names = [*factor_names(cells), "seed", "lr", "when"]
    for name in levels:
        if name not in names:
            raise unknown("factor", name, names)
    where = parse_where(cells, [f"{name}={_level_text(level)}" for name, level in levels.items()])
    found = [cell for cell in cells if all(cell_level(cell, name) in where[name] for name in where)]
    if len(found) == 1:
        cell = directory / found[0].directory
        if (cell / CONFIG_FILE).exists():
            return cell
        raise InputError(f"{cell} is not trained yet; see study status {directory}")
    such = f"cells of {where_text(where)}" if where else "cells"
    if not found:
        raise InputError(f"{directory} has no {such}; see study status {directory}")
    differing = [f"{name} ({listed(all_levels(found, name))})" for name in varying_factors(found)]
    choice = " and ".join(differing) or listed([cell.directory for cell in found])
    raise InputError(f"{directory} has {len(found)} {such}: choose by {choice}")


def _level_text(level: object) -> str:
    """A level as a table prints it."""
    if isinstance(level, Integral) and not isinstance(level, bool):
        level = int(level)  # One of NumPy's, as out of a frame.
    return level_text(plain(level))


def _check_files(cell: Path, record: Result) -> None:
    """`InputError` unless the weights were kept, and what is read is what the record names."""
    if not (cell / WEIGHTS_FILE).exists():
        raise InputError(
            f"{cell} kept no weights, and a launch leaves a finished cell as it is: {_anew(record)}"
        )
    for path in (cell / CONFIG_FILE, cell / CURVES_FILE, cell / WEIGHTS_FILE):
        try:
            verified(path, record.files.get(path.name, ""))
        except ValueError as reason:
            raise InputError(f"{path} is damaged: {reason}; train the cell again") from None


def _check_versions(cell: Path, record: Result, config: Mapping[str, Arguments]) -> None:
    """`InputError` where this code has another model, activation or norm of the same name."""
    names = {f"{group}={keys['name']}" for group, keys in config.items()}
    recorded = record.provenance.levels
    trained = {level: version for level, version in recorded.items() if level in names}
    now = level_versions({f"{group}.name": keys["name"] for group, keys in config.items()})
    if changed := version_changes(trained, now):
        raise InputError(
            f"{cell} was trained by another version of {listed(changed)}: train it anew, or load "
            "it with the code that trained it"
        )


def _read_config(cell: Path) -> dict[str, Arguments]:
    try:
        text = (cell / CONFIG_FILE).read_text(encoding="utf-8")
    except OSError:
        raise InputError(
            f"{cell} is neither a study nor a cell: it has no study.json and no config.yaml; give "
            "a study, or a directory that `study status` lists"
        ) from None
    try:
        config = parsed_yaml(text)
        return {group: dict(config[group]) for group in ("model", "activation", "norm")}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise InputError(f"{cell / CONFIG_FILE} is damaged; train the cell again") from None


def _read_tensors(cell: Path) -> tuple[dict[str, Tensor], tuple[int, int, int]]:
    """All kept tensors, and the shape (C, H, W) of an input."""
    path = cell / WEIGHTS_FILE
    if not path.exists():
        raise InputError(f"{cell} is not finished, so it has no weights yet; train the cell first")
    try:
        with safe_open(path, framework="pt") as file:
            channels, height, width = map(int, file.metadata()["input_shape"].split(","))
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, (channels, height, width)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); train the cell again") from None


def _anew(record: Result) -> str:
    """What to do for weights that were not kept."""
    try:
        command = shlex.split(record.provenance.command)
    except ValueError:
        command = []
    if command[:2] != ["study", "train"]:
        command = ["study", "train", "..."]
    parts = [p for p in command if p != "--failed" and not p.startswith("outputs.weights=")]
    again = shlex.join([*parts, "outputs.weights=chosen"])
    return f"remove the directory and train the cell again with `{again}`"


def _pick(
    cell: Path,
    record: Result | None,
    kept: Collection[Replica],
    seed: int | None,
    lr: float | None,
) -> Replica:
    """The kept replica of this learning rate and seed, or of the chosen rate and the lowest seed.

    Without a record the only kept rate counts as the chosen one.
    """
    if lr is None and record:
        lr = record.chosen_lr
    elif lr is None:
        rates = sorted({lr for _, lr in kept})
        if len(rates) != 1:
            raise InputError(
                f"{cell} has no usable result.json to say which learning rate was chosen; "
                f"give lr=, one of: {', '.join(map(str, rates))}"
            )
        lr = rates[0]
    wanted = [
        replica for replica in sorted(kept) if replica[1] == lr and seed in (None, replica[0])
    ]
    if not wanted:
        asked = replica_name("any" if seed is None else seed, float(lr))
        names = "; ".join(replica_name(*replica) for replica in sorted(kept))
        raise InputError(f"{cell} kept no weights of {asked}; it has: {names}")
    return wanted[0]


def _last_epoch(cell: Path, replica: Replica) -> int:
    """The last epoch of a replica in curves.csv."""
    try:
        rows = read_curves(cell)
        return max(row["epoch"] for row in rows if (row["seed"], row["lr"]) == replica)
    except (OSError, csv.Error, ValueError, KeyError, TypeError):
        raise InputError(
            f"{cell / CURVES_FILE} is missing or damaged; train the cell again"
        ) from None


def _check_best(cell: Path, record: Result | None, replica: Replica, last_epoch: int) -> None:
    """`InputError` unless the last epoch of a replica is the one that its headline is of."""
    name = replica_name(*replica)
    if record is None:
        raise InputError(
            f"{cell} has no usable result.json to say which epoch of {name} was the best; "
            "give when='last'"
        )
    entry = next(each for each in record.replicas if (each.seed, each.lr) == replica)
    if not entry.is_best(last_epoch):
        raise InputError(
            f"{cell} kept the weights of {name} at its last epoch alone ({last_epoch}; the best is "
            f"{entry.best_epoch}): give when='last', or {_anew(record)}"
        )
