"""The claims of an experiment's file: what each must say, read into records."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.analysis.claims.partners import is_of_data
from study.analysis.claims.quantities import find_quantity
from study.analysis.claims.quantity import Quantity
from study.analysis.statistics.verdicts import Kind
from study.config.configuration import plain
from study.config.keys import KEYS
from study.config.labels import plural
from study.errors import InputError, shown, unknown
from study.outputs.factors import shown_level

# What a claim expects of its effect, in a sentence: `lower by 5 points`.


KINDS: dict[str, Kind] = {
    "lower by": "greater",
    "higher by": "greater",
    "at least as low within": "at least",
    "at least as high within": "at least",
    "same within": "same",
}
"""The words of an expectation, and the rule that decides it."""
_SENTENCE = re.compile(rf"({'|'.join(KINDS)}) (\S+)(?: ([a-z][a-z ]*))?")


@dataclass(frozen=True)
class Expectation:
    """A direction, the smallest difference that matters, and its unit."""

    words: str
    smallest: float
    unit: str

    @property
    def kind(self) -> Kind:
        """The rule that decides."""
        return KINDS[self.words]

    @property
    def sign(self) -> int:
        """-1 where a negative difference speaks for the claim, else 1."""
        return -1 if " low" in f" {self.words}" else 1


def parse_expectation(value: object) -> Expectation:
    """Reads such as `lower by 5 points`; InputError says how it is written."""
    found = _SENTENCE.fullmatch(" ".join(value.split())) if isinstance(value, str) else None
    if found is None:
        choices = ", ".join(f"{words} D" for words in KINDS)
        raise InputError(
            f"expect: {shown(value)!r} cannot be read; write one of: {choices}, where D is the "
            "smallest difference that matters with its unit, as in lower by 5 points"
        )
    words, size, unit = found.groups()
    try:
        smallest = float(size)
    except ValueError:
        smallest = math.nan
    if not 0 < smallest < math.inf:
        raise InputError(
            f"expect: {shown(value)!r}: {size} is no number above 0, the smallest difference that "
            "matters"
        )
    return Expectation(words, smallest, plural(unit or ""))


def check_unit(expectation: Expectation, unit: str, *others: str) -> None:
    """InputError unless the expectation is in the unit of its measure, or in one of the others."""
    if expectation.unit in (unit, *others):
        return
    right = f"{expectation.words} {expectation.smallest:.12g} {unit}".strip()
    given = repr(expectation.unit) if expectation.unit else "no unit"
    wanted = f"in {unit}" if unit else "a bare number"
    raise InputError(f"expect: it has {given}, but the effect is {wanted}: write {right!r}")


Where = Mapping[str, tuple[str, ...]]
"""{factor: the levels that a cell may have}."""

REQUIRED = ("id", "statement", "source", "measure", "of", "cells", "expect")
OPTIONAL = ("published", "layer", "target")
SPECIAL = ("against", "predicted", "elsewhere", "over", "within", "with")
"""Keys that only some measures take."""
PREFLIGHT = "preflight"
REFERENCES = "references."
_ID = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


@dataclass(frozen=True)
class Claim:
    """A statement, and the comparison that decides it.

    `of` is measured in the `cells`, chosen by their levels; `against` and `elsewhere` are the same
    cells but for the levels that they name. `predicted` is a number in the unit of `of`, or
    PREFLIGHT, or the place of a number in each cell's record, `references.ridge.test_error`.
    `partner` (`with` in the file) is the other quantity of a correlation, `over` the factor of a
    range, `within` the distance from the best error, `target` the error to reach: both in percent,
    where errors are shares.
    """

    id: str
    statement: str
    source: str
    measure: str
    of: str
    cells: Where
    expect: Expectation
    published: str = ""
    layer: str | None = None
    target: float | None = None
    against: Where | None = None
    predicted: float | str | None = None
    elsewhere: Where | None = None
    over: str | None = None
    within: float | None = None
    partner: str | None = None

    @property
    def wheres(self) -> tuple[Where, ...]:
        """Every choice of levels as it is written, that of `cells` first."""
        return tuple(where for where in (self.cells, self.against, self.elsewhere) if where)

    @property
    def is_of_data(self) -> bool:
        """Whether an error or a loss stands in it: of other images it would be another."""
        return self.quantity.of_data or (self.partner is not None and is_of_data(self.partner))

    @property
    def compared(self) -> tuple[tuple[Where, ...], ...]:
        """The choices of levels whose numbers are set against each other, group by group.

        A difference of differences has two groups: each of its differences.
        """
        here = (self.cells, {**self.cells, **(self.against or {})})
        if self.elsewhere is None:
            return (here,)
        return (here, tuple({**where, **self.elsewhere} for where in here))

    @property
    def special(self) -> tuple[str, ...]:
        """The keys of SPECIAL that it has."""
        return tuple(key for key in SPECIAL if getattr(self, _field(key)) is not None)

    @property
    def quantity(self) -> Quantity:
        """What is measured; InputError where nothing is called so."""
        return find_quantity(self.of, layer=self.layer, target=self.target)


def parse_claims(values: Sequence[Any]) -> list[Claim]:
    """The claims of a file; InputError names the claim and the key that is wrong."""
    claims: dict[str, Claim] = {}
    for place, value in enumerate(values, 1):
        claim = parse_claim(value, place)
        if claim.id in claims:
            raise InputError(f"claim {claim.id}: another claim has this id; give each its own")
        claims[claim.id] = claim
    return list(claims.values())


def parse_claim(value: Any, place: int = 1) -> Claim:
    """One claim; InputError calls it by its id, or by its place in the file, from 1."""
    name = claim_name(value, place)
    if not isinstance(value, Mapping):
        raise InputError(f"{name}: {shown(value)!r} is no claim: a claim has the keys "
                         f"{', '.join(REQUIRED)}")  # fmt: skip
    try:
        keys = (*REQUIRED, *OPTIONAL, *SPECIAL)
        for key in value:
            if key not in keys:
                raise unknown("key", key, keys)
        missing = [key for key in REQUIRED if value.get(key) is None]
        if missing:
            raise InputError(f"it has no {missing[0]}: a claim has the keys {', '.join(REQUIRED)}")
        given = {key: each for key, each in value.items() if each is not None}
        return Claim(
            **{_field(key): _READ.get(key, _text)(key, each) for key, each in given.items()}
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def claim_name(value: Any, place: int) -> str:
    """`claim ID`, or the claim's place in the file where it has no id."""
    name = value.get("id") if isinstance(value, Mapping) else None
    return f"claim {name if isinstance(name, str) and _ID.fullmatch(name) else place}"


def _field(key: str) -> str:
    return "partner" if key == "with" else key


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}: {shown(value)!r} is no text")
    return " ".join(value.split())


def _id(key: str, value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InputError(f"id: {shown(value)!r}: write it in small letters, digits, _ and -")
    return value


def _where(key: str, value: Any) -> Where:
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{key}: {shown(value)!r}: write such as {{norm: batch, init: normal}}")
    where = {}
    for factor, levels in value.items():
        several = isinstance(levels, list | tuple) and not _is_value(str(factor), levels)
        if several and not levels:
            raise InputError(f"{factor}: [] names no level")
        each = levels if several else [levels]
        where[str(factor)] = tuple(shown_level(str(factor), plain(level)) for level in each)
    if len(where.get("lr", ())) > 1:
        raise InputError(f"{key}: a claim is about one learning rate at a time, or the chosen one")
    return where


def _is_value(factor: str, levels: Any) -> bool:
    """Whether a list is one value of a key, as [64, 64] is of model.widths."""
    try:
        KEYS[factor].kind.parse(levels)
    except (KeyError, ValueError):
        return False
    return True


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{key}: {shown(value)!r} is no number")
    return float(value)


def _prediction(key: str, value: Any) -> float | str:
    if value == PREFLIGHT or (isinstance(value, str) and value.startswith(REFERENCES)):
        return str(value)
    try:
        return _number(key, value)
    except InputError as error:
        words = f"{PREFLIGHT}, nor such as {REFERENCES}ridge.test_error"
        raise InputError(f"{error}, and not {words}") from None


_READ: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("cells", "against", "elsewhere"), _where),
    **dict.fromkeys(("within", "target"), _number),
    "id": _id,
    "predicted": _prediction,
    "layer": lambda key, value: str(value),
    "expect": lambda key, value: parse_expectation(value),
}
