"""What a claim expects of its effect, in a sentence: `lower by 5 points`."""

import math
import re
from dataclasses import dataclass

from study.errors import InputError
from study.kinds import shown
from study.statistics.verdicts import Kind
from study.words import plural

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
    smallest = _positive(size)
    if smallest is None:
        raise InputError(
            f"expect: {shown(value)!r}: {size} is no number above 0, the smallest difference that "
            "matters"
        )
    return Expectation(words, smallest, plural(unit or ""))


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def check_unit(expectation: Expectation, unit: str, *others: str) -> None:
    """InputError unless the expectation is in the unit of its measure, or in one of the others."""
    if expectation.unit in (unit, *others):
        return
    right = f"{expectation.words} {expectation.smallest:.12g} {unit}".strip()
    given = repr(expectation.unit) if expectation.unit else "no unit"
    wanted = f"in {unit}" if unit else "a bare number"
    raise InputError(f"expect: it has {given}, but the effect is {wanted}: write {right!r}")
