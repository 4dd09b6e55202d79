"""The rule that turns a family of estimated effects into verdicts, with the bounds it used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from study.statistics.corrections import Bounds, bounds_at, holm, holm_steps, lower_p, upper_p

Kind = Literal["greater", "at least", "same"]


class Effect(NamedTuple):
    """A claim's estimate (in the claimed direction), its error, and the smallest that matters."""

    estimate: float
    standard_error: float
    degrees: int
    smallest: float = 0.0
    kind: Kind = "greater"


@dataclass(frozen=True)
class Judgement:
    """`p`: Holm-adjusted and two-sided; at most alpha exactly where the bounds pass."""

    outcome: Literal["supported", "refuted", "undecided"]
    low: float
    high: float
    p: float


def judge(effects: Sequence[Effect], *, alpha: float = 0.05) -> list[Judgement]:
    """A verdict on each claim of a family (shape [claims]), in the given order.

    With d = `smallest` and bounds that Holm adjusts over the family:

    - greater: supported if low > 0 and estimate >= d; refuted if high < d
    - at least ("as well as"): supported if low > -d; refuted if high < -d
    - same: supported if both bounds are within +-d (TOST); refuted if both are on one side of it

    Supporting every claim is one family of tests, refuting every claim another, each at alpha / 2:
    any wrong verdict in a file is at most alpha likely. Where a claim of sameness is refuted, its
    bounds are Bonferroni-adjusted for the two sides; where it is undecided they are the wider pair.
    `p` is of what supporting rejects. ValueError for a smallest effect below 0, or of 0 for same.

    Source: Holm (1979), Scandinavian Journal of Statistics 6; Schuirmann (1987), A comparison of
    the two one-sided tests procedure, J. Pharmacokinetics and Biopharmaceutics 15.
    """
    for effect in effects:
        if effect.smallest < 0 or (effect.kind == "same" and not effect.smallest):
            least = "above 0" if effect.kind == "same" else "0 or above"
            raise ValueError(f"smallest effect {effect.smallest} of kind {effect.kind!r}: {least}")
    support, against = [_support_p(e) for e in effects], [_against_p(e) for e in effects]
    adjusted = [min(1.0, 2 * p) for p in holm(support)]
    ups, downs = holm_steps(support, alpha / 2), holm_steps(against, alpha / 2)
    return [
        _judge(effect, alpha / up, alpha / down, p)
        for effect, up, down, p in zip(effects, ups, downs, adjusted, strict=True)
    ]


def _support_p(effect: Effect) -> float:
    if effect.kind == "greater":
        return upper_p(*effect[:3])
    above = upper_p(*effect[:3], -effect.smallest)
    return above if effect.kind == "at least" else max(above, lower_p(*effect[:3], effect.smallest))


def _against_p(effect: Effect) -> float:
    if effect.kind == "greater":
        return lower_p(*effect[:3], effect.smallest)
    below = lower_p(*effect[:3], -effect.smallest)
    if effect.kind == "at least":
        return below
    return min(1.0, 2 * min(below, upper_p(*effect[:3], effect.smallest)))


def _judge(effect: Effect, up: float, down: float, p: float) -> Judgement:
    """The verdict when supporting is tested at `up`, refuting at `down` (both two-sided)."""
    d, row = effect.smallest, effect[:3]
    if effect.kind == "same":
        return _judge_same(d, bounds_at(*row, up), bounds_at(*row, down / 2), p)
    low, high = bounds_at(*row, up).low, bounds_at(*row, down).high
    threshold = -d if effect.kind == "at least" else 0.0
    enough = effect.kind == "at least" or effect.estimate >= d
    if low > threshold and enough:
        return Judgement("supported", low, high, p)
    refuted = high < (-d if effect.kind == "at least" else d)
    return Judgement("refuted" if refuted else "undecided", low, high, p)


def _judge_same(margin: float, within: Bounds, outside: Bounds, p: float) -> Judgement:
    if -margin < within.low and within.high < margin:
        return Judgement("supported", *within, p)
    if outside.low > margin or outside.high < -margin:
        return Judgement("refuted", *outside, p)
    return Judgement("undecided", min(within.low, outside.low), max(within.high, outside.high), p)
