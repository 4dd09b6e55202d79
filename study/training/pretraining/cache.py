"""Pretrained weights, kept in a study for every cell that starts from them.

`outputs/<study>/pretraining/<kind>-<signature>/` holds one file a seed: its weights, and in the
file's header the seconds and updates that they took and a hash over all of it. A file that is not
what its hash says is never used.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from study.config.configuration import Config, hashed, identity_hash
from study.files import remove, sha256, write_csv, write_tensors
from study.locks import while_owned
from study.networks import needs_sample
from study.outputs.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    Checkpoints,
    UnfitCheckpoint,
    header_sha256,
    read_checkpoint,
    read_weights,
    tensors_sha256,
)

State = dict[str, Tensor]
Row = dict[str, float]

GROUPS = ("data", "model", "activation", "init", "norm", "pretraining")
OTHERS = ("streams.initialization", "trainer.precision")
UNUSED = (
    "data.train_size",
    "data.test_size",
    "data.flip",
    "data.crop",
    "data.augment",
    "data.test_shift",
    "data.test_shift_strength",
    "norm.noise",
    "model.dropout",
    "pretraining.equal_budget",
)
"""Keys of those groups that pretraining does not look at.

But for data.train_size, where labels or an initialization that measures data make it count.
"""

OTHERWISE = "the seeds are pretrained from the start"
"""What happens where a checkpoint cannot be gone on from."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretrained:
    """The weights that a seed's networks start from, and the header they are kept with.

    It says what they cost, where they were made, and their hash.
    """

    state: State
    header: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return float(self.header["seconds"])

    @property
    def updates(self) -> int:
        return int(self.header["updates"])

    @property
    def weights_sha256(self) -> str:
        """Of the weights alone: the same for equal ones, whenever and wherever they were made."""
        return tensors_sha256(self.state)

    @property
    def is_finite(self) -> bool:
        """Whether no weight has diverged."""
        return all(bool(torch.isfinite(value).all()) for value in self.state.values())


@dataclass(frozen=True)
class Result:
    """What pretraining seeds together came to: each one's weights, and a row per layer and epoch.

    `updates` is of each seed; `made` tells where, for whoever repeats it: the threads, the device,
    the versions. `earlier_seconds` are those of earlier attempts, up to the checkpoint.
    """

    states: Mapping[int, State]
    rows: Mapping[int, list[Row]]
    updates: int
    made: Mapping[str, str] = field(default_factory=dict)
    earlier_seconds: float = 0.0


def pretraining_signature(config: Config, fingerprint: str) -> str:
    """SHA-256 of all that can change the pretrained weights of a seed."""
    unused = set(UNUSED)
    if config.pretraining.name == "supervised" or needs_sample(config.init.level):
        unused.remove("data.train_size")
    keys = {
        key: value
        for key, value in hashed(config.mapping).items()
        if (key.partition(".")[0] in GROUPS or key in OTHERS) and key not in unused
    }
    return identity_hash(keys, fingerprint)


def cache_directory(study: Path, kind: str, signature: str) -> Path:
    """Where the weights of that signature are kept."""
    return study / "pretraining" / f"{kind}-{signature[:8]}"


def pretrained(
    directory: Path,
    signature: str,
    seeds: Iterable[int],
    train: Callable[[list[int], Checkpoint | None], Result],
) -> dict[int, Pretrained]:
    """The pretrained weights of each seed; those that are not kept are trained, and kept.

    Of several processes one trains and the others wait for it, and say so. A file that is damaged
    is named in a warning and replaced. Seeds that were once trained together are so again, from
    the checkpoint on if an earlier attempt left one: how many share the threads can change last
    bits. If another process takes the directory over meanwhile, what this one trained is dropped,
    a line says so, and what the other made is used.
    """
    directory.mkdir(parents=True, exist_ok=True)
    seeds = list(seeds)

    def find() -> dict[int, Pretrained | None]:
        found = {seed: kept(directory, signature, seed) for seed in seeds}
        while missing := [seed for seed in seeds if found[seed] is None]:
            found |= _train_some(directory, signature, missing, train)
        return found

    found = while_owned(directory, find)
    return {seed: one for seed in seeds if (one := found[seed]) is not None}


def _train_some(
    directory: Path,
    signature: str,
    missing: list[int],
    train: Callable[[list[int], Checkpoint | None], Result],
) -> dict[int, Pretrained]:
    """Trains seeds that belong together, and keeps those of them that are not kept.

    None of them, if their checkpoint does not fit: it is then put aside.
    """
    checkpoint = read_checkpoint(directory / CHECKPOINT, signature, OTHERWISE)
    if checkpoint and set(missing).isdisjoint(checkpoint.record["seeds"]):
        checkpoint = None
    together = _together(directory, signature, missing)
    group = checkpoint.record["seeds"] if checkpoint else together
    started = time.perf_counter()
    try:
        result = train(group, checkpoint)
    except UnfitCheckpoint as unfit:
        Checkpoints(directory, signature, None).put_aside(unfit, OTHERWISE)
        return {}
    seconds = result.earlier_seconds + time.perf_counter() - started
    share = round(seconds / len(group), 3)
    found = {
        seed: _keep(directory, signature, seed, result, share)
        for seed in group
        if seed in missing or not weights_path(directory, seed).exists()
    }
    remove(directory / CHECKPOINT)
    return found


def _together(directory: Path, signature: str, missing: list[int]) -> list[int]:
    """The seeds to train as one: those that a missing one was trained with, or all missing."""
    for path in sorted(directory.glob("seed=*.safetensors")):
        try:
            header = _load(path, signature).header
        except (OSError, ValueError):
            continue
        group = [int(seed) for seed in header["seeds"].split(",")] if "seeds" in header else []
        if not set(missing).isdisjoint(group):
            return group
    return missing


def kept(directory: Path, signature: str, seed: int) -> Pretrained | None:
    """What is kept of a seed, trained by whomever; None if nothing is, or nothing whole."""
    path = weights_path(directory, seed)
    if not path.exists():
        return None
    try:
        return _load(path, signature)
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        _log.warning("%s is damaged (%s): the seed is pretrained again", path, reason)
        return None


def weights_path(directory: Path, seed: int) -> Path:
    """The file of a seed."""
    return directory / f"seed={seed}.safetensors"


def _keep(directory: Path, signature: str, seed: int, result: Result, seconds: float) -> Pretrained:
    """Writes a seed's curves as CSV, then its weights with their header."""
    rows, state = result.rows[seed], result.states[seed]
    names = list(dict.fromkeys(name for row in rows for name in row))
    filled = [{name: row.get(name, float("nan")) for name in names} for row in rows]
    write_csv(directory / f"seed={seed}.csv", names, filled)
    header = {
        **result.made,
        "signature": signature,
        "seed": str(seed),
        "seconds": str(seconds),
        "updates": str(result.updates),
    }
    header["curves_sha256"] = sha256(directory / f"seed={seed}.csv")
    header["sha256"] = header_sha256(header, state)
    write_tensors(weights_path(directory, seed), state, header)
    return Pretrained(state, header)


def _load(path: Path, signature: str) -> Pretrained:
    """What the file of a seed holds; ValueError unless it is whole, and what its name says."""
    header, state = read_weights(path, "pt")
    if header.get("signature") != signature:
        raise ValueError("it is of another pretraining")
    return Pretrained(state, header)
