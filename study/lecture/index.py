"""The lecture's claims in tables: the index of their pages, and the README's list of verdicts."""

from study.lecture.entries import Entry, Lecture, Pair
from study.lecture.page import MADE, Findings, findings_of, verdict_of
from study.lecture.tables import table
from study.lecture.verdicts import NOT_RUN, Finding, tally

INTRODUCTION = """\
# The lecture's claims, and what became of them

Each of the {number} claims has a page: the statement, the claims of studies that decide it, their
verdicts with effect, bounds and the smallest effect that matters, and what was found. A study's
claims are fixed in its file before it runs ([how a claim is decided](../claims.md)); what is
refuted or undecided stands here as plainly as what is supported. What the readings say that
nothing here can decide is listed in [uncovered.md](../uncovered.md).

{counts}"""
FURTHER = """\
## Further claims

Claims of the studies that are none of the lecture's."""


def index(lecture: Lecture, findings: Findings) -> str:
    """The whole of docs/claims/README.md."""
    head = INTRODUCTION.format(number=len(lecture.entries), counts=counts(lecture, findings))
    rows = [row for entry in lecture.entries for row in _rows(entry, findings)]
    numbers = ("verdict", "effect [bounds]", "expected", "study")
    parts = [MADE, head, table(("", "claim", *numbers), rows)]
    if further := further_findings(lecture, findings):
        others = [(each.statement, *_numbers(each)) for each in further]
        parts += [FURTHER, table(("claim", *numbers), others)]
    return "\n\n".join(parts) + "\n"


def verdict_list(lecture: Lecture, findings: Findings) -> str:
    """The README's list: a row for each claim, and the first effect that decides it."""
    rows = [_short(entry, findings) for entry in lecture.entries]
    listed = table(("", "claim", "verdict", "effect [bounds]"), rows)
    return f"{listed}\n\n{counts(lecture, findings)}\n"


def counts(lecture: Lecture, findings: Findings) -> str:
    """How many claims of studies decide claims of the lecture, and how they came out.

    One that decides several counts once.
    """
    pairs = dict.fromkeys(pair for entry in lecture.entries for pair in entry.decided_by)
    outcomes = [findings[pair].outcome for pair in pairs if pair in findings]
    ran = [outcome for outcome in outcomes if outcome != NOT_RUN]
    open_entries = [
        entry
        for entry in lecture.entries
        if not entry.exercises
        and all(each.outcome == NOT_RUN for each in findings_of(entry, findings))
    ]
    sentence = f"Decided so far: {tally(ran)}" if ran else "Nothing is decided so far"
    rest = f", {len(open_entries)} of {len(lecture.entries)} not run yet" if open_entries else ""
    several = "a claim may have several verdicts, and claims may share one"
    return f"{sentence} ({several}){rest}."


def further_findings(lecture: Lecture, findings: Findings) -> list[Finding]:
    """What is known of the claims of studies that decide no claim of the lecture."""
    named: set[Pair] = {pair for entry in lecture.entries for pair in entry.decided_by}
    return [each for pair, each in findings.items() if pair not in named]


def _rows(entry: Entry, findings: Findings) -> list[tuple[str, ...]]:
    """A row for the claim itself, and one below it for each that decides it."""
    link = f"[{entry.title}]({entry.file})"
    studies = ", ".join(f"`{study}`" for study in entry.planned)
    first = (str(entry.number), link, verdict_of(entry, findings), "", "", studies)
    return [first, *(("", f"`{f.id}`", *_numbers(f)) for f in findings_of(entry, findings))]


def _numbers(finding: Finding) -> tuple[str, ...]:
    return (finding.outcome, finding.effect_and_bounds, finding.expected, f"`{finding.study}`")


def _short(entry: Entry, findings: Findings) -> tuple[str, ...]:
    link = f"[{entry.title}](docs/claims/{entry.file})"
    effects = [each.effect_and_bounds for each in findings_of(entry, findings)]
    effect = next(filter(None, effects), "")
    return (str(entry.number), link, verdict_of(entry, findings), effect)
