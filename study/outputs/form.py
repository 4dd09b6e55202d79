"""The form of a JSON value: its keys, and what stands under each. Checked where a file is read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

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
