"""The forms of result.json and study.json, and what makes a result sound."""

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from study.config.configuration import CLASSIFICATION, RECONSTRUCTION
from study.files import read_json
from study.outputs.metrics import METRIC_KEYS, ROW

# The form of a JSON value: its keys, and what stands under each. Checked where a file is read.


LARGEST = 2**63 - 1
"""The largest whole number that tables of 64 bits hold."""


Misfit = tuple[str, str] | None
"""Where below a value something does not fit, and why; None if all does."""


class Form(Protocol):
    """What a value may be."""

    def misfit(self, value: Any) -> Misfit:
        """The first place that does not fit."""
        ...


@dataclass(frozen=True)
class Value:
    """A value that `fits`, called `words` where it does not."""

    words: str
    fits: Callable[[Any], bool]

    def misfit(self, value: Any) -> Misfit:
        return None if self.fits(value) else _no(value, self.words)


@dataclass(frozen=True)
class Fields:
    """An object with all keys of `required`; those of `optional` may be absent.

    What stands under other keys is of the form `others`.
    """

    required: Mapping[str, Form] = field(default_factory=dict)
    optional: Mapping[str, Form] = field(default_factory=dict)
    others: Form | None = None

    @cached_property
    def _known(self) -> Mapping[str, Form]:
        return {**self.optional, **self.required}

    def misfit(self, value: Any) -> Misfit:
        if not isinstance(value, dict):
            return _no(value, "object")
        for name in self.required:
            if name not in value:
                return f".{name}", "is missing"
        known, others = self._known, self.others
        for name, entry in value.items():
            own = known.get(name, others)
            if own is not None and (wrong := own.misfit(entry)) is not None:
                return f".{name:.40}{wrong[0]}", wrong[1]
        return None


@dataclass(frozen=True)
class Each:
    """A list, each of whose entries has a form; whatever entries without one."""

    form: Form | None = None

    def misfit(self, value: Any) -> Misfit:
        if not isinstance(value, list):
            return _no(value, "list")
        if self.form is not None:
            for index, entry in enumerate(value):
                if (wrong := self.form.misfit(entry)) is not None:
                    return f"[{index}]{wrong[0]}", wrong[1]
        return None


@dataclass(frozen=True)
class Named:
    """An object of any names, each of them of the form `name`, whose values have a form."""

    form: Form
    name: Value | None = None

    def misfit(self, value: Any) -> Misfit:
        if not isinstance(value, dict):
            return _no(value, "object")
        for name, entry in value.items():
            if self.name is not None and not self.name.fits(name):
                return "", f"has the key {name!r:.40}, which is no {self.name.words}"
            if (wrong := self.form.misfit(entry)) is not None:
                return f".{name:.40}{wrong[0]}", wrong[1]
        return None


@dataclass(frozen=True)
class OrNull:
    """null, or of a form."""

    form: Form

    def misfit(self, value: Any) -> Misfit:
        return None if value is None else self.form.misfit(value)


@dataclass(frozen=True)
class Either:
    """Of one form or of the other."""

    first: Form
    second: Form

    def misfit(self, value: Any) -> Misfit:
        return self.first.misfit(value) and self.second.misfit(value)


def check_form(value: Any, form: Form) -> None:
    """ValueError unless `value` has the form; it names the key, and says what is wrong with it."""
    if (wrong := form.misfit(value)) is not None:
        place, reason = wrong
        raise ValueError(f"its {place.lstrip('.')} {reason}")


def _no(value: Any, words: str) -> tuple[str, str]:
    return "", f"is {value!r:.40}, which is no {words}"


def whole(low: int | None = None) -> Value:
    """Whole numbers, from `low` on."""
    words = "whole number" if low is None else f"whole number from {low} on"
    least = -LARGEST if low is None else low
    return Value(words, lambda value: type(value) is int and least <= value <= LARGEST)


def _is_finite(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (
        type(value) is int and abs(value) <= LARGEST
    )


def one_of(*choices: str) -> Value:
    """One of some words."""
    return Value(f"one of {', '.join(choices)}", lambda value: value in choices)


TEXT = Value("text", lambda value: isinstance(value, str))
TRUTH = Value("true or false", lambda value: isinstance(value, bool))
NUMBER = Value("number", _is_finite)
NOT_NEGATIVE = Value("number from 0 on", lambda value: _is_finite(value) and value >= 0)
POSITIVE = Value("number above 0", lambda value: _is_finite(value) and value > 0)


def _is_level(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_level, value))
    return value is None or isinstance(value, bool | str) or _is_finite(value)


LEVEL = Value("level of a factor", _is_level)
"""What a configuration's key can hold."""


# JSON records that prove themselves: canonical form, seal and schema.


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
PROBES_FILE = "probes.csv"
PAIRS_FILE = "pairs.csv"
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


_FILE = Value("name of a file", lambda name: bool(re.fullmatch(r"\w[^/\\]*", name)))
_DIGEST = Value(
    "sha256", lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))
)
_RESUME: dict[str, Form] = {
    "epoch": whole(0),
    **dict.fromkeys(("git_commit", "git_diff_sha256", "torch", "processor", "gpu"), OrNull(TEXT)),
    "device": TEXT,
    "threads": whole(1),
    "packing": Each(whole(1)),
}
_PROVENANCE: dict[str, Form] = {
    **dict.fromkeys(("command", "data_fingerprint", "device", "engine"), TEXT),
    **dict.fromkeys(
        (
            *("git_commit", "git_diff_sha256", "gpu", "platform", "processor", "processor_model"),
            *("python", "slurm_job", "signature", "alone"),
        ),
        OrNull(TEXT),
    ),
    "levels": Named(Either(whole(1), TEXT)),
    "packages": Named(OrNull(TEXT)),
    "packing": Each(whole(1)),
    "populations": Each(Each(Each(TEXT))),
    "recipe": whole(0),
    "resumed": Each(Fields(optional=_RESUME)),
    "threads": whole(1),
}
_LOSSES = {key: OrNull(NUMBER) for key in METRIC_KEYS if key.endswith("_loss")}
_ERRORS = {key: OrNull(NOT_NEGATIVE) for key in METRIC_KEYS if key.endswith("_error")}
_REPLICA = Fields(
    {
        "seed": whole(0),
        "lr": POSITIVE,
        "status": one_of("trained", "diverged"),
        **_LOSSES,
        **_ERRORS,
    },
    {
        "best_epoch": OrNull(whole(0)),
        "symmetry_broken": whole(1),
        "weights_sha256": TEXT,
        "best_weights_sha256": TEXT,
        "copied_from": Fields({"signature": TEXT}, _PROVENANCE),
    },
)
_CODE_ERRORS = {"train_error": NOT_NEGATIVE, "test_error": NOT_NEGATIVE}
_REFERENCES: dict[str, Form] = {
    "pca": Fields({"components": whole(0), **_CODE_ERRORS}),
    "mean_image": Fields(_CODE_ERRORS),
    "ridge": Fields({"penalty": NUMBER, "train_loss": NUMBER, "test_loss": NUMBER, **_CODE_ERRORS}),
}
_LAYERS = Each(OrNull(NUMBER))


_MOMENT = Fields({"step": whole(0)}, others=_LAYERS)
RESULT = Fields(
    {
        "status": one_of("done"),
        "factors": Named(LEVEL),
        "files": Named(_DIGEST, name=_FILE),
        "provenance": Fields(optional=_PROVENANCE),
        "replicas": Each(_REPLICA),
        "chosen_lr": POSITIVE,
        "task": one_of(CLASSIFICATION, RECONSTRUCTION),
    },
    {
        "chosen_lr_at_edge": OrNull(one_of("lowest", "highest")),
        "family": TEXT,
        "pretraining": Fields(
            optional={
                "signature": TEXT,
                "sha256": Named(TEXT),
                "weights_sha256": Named(TEXT),
            }
        ),
        "pretraining_seconds": NOT_NEGATIVE,
        "pretraining_updates": whole(0),
        "probes": Fields(optional={"start": _MOMENT, "end": _MOMENT}),
        "references": Fields(optional=_REFERENCES),
        "wall_seconds": OrNull(NOT_NEGATIVE),
    },
)
"""result.json, but for `schema`, `signature` and `sha256`; keys that came later are optional."""
_EXPERIMENT = OrNull(
    Fields(
        optional={
            **dict.fromkeys(("name", "text", "sha256", "commit"), OrNull(TEXT)),
            "modified": OrNull(TRUTH),
        }
    )
)
_LISTED = Fields(
    {"directory": TEXT, "signature": TEXT, "factors": Named(LEVEL)},
    {"family": TEXT, "seeds": Each(whole(0))},
)
LEDGER = Fields(
    {"cells": Each(_LISTED)},
    {
        "experiment": _EXPERIMENT,
        "claims": OrNull(Each()),
        "study": TEXT,
        "threads": OrNull(whole(1)),
        "previous": OrNull(Each()),
    },
)
"""study.json, but for `schema` and `sha256`; its claims and their history are read by others."""


def check_result(result: dict[str, Any], signature: str) -> None:
    """ValueError unless `result` is a whole, unaltered result.json of the cell `signature`.

    One with a valid seal that was made by hand is checked as well: whoever reads a record may rely
    on RESULT.
    """
    check_schema(result)
    if result.get("signature") != signature:
        raise ValueError("its signature is not the one study.json expects, so it is foreign")
    require_seal(result)
    if result.get("status") != "done" or not result.get("replicas"):
        raise ValueError("it has no finished replicas")
    check_form(result, RESULT)
    replicas = result["replicas"]
    if len({(replica["seed"], replica["lr"]) for replica in replicas}) < len(replicas):
        raise ValueError("two of its replicas have the same seed and learning rate")
    if result["chosen_lr"] not in [replica["lr"] for replica in replicas]:
        raise ValueError("no replica has its chosen_lr")
    references = result.get("references", {})
    if ("pca" in references) != ("mean_image" in references):
        raise ValueError("its references have one of pca and mean_image without the other")


# The form of a cell's CSV files, checked where they are read: what their readers rely on.


_NEEDED = {"curves.csv": CURVE_COLUMNS, PROBES_FILE: ROW, PAIRS_FILE: PAIRS_COLUMNS}
"""Columns that every such file has; those of probes have been added one by one."""
_WHOLE = ("seed", "other_seed", "epoch", "step", "layer")
_FULL = ("lr", "alpha", *_WHOLE, *ENDS)
"""Columns whose fields are never empty."""
_WHOLE_NUMBER = r"\d{1,18}"
_NUMBER = r"-?\d{1,20}(?:\.\d{1,40})?(?:e[-+]?(?:[12]?\d?\d|30[0-8]))?"


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
    kind = _WHOLE_NUMBER if column in _WHOLE else _NUMBER
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
