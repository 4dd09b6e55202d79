"""The measures by name: what a claim's effect is, and which keys a claim of it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from study.analysis.claims import contrasts
from study.analysis.claims.cells import RATE
from study.analysis.claims.partners import check_partner, check_reference
from study.analysis.claims.question import Effect, Question
from study.analysis.claims.schema import PREFLIGHT, Claim, check_unit
from study.errors import InputError, unknown

CONTRASTED = ("against", "predicted")


@dataclass(frozen=True)
class Measure:
    """A claim's effect: computed by `effect`, and in `unit`, given the unit of its quantity.

    A claim needs the keys `needs`, may have `takes`, and has one of `one_of`. `words`: how it is
    called in print, before what it is of; `joint`: what stands between its two sides.
    """

    effect: Callable[[Question], Effect]
    words: str
    unit: Callable[[str], str] = lambda unit: unit
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    joint: str = "minus"


MEASURES: Mapping[str, Measure] = {
    "difference": Measure(contrasts.difference, "", one_of=CONTRASTED),
    "ratio": Measure(
        contrasts.ratio, "ratio of ", lambda unit: "decades", one_of=CONTRASTED, joint="over"
    ),
    "difference of differences": Measure(
        contrasts.difference_of_differences,
        "difference of differences of ",
        needs=("against", "elsewhere"),
    ),
    "range over levels": Measure(
        contrasts.range_over_levels, "range of ", needs=("over",), takes=("against",)
    ),
    "largest learning rate": Measure(
        contrasts.largest_rate,
        "largest learning rate by ",
        lambda unit: "decades",
        needs=("against", "within"),
    ),
    "rank correlation": Measure(
        contrasts.rank_correlation, "rank correlation of ", lambda unit: "", needs=("with",)
    ),
}


def check_claim(claim: Claim) -> None:
    """InputError where a claim's measure, its keys and its quantity do not fit together."""
    if claim.measure not in MEASURES:
        raise unknown("measure", claim.measure, MEASURES)
    measure = MEASURES[claim.measure]
    quantity = claim.quantity
    taken = {*measure.needs, *measure.takes, *measure.one_of}
    for key in claim.special:
        if key not in taken:
            choices = ", ".join(sorted(taken))
            raise InputError(f"{key}: measure {claim.measure!r} does not take it, but {choices}")
    for key in measure.needs:
        if key not in claim.special:
            raise InputError(f"it has no {key}, which measure {claim.measure!r} needs")
    if measure.one_of and sum(key in claim.special for key in measure.one_of) != 1:
        names = " or ".join(measure.one_of)
        raise InputError(f"measure {claim.measure!r} takes either {names}: write one of them")
    _check_levels(claim)
    never_negative = claim.measure == "range over levels" and claim.against is None
    if never_negative and claim.expect.words not in ("at least as low within", "same within"):
        raise InputError(
            f"expect: noise alone puts a range above 0, so {claim.expect.words!r} shows nothing; "
            "write at least as low within D"
        )
    is_loss = quantity.metric is not None and quantity.metric.direction == "lower"
    if claim.measure == "largest learning rate" and not is_loss:
        raise InputError(f"of: learning rates are judged by an error or a loss, not by {claim.of}")
    if claim.measure == "largest learning rate" and any(RATE in where for where in claim.wheres):
        raise InputError(
            f"lr: measure {claim.measure!r} takes no learning rate: it judges all of them"
        )
    if claim.predicted == PREFLIGHT and quantity.predicted_by is None:
        raise InputError(
            "predicted: the pre-flight predicts probes at the start, such as "
            f"activation_variance@start, not {claim.of}"
        )
    if isinstance(claim.predicted, str) and claim.predicted != PREFLIGHT:
        check_reference(claim.predicted, quantity)
    if claim.partner is not None:
        check_partner(claim.partner)
    check_unit(claim.expect, *(measure.unit(unit) for unit in quantity.units))


def _check_levels(claim: Claim) -> None:
    """What `against` and `elsewhere` replace must be there, and must change."""
    for key, where in (("against", claim.against), ("elsewhere", claim.elsewhere)):
        for factor, levels in (where or {}).items():
            if factor not in claim.cells:
                raise InputError(f"{key}: {factor} is not in cells; say there which level it has")
            if set(levels) & set(claim.cells[factor]):
                raise InputError(f"{key}: {factor}={levels[0]} is in cells too: the claim would "
                                 "compare cells with themselves")  # fmt: skip
    twice = set(claim.against or ()) & set(claim.elsewhere or ())
    if twice or (claim.over and claim.over in {name for w in claim.wheres[1:] for name in w}):
        name = min(twice) if twice else claim.over
        raise InputError(f"{name} stands in two of against, elsewhere and over: drop one")
