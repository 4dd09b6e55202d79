"""JSON records that prove themselves: canonical form, seal, and what makes a result sound."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

SCHEMA = 1
METRIC_KEYS = tuple(
    f"{prefix}{split}_{quantity}"
    for prefix in ("", "last_")
    for split in ("train", "val", "test")
    for quantity in ("loss", "error")
)


_CALLED = {dict: "object", list: "list", int: "whole number"}
"""The kinds of JSON values in JSON's words."""
_KINDS = dict.fromkeys(("files", "probes", "provenance"), dict)
"""What else of a result must be of a kind, wherever it is there."""


def _canonical(record: dict[str, Any]) -> bytes:
    body = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """`record` with its `sha256`, that of its canonical JSON without this key.

    Canonical: sorted keys, no spaces, UTF-8. A number that is not finite is a ValueError.
    """
    return {**record, "sha256": hashlib.sha256(_canonical(record)).hexdigest()}


def check_seal(record: dict[str, Any]) -> bool:
    """Whether `record["sha256"]` is the one `seal` would write."""
    return record.get("sha256") == hashlib.sha256(_canonical(record)).hexdigest()


def require_seal(record: dict[str, Any]) -> None:
    """ValueError unless `check_seal`."""
    if not check_seal(record):
        raise ValueError("its sha256 does not fit its content, so it was altered")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError says what is wrong with it, OSError as raised."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"it holds {constant}, which is not JSON")

    text = path.read_bytes()
    try:
        content = json.loads(text, parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "it is empty" if not text.strip() else f"truncated or not JSON: {error}"
        raise ValueError(reason) from None
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def check_schema(content: dict[str, Any]) -> None:
    """ValueError unless `content` has the schema that this version reads, and says what to do.

    Keys are added under one schema: readers take a file without them. Only a key that changes its
    meaning raises it.
    """
    schema = content.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(
            f"its schema {schema} is newer than this version, which reads {SCHEMA}: use the "
            "version of this project that wrote it, or a later one"
        )
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema!r}, this version reads {SCHEMA}")


def read_sealed(path: Path) -> dict[str, Any]:
    """A sealed JSON file of this version, as `read_json`; ValueError says what is wrong with it."""
    content = read_json(path)
    check_schema(content)
    require_seal(content)
    return content


def check_kinds(content: dict[str, Any], kinds: Mapping[str, type]) -> None:
    """ValueError unless each of these keys, where it is there and not null, has such a value."""
    for name, kind in kinds.items():
        value = content.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"its {name} is {value!r:.40}, which is no {_CALLED[kind]}")


def check_result(result: dict[str, Any], signature: str) -> None:
    """ValueError unless `result` is a whole, unaltered result.json of the cell `signature`."""
    check_schema(result)
    if result.get("signature") != signature:
        raise ValueError("its signature is not the one study.json expects, so it is foreign")
    require_seal(result)
    check_kinds(result, _KINDS)
    if not _is_number(result.get("wall_seconds"), null=True):
        raise ValueError("its wall_seconds is not a number")
    replicas = result.get("replicas")
    if result.get("status") != "done" or not isinstance(replicas, list) or not replicas:
        raise ValueError("it has no finished replicas")
    for replica in replicas:
        _check_replica(replica)
    if len({(replica["seed"], replica["lr"]) for replica in replicas}) < len(replicas):
        raise ValueError("two of its replicas have the same seed and learning rate")
    if result.get("chosen_lr") not in [replica["lr"] for replica in replicas]:
        raise ValueError("no replica has its chosen_lr")


def _check_replica(replica: Any) -> None:
    if not isinstance(replica, dict) or not isinstance(replica.get("seed"), int):
        raise ValueError("a replica has no seed")
    if not _is_number(replica.get("lr")) or replica.get("status") not in ("trained", "diverged"):
        raise ValueError(f"the replica of seed {replica['seed']} lacks its lr or status")
    wrong = [key for key in METRIC_KEYS if not _is_number(replica.get(key, ""), null=True)]
    if wrong:
        raise ValueError(f"{wrong[0]} of seed {replica['seed']} is not a number")


def _is_number(value: Any, null: bool = False) -> bool:
    if value is None:
        return null
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
