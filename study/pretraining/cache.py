"""Pretrained weights, kept in a study for every cell that starts from them.

`outputs/<study>/pretraining/<kind>-<signature>/` holds one file a seed: its weights, and in the
file's header the seconds and updates that they took and a hash over all of it. A file that is not
what its hash says is never used.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from study.configuration import flatten, identity_hash
from study.keys import KEYS
from study.networks import needs_sample
from study.outputs.files import write_csv, write_tensors

State = dict[str, Tensor]
Row = dict[str, float]

GROUPS = ("data", "model", "activation", "init", "norm", "pretraining")
OTHERS = ("streams.initialization", "trainer.precision")
UNUSED = (
    "data.train_size",
    "data.test_size",
    "data.flip",
    "data.crop",
    "norm.noise",
    "model.dropout",
    "pretraining.equal_budget",
)
"""Keys of those groups that pretraining does not look at.

But for data.train_size, where labels or an initialization that measures data make it count.
"""

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
    def is_finite(self) -> bool:
        """Whether no weight has diverged."""
        return all(bool(torch.isfinite(value).all()) for value in self.state.values())


@dataclass(frozen=True)
class Result:
    """What pretraining seeds together came to: each one's weights, and a row per layer and epoch.

    `updates` is of each seed; `made` tells where, for whoever repeats it: the threads, the device,
    the versions.
    """

    states: Mapping[int, State]
    rows: Mapping[int, list[Row]]
    updates: int
    made: Mapping[str, str] = field(default_factory=dict)


def pretraining_signature(config: Mapping[str, Any], fingerprint: str) -> str:
    """SHA-256 of all that can change the pretrained weights of a seed."""
    unused = set(UNUSED)
    if config["pretraining"]["name"] == "supervised" or needs_sample(config["init"]):
        unused.remove("data.train_size")
    keys = {
        key: value
        for key, value in flatten(config)
        if KEYS[key].effect == "result"
        and (key.partition(".")[0] in GROUPS or key in OTHERS)
        and key not in unused
    }
    return identity_hash(keys, fingerprint)


def cache_directory(study: Path, kind: str, signature: str) -> Path:
    """Where the weights of that signature are kept."""
    return study / "pretraining" / f"{kind}-{signature[:8]}"


def pretrained(
    directory: Path,
    signature: str,
    seeds: Iterable[int],
    train: Callable[[list[int]], Result],
) -> dict[int, Pretrained]:
    """The pretrained weights of each seed; those that are not kept are trained together, and kept.

    Of several processes one trains and the others wait for it. A file that is damaged is named in
    a warning and replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"):
        found = {seed: _read(_path(directory, seed), signature, seed) for seed in seeds}
        missing = [seed for seed, one in found.items() if one is None]
        if missing:
            started = time.perf_counter()
            result = train(missing)
            seconds = round((time.perf_counter() - started) / len(missing), 3)
            for seed in missing:
                found[seed] = _keep(directory, signature, seed, result, seconds)
    return {seed: one for seed, one in found.items() if one is not None}


def kept(directory: Path, signature: str, seed: int) -> Pretrained | None:
    """What is kept of a seed, trained by whomever; None if nothing is."""
    return _read(_path(directory, seed), signature, seed)


def _path(directory: Path, seed: int) -> Path:
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
    header["sha256"] = _digest(header, state)
    write_tensors(_path(directory, seed), state, header)
    return Pretrained(state, header)


def _digest(header: Mapping[str, str], state: State) -> str:
    """SHA-256 of the header without itself, and of name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256()
    for name in sorted(header.keys() - {"sha256"}):
        digest.update(f"{name}={header[name]}\n".encode())
    for name in sorted(state):
        array = state[name].contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path, signature: str, seed: int) -> Pretrained | None:
    """What the file holds, if it is whole and of this signature and seed."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("sha256") != _digest(header, state):
            raise ValueError("its content is not what its hash says")
        if (header.get("signature"), header.get("seed")) != (signature, str(seed)):
            raise ValueError("it is of another pretraining")
        return Pretrained(state, header)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        _log.warning("%s is damaged (%s): the seed is pretrained again", path, reason)
        return None
