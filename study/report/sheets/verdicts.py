"""The verdicts on a study's claims, as a table."""

from collections.abc import Sequence

from study.report.parts import Sheet, Verdict
from study.report.sheets.scores import p_text
from study.words import measured

COLUMNS = (
    "claim",
    "statement",
    "verdict",
    "effect",
    "bounds",
    "p (Holm)",
    "seeds",
    "smallest that matters",
    "published",
    "where",
    "rerun",
)


def verdict_sheet(verdicts: Sequence[Verdict]) -> Sheet:
    """A row for each claim."""
    return Sheet(
        name="verdicts",
        title="Verdicts",
        caption="What the study says of the claims in its experiment's file.",
        columns=COLUMNS,
        rows=tuple(map(_row, verdicts)),
        notes=(
            "bounds: Holm-adjusted 95 % bounds of the effect over the claims of the file; p: "
            "Holm-adjusted. Without a spread over seeds there is neither, nor where numbers are "
            "only known to be exceeded.",
            "An effect of at least d: supported if the lower bound is above 0 and the effect at "
            "least d, refuted if the upper bound is below d. At least as well: supported if the "
            "lower bound is above -d, refuted if the upper is below -d. The same: supported if two "
            "one-sided tests put it within ±d, refuted if the interval is outside. Else undecided.",
        ),
    )


def _row(verdict: Verdict) -> tuple[str, ...]:
    outcome = f"{verdict.outcome}: {verdict.reason}" if verdict.reason else verdict.outcome
    known = verdict.low is not None and verdict.high is not None
    return (
        verdict.id,
        verdict.statement,
        outcome,
        "–" if verdict.estimate is None else measured(verdict.estimate, verdict.unit),
        f"[{verdict.low:.4g}, {verdict.high:.4g}]" if known else "–",
        p_text(verdict.p),
        str(verdict.num_seeds),
        measured(verdict.smallest, verdict.unit),
        verdict.published or "–",
        verdict.source,
        verdict.command,
    )
