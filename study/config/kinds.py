"""What a configuration value may be: checks that return its canonical form."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from study.files import DEVICE, MAX_NAME_BYTES, PATH_EXPECTS, checked_path

Parse = Callable[[Any], Any]

__all__ = [
    *("FLAG", "PATH", "TEXT", "choice", "either", "fraction", "layer_widths", "list_of"),
    *("number", "optional", "share", "whole"),
]
"""What a key of a folder of levels may be made of: these are read, so nothing else can be."""

MAX_WHOLE = 2**63 - 1
"""The largest whole number that records and tensors hold."""
MAX_NUMBER = 3.4e38
"""The largest number, rounded down, that a network in float32 holds."""
MAX_SEED = MAX_WHOLE
MAX_SEEDS = 10_000
MAX_NAME = 100
MAX_PAIR_POINTS = 1001
MAX_LAYERS = 10_000


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    `parse` returns the canonical value (an integer learning rate becomes a float) and raises
    `ValueError` for a value out of range; `expects` says in words what it takes, and `names` are
    all of its values where these are few.
    """

    parse: Parse
    expects: str
    names: tuple[str, ...] = ()


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -MAX_NUMBER <= value <= MAX_NUMBER


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> Kind:
    """A finite number in [low, high], or in (low, high] if `above`."""

    def parse(value: Any) -> float:
        if not _is_number(value) or not low <= value <= high or (above and value == low):
            raise ValueError
        return float(value) + 0.0  # -0.0 is 0.0

    if above:
        bound = f" above {low:g}"
    elif math.isfinite(low):
        bound = f" of at least {low:g}"
    else:
        bound = ""
    return Kind(parse, "a number" + bound + (f", at most {high:g}" if high < math.inf else ""))


def share() -> Kind:
    """A number in [0, 1)."""

    def parse(value: Any) -> float:
        if not _is_number(value) or not 0 <= value < 1:
            raise ValueError
        return float(value) + 0.0

    return Kind(parse, "a number from 0 up to, not including, 1")


def fraction() -> Kind:
    """A number in (0, 1)."""

    def parse(value: Any) -> float:
        if not _is_number(value) or not 0 < value < 1:
            raise ValueError
        return float(value)

    return Kind(parse, "a share between 0 and 1")


def whole(low: int = 0, high: int | None = None) -> Kind:
    """An integer in [low, high]."""
    largest = MAX_WHOLE if high is None else high

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= largest:
            raise ValueError
        return value

    return Kind(parse, f"a whole number of at least {low}" + (f", at most {high}" if high else ""))


def choice(*names: str, **others: str) -> Kind:
    """One of the names; `others` are other words for some of them."""

    def parse(value: Any) -> str:
        value = others.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return Kind(parse, "one of " + ", ".join(names), names)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _plain_name(value: Any) -> str:
    """A name that cannot leave its directory."""
    allowed = "-_. +=@"
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or value[0] == "-":
        raise ValueError
    if value.strip(". ") != value:
        raise ValueError
    if not all(character.isalnum() or character in allowed for character in value):
        raise ValueError
    if DEVICE.fullmatch(value) or len(os.fsencode(value)) > MAX_NAME_BYTES:
        raise ValueError
    return value


FLAG = Kind(_flag, "true or false", ("true", "false"))
TEXT = Kind(_text, "a text")
NAME = Kind(
    _plain_name,
    f"a plain name: at most {MAX_NAME} letters, digits, spaces and - _ . + = @, begun by no - . or "
    "space and ended by no . or space; none of Windows' own (CON)",
)
PATH = Kind(checked_path, PATH_EXPECTS)


def optional(kind: Kind) -> Kind:
    """The kind, or null."""

    def parse(value: Any) -> Any:
        return None if value is None else kind.parse(value)

    return Kind(parse, f"{kind.expects}, or null")


def either(first: Kind, second: Kind) -> Kind:
    """Whichever of the two kinds takes the value."""

    def parse(value: Any) -> Any:
        try:
            return first.parse(value)
        except ValueError:
            return second.parse(value)

    return Kind(parse, f"{first.expects}, or {second.expects}")


def list_of(kind: Kind, *, at_least: int = 0) -> Kind:
    """A list of the kind."""

    def parse(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) < at_least:
            raise ValueError
        return [kind.parse(item) for item in value]

    return Kind(parse, f"a list, each item {kind.expects}")


def some_of(*names: str) -> Kind:
    """A list of the names, each once; one alone stands for its list, null for an empty one."""
    one = choice(*names)

    def parse(value: Any) -> list[str]:
        if value is None:
            return []
        given = list(value) if isinstance(value, list | tuple) else [value]
        return list(dict.fromkeys(one.parse(each) for each in given))

    return Kind(parse, f"a list, each item {one.expects}, or null", names)


def _distinct_names(value: Any) -> list[str]:
    given = [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(each, str) and each for each in given) or len({*given}) < len(given):
        raise ValueError
    return given


NAMES = Kind(_distinct_names, "a list of names, each once, or one name, or null")
"""One alone stands for its list, null for an empty one."""


def per_layer(kind: Kind) -> Kind:
    """One value for all layers, or a list with one for each."""
    return either(kind, list_of(kind, at_least=1))


_DEEP = re.compile(r"([0-9]{1,6})x([0-9]{1,8})")
"""Depth x width."""


def layer_widths(largest: int) -> Kind:
    """The width of each layer: a list, or depth x width where all are equal."""
    listed = list_of(whole(1, largest))

    def parse(value: Any) -> list[int]:
        if isinstance(value, str):
            deep = _DEEP.fullmatch(value.strip())
            depth, width = map(int, deep.groups()) if deep else (0, 0)
            if not 1 <= depth <= MAX_LAYERS:
                raise ValueError
            value = [width] * depth
        widths: list[int] = listed.parse(value)
        return widths

    return Kind(parse, f"{listed.expects}; or such as 8x64, eight of 64 (of at most {MAX_LAYERS})")


def shown_widths(widths: Sequence[int]) -> str:
    """`8x64` where all are equal, else the list."""
    if len(set(widths)) == 1:
        return f"{len(widths)}x{widths[0]}"
    return f"[{','.join(map(str, widths))}]"


def _statements(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return list(value)


def _combination(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueError
    return value


STATEMENTS = Kind(_statements, "a list")
COMBINATIONS = list_of(Kind(_combination, "such as {activation: sigmoid, init: he_normal}"))


def _seeds(value: Any) -> list[int]:
    """A count of seeds, or the seeds themselves, as a sorted list."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 < value <= MAX_SEEDS:
            raise ValueError
        value = range(value)
    elif not isinstance(value, list | tuple):
        raise ValueError
    return _distinct([whole(high=MAX_SEED).parse(seed) for seed in value])


def _learning_rates(value: Any) -> list[float]:
    """One learning rate or several, as a sorted list."""
    rates = value if isinstance(value, list | tuple) else [value]
    return _distinct([number(0, above=True).parse(rate) for rate in rates])


def _distinct(values: list[Any]) -> list[Any]:
    """The values sorted, if there are any and none comes twice."""
    if not values or len(set(values)) != len(values):
        raise ValueError
    return sorted(values)


def _steps(value: Any) -> list[int]:
    """Distinct numbers of updates, sorted."""
    if not isinstance(value, list | tuple):
        raise ValueError
    return _distinct([whole(1).parse(step) for step in value])


def _pair_points(value: Any) -> int:
    """None at all, or both ends and perhaps some between them."""
    return whole(high=0).parse(value) if value == 0 else whole(2, MAX_PAIR_POINTS).parse(value)


STEPS = Kind(_steps, "a list of distinct whole numbers from 1")
SEEDS = Kind(_seeds, f"a count from 1 to {MAX_SEEDS}, or a list of distinct whole numbers")
PAIR_POINTS = Kind(_pair_points, f"0, or a whole number from 2 to {MAX_PAIR_POINTS}")
RATES = Kind(_learning_rates, "a number above 0, or a list of distinct ones")
