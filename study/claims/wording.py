"""What a claim's effect is, in words: `test error: norm=none minus norm=batch; init=normal`."""

from study.claims.cells import where_text
from study.claims.measures import MEASURES
from study.claims.quantity import Quantity
from study.claims.schema import PREFLIGHT, Claim


def measure_words(claim: Claim, quantity: Quantity) -> str:
    """The effect in the direction in which it is counted, and the levels of the cells."""
    parts = [f"{MEASURES[claim.measure].words}{quantity.label}"]
    if claim.partner:
        parts[0] += f" with {claim.partner}"
    if claim.over:
        parts[0] += f" over the levels of {claim.over}"
    if claim.within is not None:
        parts[0] += f", within {claim.within:g} {quantity.unit}".rstrip() + " of the best"
    if sides := _sides(claim):
        parts[0] += f": {sides}"
    elsewhere = claim.elsewhere or {}
    if elsewhere:
        parts.append(f"that with {_of(claim, elsewhere)} minus that with {where_text(elsewhere)}")
    named = {*(claim.against or ()), *elsewhere}
    rest = {factor: levels for factor, levels in claim.cells.items() if factor not in named}
    return "; ".join([*parts, where_text(rest)] if rest else parts)


def _sides(claim: Claim) -> str:
    if claim.against:
        first, second = _of(claim, claim.against), where_text(claim.against)
    elif claim.predicted is not None:
        number = _predicted_words(claim.predicted)
        first, second = "measured", f"predicted ({number})"
    else:
        return ""
    if claim.expect.sign < 0:
        first, second = second, first
    joint = {"ratio": "over", "disagreement": "and"}.get(claim.measure, "minus")
    return f"{first} {joint} {second}"


def _predicted_words(predicted: float | str) -> str:
    if isinstance(predicted, float):
        return f"{predicted:g}"
    return "the pre-flight's" if predicted == PREFLIGHT else predicted


def _of(claim: Claim, replaced: object) -> str:
    """The levels of `cells` that are replaced."""
    assert isinstance(replaced, dict)
    return where_text({factor: claim.cells[factor] for factor in replaced})
