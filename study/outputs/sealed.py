"""JSON records that prove themselves: canonical form, seal and schema."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, NoReturn

SCHEMA = 1
MAX_DEPTH = 50
"""Of lists and objects in each other: five times what any record needs."""
TOO_DEEP = f"it is nested more than {MAX_DEPTH} deep"
METRIC_KEYS = tuple(
    f"{prefix}{split}_{quantity}"
    for prefix in ("", "last_")
    for split in ("train", "val", "test")
    for quantity in ("loss", "error")
)


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


def parse_json(text: str | bytes, **options: Any) -> Any:
    """The JSON value of a text that anybody may have written, by `json.loads` and its `options`.

    ValueError, too, where it is nested deeper than MAX_DEPTH: whoever reads it may walk through it.
    """
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    require_shallow(value)
    return value


def require_shallow(value: Any) -> None:
    """ValueError where lists and mappings are nested deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nests = {id(each): each for each in level if isinstance(each, dict | list)}
        if not nests:
            return
        inner = (each.values() if isinstance(each, dict) else each for each in nests.values())
        level = list(itertools.chain.from_iterable(inner))
    raise ValueError(TOO_DEEP)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError says what is wrong with it, OSError as raised."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"it holds {constant}, which is not JSON")

    text = path.read_bytes()
    try:
        content = parse_json(text, parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
        raise ValueError(f"its schema is {schema!r:.40}, this version reads {SCHEMA}")


def read_sealed(path: Path) -> dict[str, Any]:
    """A sealed JSON file of this version, as `read_json`; ValueError says what is wrong with it."""
    content = read_json(path)
    check_schema(content)
    require_seal(content)
    return content
