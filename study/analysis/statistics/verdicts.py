"""The rule that turns a family of estimated effects into verdicts, with the bounds it used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from study.analysis.statistics.corrections import (
    Bounds,
    bounds_at,
    holm,
    holm_steps,
    lower_p,
    upper_p,
)

Kind = Literal["greater", "at least", "same"]


class Effect(NamedTuple):
    """A claim's estimate (in the claimed direction), its error, and the smallest that matters.

    `standard_error` is 0 where all seeds have one effect. `is_bound`: of some seeds it is only
    known that the true effect lies beyond the number (an error that no epoch reached).
    """

    estimate: float
    standard_error: float
    degrees: float
    smallest: float = 0.0
    kind: Kind = "greater"
    is_bound: bool = False

    @property
    def is_testable(self) -> bool:
        """Whether its spread is known, and there is one."""
        return self.standard_error > 0 and not self.is_bound


@dataclass(frozen=True)
class Judgement:
    """`p`: Holm-adjusted and two-sided; at most alpha exactly where the bounds pass.

    Where the effect's spread is not known, or 0, there are neither bounds nor p.
    """

    outcome: Literal["supported", "refuted", "undecided"]
    low: float | None = None
    high: float | None = None
    p: float | None = None


def judge(
    effects: Sequence[Effect], *, family: int | None = None, alpha: float = 0.05
) -> list[Judgement]:
    """A verdict on each claim of a family (shape [claims]), in the given order.

    With d = `smallest` and bounds that Holm adjusts over the family:

    - greater: supported if low > 0 and estimate >= d; refuted if high < d
    - at least ("as well as"): supported if low > -d; refuted if high < -d
    - same: supported if both bounds are within +-d (TOST); refuted if both are on one side of it

    Supporting every claim is one family of tests, refuting every claim another, each at alpha / 2:
    any wrong verdict in a file is at most alpha likely. Where a claim of sameness is refuted, its
    bounds are Bonferroni-adjusted for the two sides; where it is undecided they are the wider pair.
    `p` is of what supporting rejects. `family`: how many claims there are, those without an effect
    yet among them; each counts as a test with p = 1, so that bounds never widen when one gets its
    effect. ValueError for a smallest effect below 0, or of 0 for same.

    Equal effects of all seeds leave a claim undecided: a t interval needs their spread, and of so
    few seeds a spread of 0 says only that the measure's steps are wider than it. So do numbers that
    are only bounds: what is not seen is missing from the spread, and a t bound would be crossed too
    often (normal effects cut half a standard deviation above 0, 5 claims of 5 seeds: 8 % of files).

    Source: Holm (1979), Scandinavian Journal of Statistics 6; Schuirmann (1987), A comparison of
    the two one-sided tests procedure, J. Pharmacokinetics and Biopharmaceutics 15.
    """
    for effect in effects:
        if effect.smallest < 0 or (effect.kind == "same" and not effect.smallest):
            least = "above 0" if effect.kind == "same" else "0 or above"
            raise ValueError(f"smallest effect {effect.smallest} of kind {effect.kind!r}: {least}")
    unmeasured = [1.0] * ((family or len(effects)) - len(effects))
    support = [*map(_support_p, effects), *unmeasured]
    against = [*map(_against_p, effects), *unmeasured]
    adjusted = [min(1.0, 2 * p) for p in holm(support)]
    ups, downs = holm_steps(support, alpha / 2), holm_steps(against, alpha / 2)
    return [
        _judge(effect, alpha / up, alpha / down, p)
        for effect, up, down, p in zip(effects, ups, downs, adjusted, strict=False)
    ]


def _support_p(effect: Effect) -> float:
    margin = 0.0 if effect.kind == "greater" else effect.smallest
    above = _above_p(effect, -margin)
    return max(above, _below_p(effect, margin)) if effect.kind == "same" else above


def _against_p(effect: Effect) -> float:
    if effect.kind == "greater":
        return _below_p(effect, effect.smallest)
    below = _below_p(effect, -effect.smallest)
    if effect.kind == "at least":
        return below
    return min(1.0, 2 * min(below, _above_p(effect, effect.smallest)))


def _above_p(effect: Effect, threshold: float) -> float:
    """Of effect <= threshold; 1 where nothing can reject that."""
    return upper_p(*effect[:3], threshold) if effect.is_testable else 1.0


def _below_p(effect: Effect, threshold: float) -> float:
    """Of effect >= threshold; 1 where nothing can reject that."""
    return lower_p(*effect[:3], threshold) if effect.is_testable else 1.0


def _judge(effect: Effect, up: float, down: float, p: float) -> Judgement:
    """The verdict when supporting is tested at `up`, refuting at `down` (both two-sided)."""
    if not effect.is_testable:
        return Judgement("undecided")
    d = effect.smallest
    if effect.kind == "same":
        return _judge_same(d, bounds_at(*effect[:3], up), bounds_at(*effect[:3], down / 2), p)
    low, high = bounds_at(*effect[:3], up).low, bounds_at(*effect[:3], down).high
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
