"""Factors and levels of a study's cells: their names, order, and the selection by --where."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from study.config.labels import level_words
from study.errors import InputError, unknown
from study.outputs.records import CellRecord, factor_names
from study.outputs.results import ReplicaResult

# They vary inside a cell: each replica has one level of each. Of layer it has all, each by itself,
# where the metric is a probe and layer is a factor of the table.
INNER = ("lr", "seed", "layer")
DEFAULT_LEVEL = "(default)"
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
_PARTS = re.compile(r" (?=\w+=)")
PREFERRED = ("activation", "init", "norm", "pretraining", "model", "optimizer", "schedule", "data")


def level_text(level: Any) -> str:
    """A level as a table prints it: 0.1 and 1e-1 are one level, so are 5 and 5.0."""
    if isinstance(level, str):
        return level
    if isinstance(level, float):
        return f"{level:.12g}"
    return str(level) if type(level) is int else _ENCODER.encode(level)


def shown_level(factor: str, level: Any) -> str:
    """A level as a table prints it, and as whoever names it is understood: 2x256 is [256,256]."""
    return str(level_words(factor, level_text(level)))


def cell_level(record: CellRecord, factor: str) -> str:
    """The level of a cell's factor; `(default)` where only other cells' launch swept that key."""
    return shown_level(factor, record.factors.get(factor, DEFAULT_LEVEL))


def activation_of(record: CellRecord) -> str:
    """The name of a cell's activation, without its keys."""
    return cell_level(record, "activation").partition(" ")[0]


def inner_levels(records: Iterable[CellRecord], factor: str) -> list[str]:
    """The learning rates, seeds or layers of all finished cells, numerically."""
    replicas = (r for record in records if record.result for r in record.result.replicas)
    numbers: set[Any] = {getattr(replica, factor, None) for replica in replicas}
    return [level_text(number) for number in sorted(numbers - {None})]


def inner_texts(replica: ReplicaResult) -> dict[str, str]:
    """The levels of a replica; that of layer where it is one of a table's factors."""
    levels = {factor: getattr(replica, factor, None) for factor in INNER}
    return {factor: level_text(level) for factor, level in levels.items() if level is not None}


def all_levels(records: Sequence[CellRecord], factor: str) -> list[str]:
    """The levels of a factor: numbers numerically, others in the ledger's order."""
    if factor in INNER:
        return inner_levels(records, factor)
    return in_order(cell_level(record, factor) for record in records)


def in_order(levels: Iterable[str]) -> list[str]:
    """Distinct levels: numerically if all are numbers (`(default)` first), else as they came."""
    distinct = list(dict.fromkeys(levels))
    try:
        numbers = {text: 0.0 if text == DEFAULT_LEVEL else float(text) for text in distinct}
        return sorted(distinct, key=lambda text: (text != DEFAULT_LEVEL, numbers[text]))
    except ValueError:
        return distinct


def varying_factors(records: Sequence[CellRecord]) -> list[str]:
    """Factors with two or more levels: the preferred ones first, then in the ledger's order."""
    names = factor_names(records)
    ranks = {name: rank for rank, name in enumerate(PREFERRED)}
    varying = [name for name in names if len({cell_level(r, name) for r in records}) > 1]
    return sorted(varying, key=lambda name: ranks.get(name, len(ranks)))


def shared_parts(levels: Sequence[str]) -> list[str]:
    """The ` key=value` parts that every one of two or more levels has: no header needs them."""
    if len(levels) < 2:
        return []
    parts = [_PARTS.split(level)[1:] for level in levels]
    return [part for part in parts[0] if all(part in others for others in parts)]


def without_parts(level: str, parts: Sequence[str]) -> str:
    """A level's name without some of its ` key=value` parts."""
    name, *own = _PARTS.split(level)
    return " ".join([name, *(part for part in own if part not in parts)])


def check_factor(records: Sequence[CellRecord], factor: str) -> str:
    """`factor`, or an InputError that lists the factors of the study."""
    inner = [name for name in INNER if inner_levels(records, name)]
    choices = [*factor_names(records), *inner]
    if factor not in choices:
        raise unknown("factor", factor, choices)
    return factor


def parse_where(records: Sequence[CellRecord], conditions: Sequence[str]) -> dict[str, list[str]]:
    """`F=LEVEL` conditions as {factor: levels}; a factor named twice may have either level."""
    where: dict[str, list[str]] = {}
    for condition in conditions:
        factor, equals, text = condition.partition("=")
        if not equals:
            raise InputError(f"--where {condition}: write it as FACTOR=LEVEL, as norm=batch")
        levels = all_levels(records, check_factor(records, factor))
        level = shown_level(factor, text)
        if level not in levels:
            with contextlib.suppress(ValueError):
                level = level_text(float(level))
            if level not in levels:
                raise unknown(f"level of {factor}", shown_level(factor, text), levels)
        where.setdefault(factor, [])
        where[factor] += [level] if level not in where[factor] else []
    return where


def select(records: Sequence[CellRecord], where: Mapping[str, list[str]]) -> list[CellRecord]:
    """The cells that meet every condition on a cell's factors; InputError if there is none."""
    outer = {factor: levels for factor, levels in where.items() if factor not in INNER}
    chosen = [
        record
        for record in records
        if all(cell_level(record, factor) in levels for factor, levels in outer.items())
    ]
    if not chosen:
        raise InputError(f"no cell has {where_text(where, ' and ')}; leave out a --where")
    return chosen


def where_text(where: Mapping[str, list[str]], separator: str = ", ") -> str:
    """`{"norm": ["batch"]}` as `norm = batch`."""
    return separator.join(f"{factor} = {' or '.join(levels)}" for factor, levels in where.items())
