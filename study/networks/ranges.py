"""Checks of one configuration value: each returns it, or says what would be right."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from study.errors import InputError, unknown


def number(
    key: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a float, if it is a finite number within the bounds.

    >>> number("norm.eps", 0, above=0)
    Traceback (most recent call last):
    study.errors.InputError: norm.eps is 0; it must be a number above 0
    """
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    limits = [f"{word} {limit:g}" for word, limit in bounds.items() if limit is not None]
    right = f"a number {' and '.join(limits)}" if limits else "a finite number"
    wrong = InputError(f"{key} is {value!r}; it must be {right}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong
    if not math.isfinite(value) or not _inside(value, at_least, above, at_most, below):
        raise wrong
    return float(value)


def _inside(
    value: float,
    at_least: float | None,
    above: float | None,
    at_most: float | None,
    below: float | None,
) -> bool:
    return (
        (at_least is None or value >= at_least)
        and (above is None or value > above)
        and (at_most is None or value <= at_most)
        and (below is None or value < below)
    )


def count(key: str, value: object, *, at_least: int = 1) -> int:
    """`value`, if it is a whole number of at least `at_least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InputError(f"{key} is {value!r}; it must be a whole number, at least {at_least}")
    return value


def counts(key: str, value: object) -> list[int]:
    """`value` as a list, if it is a list (possibly empty) of whole numbers of at least 1."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{key} is {value!r}; it must be a list of whole numbers, as [128, 64]")
    return [count(f"{key}[{index}]", item) for index, item in enumerate(value)]


def flag(key: str, value: object) -> bool:
    """`value`, if it is true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{key} is {value!r}; it must be true or false")
    return value


def choice(key: str, value: object, choices: Iterable[str]) -> str:
    """`value`, if it is one of `choices`."""
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise unknown(key, value, names)
    return value


def keywords(function: Callable[..., Any]) -> list[str]:
    """Names of a function's keyword-only parameters: the keys a level of a group may set."""
    parameters = inspect.signature(function).parameters.values()
    return [item.name for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]


def only_keys(what: str, config: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raises an InputError if `config` has a key that is not `allowed`, `name` aside."""
    names = list(allowed)
    for key in config:
        if key == "name" or key in names:
            continue
        if not names:
            raise InputError(f"{what} takes no parameters; leave {key!r} out")
        raise unknown(f"key of {what}", key, names)
