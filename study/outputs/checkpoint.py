"""Checkpoints: the state of a training in one file that proves itself whole and one's own.

A safetensors file. Its header holds a short JSON `record` (what it belongs to, how far it is) and
the SHA-256 of that record and of every tensor; the tensor `state` holds a tree of plain values as
JSON, in which each array stands as the name of the tensor that holds it.
"""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.files import move, parse_json, remove, replacing, sha256
from study.locks import still_ours

if TYPE_CHECKING:
    from torch import Tensor

# What stands for the content of tensors: one hash over all of them.


def tensors_sha256(tensors: "Mapping[str, Tensor]", text: str = "") -> str:
    """SHA-256 of a text, then name, type, shape and bytes of each tensor, by name.

    On the CPU; of parameters and buffers by name it is `weights_sha256` of a record.
    """
    import numpy as np

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


def header_sha256(header: Mapping[str, str], tensors: "Mapping[str, Tensor]") -> str:
    """What a safetensors file that proves itself holds as `sha256` in its header.

    Over the header without that key, and the tensors.
    """
    lines = (f"{name}={header[name]}\n" for name in sorted(header.keys() - {"sha256"}))
    return tensors_sha256(tensors, "".join(lines))


CHECKPOINT = "checkpoint.safetensors"
"""The file's name, in the directory of what is trained."""
UNFIT = "checkpoint.unfit.safetensors"
"""Where one is kept that is whole, and that this version of the code cannot go on from."""
SCHEMA = 1
_STATE = "state"
_TENSOR, _ARRAY = "<tensor>", "<array>"
_TYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
"""What safetensors calls the types of tensors."""
_log = logging.getLogger(__name__)


Record = Mapping[str, Any]
"""What a checkpoint says of itself, as plain JSON: how far it is, and how it was `made`."""


class UnfitCheckpoint(Exception):  # noqa: N818
    """A whole checkpoint of other shapes or names than the code has now."""


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """A block that takes up a state that may be another code's: then it is `UnfitCheckpoint`."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise UnfitCheckpoint(str(error)) from error


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: its `record`, and the `state` of a training, both as they were given.

    Tuples come back as lists, arrays in the order of their dimensions in memory.
    """

    record: Record
    state: Any


def write_checkpoint(path: Path, signature: str, record: Record, state: Any) -> None:
    """Replaces the checkpoint of the training `signature`, whole or not at all.

    `record` is plain JSON. `state` is made of dictionaries with text as keys, lists, plain values,
    tensors and NumPy arrays; numbers need not be finite. Raises OSError.
    """
    import torch

    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_without_tensors(state, "", tensors)).encode()
    tensors[_STATE] = torch.frombuffer(bytearray(tree), dtype=torch.uint8)
    text = json.dumps({**record, "schema": SCHEMA, "signature": signature})
    entries: dict[str, object] = {
        "__metadata__": {"record": text, "sha256": tensors_sha256(tensors, text)}
    }
    # Without a second copy of the tensors, as safetensors would make it: they may be most of the
    # memory.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].itemsize)
    start = 0
    for name, tensor in ordered:
        end = start + tensor.nbytes
        kind, shape = _TYPES[str(tensor.dtype)], list(tensor.shape)
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with replacing(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, tensor in ordered:
            file.write(tensor.numpy().reshape(-1).data)


def read_checkpoint(path: Path, signature: str, otherwise: str) -> Checkpoint | None:
    """The checkpoint of the training `signature`, if there is one that is whole.

    One that is damaged, or of another training, is named in a warning, which says what is done
    `otherwise` ("the cell starts over").
    """
    if not path.exists():
        return None
    try:
        return _read(path, signature)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0] or "it is damaged"
        _log.warning("%s is not used (%s): %s", path, reason, otherwise)
        return None


class Checkpoints:
    """The checkpoints of one training in its directory, each in the place of the last.

    `seconds` have to pass before the first and between two; with 0 every occasion is taken, with
    None none. A checkpoint that cannot be written (a full disk) is named in a warning, once; the
    training goes on, and the last one stays. Training does not go on in a directory that another
    process has taken over: every occasion raises `Lost` there.
    """

    def __init__(self, directory: Path, signature: str, seconds: float | None) -> None:
        self.path, self.signature, self.seconds = directory / CHECKPOINT, signature, seconds
        self._last = time.monotonic()
        self._warned = False

    def offer(self, take: Callable[[], tuple[Record, Any]]) -> None:
        """Writes the record and state that `take` gives, if a checkpoint is due."""
        with contextlib.suppress(OSError):
            still_ours(self.path.parent)
        if self.seconds is None or time.monotonic() - self._last < self.seconds:
            return
        try:
            write_checkpoint(self.path, self.signature, *take())
        except OSError as error:
            if not self._warned:
                _log.warning("%s cannot be written (%s): training goes on", self.path, error)
            self._warned = True
        self._last = time.monotonic()

    def put_aside(self, reason: Exception, otherwise: str) -> None:
        """Renames a checkpoint that does not fit, and says so; `otherwise` as in reading."""
        move(self.path, self.path.with_name(UNFIT))
        _log.warning(
            "%s is of another version of this code (%s) and is kept as %s: %s",
            self.path,
            str(reason).split("\n")[0] or type(reason).__name__,
            UNFIT,
            otherwise,
        )

    def remove(self) -> None:
        """Removes the file, once what is trained is kept elsewhere."""
        remove(self.path)


def _read(path: Path, signature: str) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # In memory of their own: the file may be replaced while they are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it is damaged: {error}") from None
    text = header.get("record", "")
    if header.get("sha256") != tensors_sha256(tensors, text):
        raise ValueError("its content is not what its hash says")
    record = parse_json(text)
    if record["schema"] != SCHEMA:
        raise ValueError(f"its schema is {record['schema']}, this version reads {SCHEMA}")
    if record["signature"] != signature:
        raise ValueError("it is of another training")
    tree = parse_json(tensors[_STATE].numpy().tobytes())
    return Checkpoint(record, _with_tensors(tree, tensors))


def _without_tensors(value: Any, place: str, tensors: "dict[str, Tensor]") -> Any:
    """`value` as plain JSON; each tensor or array goes into `tensors`, named after its place."""
    import numpy as np
    import torch

    if isinstance(value, Mapping):
        return {name: _without_tensors(v, f"{place}/{name}", tensors) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(v, f"{place}/{i}", tensors) for i, v in enumerate(value)]
    if isinstance(value, np.ndarray):
        tensors[place] = torch.from_numpy(np.ascontiguousarray(value)).view(value.shape)
        return {_ARRAY: place}
    if not isinstance(value, torch.Tensor):
        return value
    tensors[place] = value.detach().cpu().contiguous()
    return {_TENSOR: place}


def _with_tensors(value: Any, tensors: "Mapping[str, Tensor]") -> Any:
    """What `_without_tensors` was given."""
    if isinstance(value, list):
        return [_with_tensors(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return tensors[value[_ARRAY]].numpy()
    if _TENSOR not in value:
        return {name: _with_tensors(each, tensors) for name, each in value.items()}
    return tensors[value[_TENSOR]]


# How far the training of an unfinished cell is, without reading its tensors.


_MAX_HEADER_BYTES = 2**26


def reached_epoch(directory: Path) -> int | None:
    """The epoch after which the cell's last checkpoint was taken; None where there is none.

    Only the header is read: whether the rest is whole shows when the cell is gone on with.
    """
    try:
        with (directory / CHECKPOINT).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _MAX_HEADER_BYTES:
                return None
            record = parse_json(parse_json(file.read(size))["__metadata__"]["record"])
        return int(record["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


# A file of pretrained weights that proves itself, read without torch or with it.


def read_weights(path: Path, framework: str = "np") -> tuple[dict[str, str], dict[str, Any]]:
    """The header and the tensors of `seed=N.safetensors`, as arrays of NumPy (or torch: "pt").

    ValueError unless it is whole, of the seed in its name, and the curves beside it are its own.
    Of which pretraining it is, its `signature` says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            header = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it cannot be read ({' '.join(str(error).split())})") from None
    if header.get("sha256") != header_sha256(header, state):
        raise ValueError("its content is not what its hash says")
    if path.stem != f"seed={header.get('seed')}":
        raise ValueError(f"it holds the weights of seed {header.get('seed')}")
    curves = path.with_suffix(".csv")
    if not curves.exists():
        raise ValueError(f"the curves beside it, {curves.name}, are missing")
    digest = sha256(curves)
    if header.get("curves_sha256", digest) != digest:
        raise ValueError(f"the curves beside it, {curves.name}, are not those its header names")
    return header, state
