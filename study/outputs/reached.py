"""How far the training of an unfinished cell is, without reading its tensors."""

from pathlib import Path

from study.outputs.checkpoint import CHECKPOINT
from study.outputs.sealed import parse_json

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
