"""JSON records as dataclasses: read, checked, sealed; and the form of a cell's CSV files."""

import functools
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from study.files import read_json
from study.outputs.metrics import ROW

# The files of a cell, and of a study.

CONFIG_FILE = "config.yaml"
CURVES_FILE = "curves.csv"
FILTERS_FILE = "filters.npz"
PAIRS_FILE = "pairs.csv"
PREDICTIONS_FILE = "predictions.npz"
PROBES_FILE = "probes.csv"
RESULT_FILE = "result.json"
WEIGHTS_FILE = "weights.safetensors"
ERROR_FILE = "error.txt"
METRICS_FILE = "metrics.csv"
"""Lightning's CSV logger's, where it is asked for."""
EVENT_FILES = "events.out.tfevents.*"
LEDGER_FILE = "study.json"
"""The study's own: what it consists of."""

# A dataclass of what was parsed from JSON. Its annotations say what a file must hold.


LARGEST = 2**63 - 1
"""The largest whole number that tables of 64 bits hold."""


class Check(NamedTuple):
    """Which values an annotation takes as they were parsed; `label` calls those."""

    label: str
    fits: Callable[[Any], bool]


class SchemaError(ValueError):
    """A value that is not as its annotation says: `place` below the one that is read, and why."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"its {place.lstrip('.')} {reason}")
        self.reason, self.place = reason, place

    @classmethod
    def no(cls, value: Any, label: str) -> Self:
        """That a value is none of what `label` calls."""
        return cls(f"is {value!r:.40}, which is no {label}")

    def under(self, place: str) -> "SchemaError":
        """The same, seen from the value that holds this one at `place`."""
        return SchemaError(self.reason, place + self.place)


@functools.cache
def reader(kind: Any) -> Callable[[Any], Any]:
    """What turns parsed JSON into a value of an annotation, or raises a `SchemaError`.

    Of a dataclass, whose fields without a default are keys that must be there; keys that it has
    not belong to a later version and are left alone. Lists become tuples. A class with a
    `from_json` reads itself.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if (check := _check(kind)) is not None:
        return functools.partial(_checked, check)
    if origin in (typing.Union, types.UnionType):
        inner, none = arguments
        assert none is types.NoneType, "of what is converted, alternatives cannot be told apart"
        read = reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _each(reader(arguments[0]), _check(arguments[0]))
    if origin is Mapping:
        return _named(_check(arguments[0]), reader(arguments[1]))
    if hasattr(kind, "from_json"):
        return typing.cast("Callable[[Any], Any]", kind.from_json)
    return _fields(kind)


def _check(kind: Any) -> Check | None:
    """The check of a kind whose values stay as they were parsed; None of any other."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        check: Check = arguments[1]
        return check
    if origin is Literal:
        return Check(f"one of {', '.join(arguments)}", lambda value: value in arguments)
    if origin in (typing.Union, types.UnionType):
        checks = [_check(each) for each in arguments if each is not types.NoneType]
        known = [each for each in checks if each is not None]
        if len(known) < len(checks):
            return None
        first, last = known[0].fits, known[-1].fits
        if types.NoneType in arguments:
            return Check(known[-1].label, lambda value: value is None or first(value))
        return Check(known[-1].label, lambda value: first(value) or last(value))
    return _SIMPLE.get(kind)


def _checked(check: Check, value: Any) -> Any:
    if check.fits(value):
        return value
    raise SchemaError.no(value, check.label)


def _is_whole(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value <= LARGEST


def is_finite(value: Any) -> bool:
    """Whether a value is a number that is finite, and no larger than tables hold."""
    return (type(value) is float and -math.inf < value < math.inf) or _is_whole(value)


_SIMPLE: dict[Any, Check] = {
    str: Check("text", lambda value: isinstance(value, str)),
    bool: Check("true or false", lambda value: isinstance(value, bool)),
    int: Check("whole number", _is_whole),
    float: Check("number", is_finite),
}


def _each(inner: Callable[[Any], Any], check: Check | None) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise SchemaError.no(value, "list")
        if check is not None and all(map(check.fits, value)):
            return tuple(value)
        found = []
        for index, entry in enumerate(value):
            try:
                found.append(inner(entry))
            except SchemaError as wrong:
                raise wrong.under(f"[{index}]") from None
        return tuple(found)

    return read


def _named(name: Check | None, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    assert name is not None, "a name is text"

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise SchemaError.no(value, "object")
        found = {}
        for key, entry in value.items():
            if not name.fits(key):
                raise SchemaError(f"has the key {key!r:.40}, which is no {name.label}")
            try:
                found[key] = inner(entry)
            except SchemaError as wrong:
                raise wrong.under(f".{key:.40}") from None
        return found

    return read


def _fields(kind: Any) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    checks = {each.name: _check(hints[each.name]) for each in fields(kind)}
    # Most values are checked and kept: without a call for each, a study is read twice as fast.
    known = {n: (check and check.fits, reader(hints[n])) for n, check in checks.items()}
    defaults = {each.name: _default(each) for each in fields(kind) if _default(each) is not MISSING}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise SchemaError.no(value, "object")
        found = dict(defaults)
        for name, entry in value.items():
            if name not in known:
                continue
            fits, own = known[name]
            if fits is not None and fits(entry):
                found[name] = entry
                continue
            try:
                found[name] = own(entry)
            except SchemaError as wrong:
                raise wrong.under(f".{name}") from None
        if len(found) < len(known):
            raise SchemaError("is missing", f".{next(name for name in known if name not in found)}")
        # A frozen dataclass sets field by field, three times as slowly: a study has thousands.
        made = object.__new__(kind)
        made.__dict__.update(found)
        return made

    return read


def to_json(record: Any) -> Any:
    """A dataclass as parsed JSON, without the fields that are at their defaults, for `reader`."""
    if hasattr(record, "to_json"):
        return record.to_json()
    if is_dataclass(record):
        told = {each: getattr(record, each.name) for each in fields(record)}
        return {
            each.name: to_json(value) for each, value in told.items() if value != _default(each)
        }
    if isinstance(record, Mapping):
        return {name: to_json(value) for name, value in record.items()}
    return [to_json(each) for each in record] if isinstance(record, list | tuple) else record


def _default(field: Field[Any]) -> Any:
    """What a field is where a file has no such key; nothing changes it, so all may share it."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def whole(low: int) -> Check:
    """Whole numbers from `low` on."""
    return Check(
        f"whole number from {low} on", lambda value: type(value) is int and low <= value <= LARGEST
    )


Count = Annotated[int, whole(0)]
CountFromOne = Annotated[int, whole(1)]
NotNegative = Annotated[
    float, Check("number from 0 on", lambda value: is_finite(value) and value >= 0)
]
Positive = Annotated[float, Check("number above 0", lambda value: is_finite(value) and value > 0)]


def _is_level(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_level, value))
    return value is None or isinstance(value, bool | str) or is_finite(value)


Level = Annotated[Any, Check("level of a factor", _is_level)]
"""What a configuration's key can hold."""


# JSON records that prove themselves: canonical form and seal.


SCHEMA = 1
CURVE_COLUMNS = (
    "seed",
    "lr",
    "epoch",
    "train_loss",
    "train_error",
    "val_loss",
    "val_error",
    "seconds",
)
ENDS = ("seed", "other_seed", "lr")
PAIRS_COLUMNS = (
    *ENDS,
    "alpha",
    "train_loss",
    "train_error",
    "test_loss",
    "test_error",
    "disagreement",
    "distance",
    "relative_distance",
    "cosine",
)
"""A row for each pair and point: the network (1 - alpha) w + alpha w', last-epoch weights.

w is that of `seed`, w' that of `other_seed`, both at the learning rate `lr`. Losses and errors are
of a subset of the training images and of all test images; errors and `disagreement` are shares.
The last four are of the point's network beside that of `seed`: the share of test images that they
put into different classes (Fort et al. 2019), and of their parameters the Euclidean distance, that
distance by the root mean square of the two norms (sqrt(2) for directions at random), and the
cosine. At alpha = 1 they are those of the pair.
"""


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


# The form of a cell's CSV files, checked where they are read: what their readers rely on.


_NEEDED = {CURVES_FILE: CURVE_COLUMNS, PROBES_FILE: ROW, PAIRS_FILE: PAIRS_COLUMNS}
"""Columns that every such file has; those of probes have been added one by one."""
WHOLE = ("seed", "other_seed", "epoch", "step", "layer")
"""Columns of counts; all others hold numbers of any kind."""
_FULL = ("lr", "alpha", *WHOLE, *ENDS)
"""Columns whose fields are never empty."""
_WHOLE_NUMBER = r"\d{1,18}"
_NUMBER = r"-?\d{1,20}(?:\.\d{1,40})?(?:e[-+]?(?:[12]?\d?\d|30[0-8]))?"


Row = dict[str, Any]
"""A row of a table by column; of such a file numbers, whole ones in the columns of WHOLE.

NaN or, of probes.csv, None where its field is empty.
"""


def check_rows(name: str, content: bytes) -> None:
    """ValueError, which says where and why, unless a cell's file of this name holds its rows.

    Numbers under the columns of such a file, whole ones where they count; the field of a number
    that is not finite is empty. Files that are no tables are not looked at.
    """
    if name not in _NEEDED:
        return
    head, _, body = content.partition(b"\n")
    columns = tuple(head.decode("utf-8", "replace").strip("\r").split(","))
    missing = [column for column in _NEEDED[name] if column not in columns]
    if missing:
        raise ValueError(f"it lacks the column {missing[0]}")
    if len(set(columns)) < len(columns):
        raise ValueError("it has a column twice")
    if not _table(columns).fullmatch(body):
        raise ValueError(_first_wrong(columns, body.decode("utf-8", "replace").splitlines()))


@functools.cache
def _table(columns: tuple[str, ...]) -> re.Pattern[bytes]:
    # All rows at once: a report reads some thousands of such files.
    line = ",".join(_field(column) for column in columns)
    return re.compile(rf"(?:{line}\r?\n)*+(?:{line})?".encode())


def _field(column: str) -> str:
    kind = _WHOLE_NUMBER if column in WHOLE else _NUMBER
    return kind if column in _FULL else f"(?:{kind})?"


def _first_wrong(columns: tuple[str, ...], lines: list[str]) -> str:
    """Where a table is first not as it should be."""
    for number, line in enumerate(lines, 2):
        fields = line.split(",")
        if len(fields) != len(columns):
            return f"its line {number} has {len(fields)} fields under {len(columns)} columns"
        for column, text in zip(columns, fields, strict=True):
            if not re.fullmatch(_field(column), text):
                return f"its {column} in line {number} is {text!r:.40}, which is no number of such"
    return "its lines do not end as those of a table"
