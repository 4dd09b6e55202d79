"""The cells of a study as scores: what the analyses compare, and what they call it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from study.analysis.frames import Frames
from study.analysis.origins import Origin, by_origin
from study.analysis.parts import Sheet, Verdict
from study.config.labels import counted, measured
from study.outputs.factors import cell_level, shared_parts, varying_factors, without_parts
from study.outputs.metrics import METRICS, OF_TASK, Metric
from study.outputs.records import CellRecord
from study.outputs.results import CHOSEN

SHOWN = 100
"""Rows that a sheet shows at most; the note of a longer one says what it leaves out."""


@dataclass(frozen=True)
class Score:
    """A finished cell: `values` {seed: error} at its chosen learning rate.

    `values` is empty where a replica diverged or its error is not finite; `all_values` has them
    nevertheless, infinite where they are not finite.
    """

    cell: CellRecord
    words: str
    values: dict[int, float]
    all_values: dict[int, float]
    num_diverged: int

    @property
    def mean(self) -> float:
        """The mean over seeds; infinite without values."""
        if not self.values:
            return math.inf
        return math.fsum(self.values.values()) / len(self.values)


@dataclass(frozen=True)
class Scores:
    """The cells of one origin, in the ledger's order, by a metric that is better when lower."""

    origin: Origin
    metric: Metric
    cells: tuple[CellRecord, ...]
    alone: bool
    corner: str

    @cached_property
    def scores(self) -> list[Score]:
        """A score for each cell."""
        names = cell_names(self.cells)
        return [score_of(cell, n, self.metric) for cell, n in zip(self.cells, names, strict=True)]

    @cached_property
    def ranked(self) -> list[Score]:
        """The scores that have values, best first; equal ones in the ledger's order."""
        return sorted((score for score in self.scores if score.values), key=lambda s: s.mean)

    def by(self, name: str) -> "Scores":
        """The same cells by another metric."""
        return replace(self, metric=_metric(self.origin, name))

    @property
    def where(self) -> str:
        """The origin in words, where the study has several; else empty."""
        return "" if self.alone else f" ({self.origin.words})"

    def suffix(self, place: int) -> str:
        """What tells the files of several origins apart."""
        return "" if self.alone else f"-{place + 1}"


def all_scores(cells: Sequence[CellRecord], name: str = "test_error") -> list[Scores]:
    """Scores for each origin of the finished cells."""
    groups = by_origin(cells)
    return [
        Scores(
            origin,
            _metric(origin, name),
            tuple(found),
            len(groups) == 1,
            cell_corner(found),
        )
        for origin, found in groups.items()
    ]


def _metric(origin: Origin, name: str) -> Metric:
    return OF_TASK.get(origin.task, {}).get(name, METRICS[name])


def score_of(cell: CellRecord, words: str, metric: Metric, lr: float | None = None) -> Score:
    """The score of a finished cell at its chosen learning rate, or at `lr`."""
    found = cell.finished.value(metric, CHOSEN if lr is None else lr)
    values = dict(found.values)
    return Score(cell, words, values if found.is_whole else {}, values, found.num_diverged)


def cell_corner(cells: Sequence[CellRecord]) -> str:
    """The header over names of cells, such as `activation / init / norm`."""
    return " / ".join(varying_factors(cells)) or "cell"


def cell_names(cells: Sequence[CellRecord]) -> list[str]:
    """Each cell by the levels that vary over `cells`, without what all of them share."""
    factors = varying_factors(cells)
    if not factors:
        return [cell.directory for cell in cells]
    columns = [short_levels([cell_level(cell, factor) for cell in cells]) for factor in factors]
    return [" / ".join(levels) for levels in zip(*columns, strict=True)]


def short_levels(levels: Sequence[str]) -> list[str]:
    """The levels without the `key=value` parts that every one of them has."""
    parts = shared_parts(list(dict.fromkeys(levels)))
    return [without_parts(level, parts) for level in levels]


def interval_text(low: float | None, high: float | None, text: Callable[[float], str]) -> str:
    """`[low, high]`, or `–` where there is no interval."""
    return "–" if low is None or high is None else f"[{text(low)}, {text(high)}]"


def signed(metric: Metric, number: float) -> str:
    """A difference in the metric's unit, with its sign."""
    text = metric.text(number)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def p_text(p: float | None) -> str:
    """A p value with two significant digits."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def count_text(number: float) -> str:
    """A number of seeds, epochs or updates; `∞` for none that is enough."""
    return "∞" if math.isinf(number) else f"{number:,.0f}"


def percent(share: float) -> str:
    """A share as `12.3 %`."""
    return f"{100 * share + 0.0:.1f} %"


def unit_words(metric: Metric) -> str:
    """Such as `test error in %`."""
    return f"{metric.label} in {metric.unit}" if metric.unit else metric.label


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[0].upper() + text[1:]


def diverged_note(num_cells: int) -> list[str]:
    """The note of a sheet that has no row for cells with diverged replicas."""
    verb = "is" if num_cells == 1 else "are"
    whole = f"{counted(num_cells, 'cell')} with diverged replicas {verb} left out."
    return [whole] if num_cells else []


def left_out(total: int, what: str) -> list[str]:
    """The note of a sheet that shows the first SHOWN of `total` rows."""
    return [f"The first {SHOWN} of {total} {what} are shown."] if total > SHOWN else []


# What the words and marks of a report mean.


TERMS = {
    "cell": "one combination of levels: one configuration, trained for every seed and learning "
    "rate",
    "replica": "one network of a cell: one seed at one learning rate",
    "chosen learning rate": "the one with the lowest validation error averaged over seeds; every "
    "number of a cell is taken there unless a table says otherwise",
    "95 % interval": "Student's t interval of the mean over seeds. It is conditional on one test "
    "set and one split: another split would move all cells, and on 10,000 test images an error of "
    "1.5 % has a standard error of 0.12 points by the choice of images alone",
    "paired": "two cells are compared seed by seed: a seed fixes the initial weights' draws and "
    "the order of batches, so what the two share cancels",
    "Welch's interval": "that of a difference as if the seeds did not pair the cells",
    "correlation": "of two cells over seeds; where it is positive, pairing shortens the interval",
    "p (Holm)": "p of a t test, corrected for all comparisons of its family (Holm 1979)",
    "distinguishable": "the 95 % t interval of the paired difference leaves 0 out (uncorrected)",
    "diverged": "the last epoch's training loss is not finite, or over 1,000 times that before "
    "training; such a cell shows a median and a count, and no interval",
    "share of variance": "how much of the spread between cells a factor accounts for; an "
    "interaction is what two factors do together beyond what each does alone",
    "good region": "the learning rates whose validation error is near that of the best, in powers "
    "of ten (decades)",
    "time to target": "until the validation error first reaches the target; a replica that never "
    "does counts as infinite, and the median over seeds is given",
}


def glossary(frames: Frames) -> Sheet:
    """The terms, then the metrics as they are of the study's task."""
    tasks = {cell.finished.task for cell in frames.finished}
    own = OF_TASK.get(tasks.pop(), {}) if len(tasks) == 1 else {}
    metrics = [(name, own.get(name, metric).help) for name, metric in METRICS.items()]
    return Sheet(
        name="glossary",
        title="Glossary",
        caption="What the words of this report mean.",
        columns=("term", "meaning"),
        rows=(*TERMS.items(), *metrics),
    )


# The verdicts on a study's claims, as a table.


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
