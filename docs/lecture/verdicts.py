"""The verdicts of the published studies, decided as `study report` decides them."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from docs.lecture.entries import ROOT, Entry, Lecture, Pair
from study.analysis.claims import decide
from study.analysis.claims.decision import measure_words
from study.analysis.claims.schema import Claim, parse_claims
from study.analysis.frames import Frames
from study.analysis.parts import Verdict
from study.analysis.sheets.scores import p_text
from study.config.configuration import CONF
from study.config.labels import measured
from study.config.listing import headline
from study.errors import InputError

# The claims that the files in conf/experiment state, read without composing anything.


EXPERIMENTS = CONF / "experiment"

Stated = Mapping[str, Mapping[str, Any]]
"""{study: {claim's id: the claim as the file writes it}}."""


def stated_claims(folder: Path = EXPERIMENTS) -> dict[str, dict[str, Any]]:
    """The claims of every experiment, by the name of its file."""
    return {path.stem: _claims(path) for path in sorted(folder.glob("*.yaml"))}


def question(experiment: str) -> str:
    """What an experiment asks, by the headline of its file."""
    return headline("experiment", experiment).partition(": ")[2]


def link(experiment: str) -> str:
    """Its name, leading from a page of docs/ to its file."""
    return f"[`{experiment}`](../conf/experiment/{experiment}.yaml)"


def parsed(value: Any) -> Claim:
    """A claim as a record; InputError where it cannot be read."""
    return parse_claims([value])[0]


def _claims(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {str(claim["id"]): claim for claim in content.get("claims") or []}


PUBLISHED = ROOT / "outputs/published"
NOT_RUN = "not run yet"
OUTCOMES = ("supported", "refuted", "undecided", "not decidable", NOT_RUN)
"""In the order in which they are counted."""


@dataclass(frozen=True)
class Finding:
    """What is known of one claim of a study, as texts; `effect` and `bounds` may be empty.

    `reason`: what the outcome hangs on, if there is anything to say.
    """

    study: str
    id: str
    outcome: str
    statement: str
    source: str
    published: str
    measured: str
    expected: str
    effect: str = ""
    bounds: str = ""
    p: str = ""
    num_seeds: int = 0
    reason: str = ""

    @property
    def effect_and_bounds(self) -> str:
        """`1.28 decades a layer [1.2, 1.37]`."""
        return " ".join(filter(None, (self.effect, self.bounds)))


def published_verdicts(folder: Path, stated: Stated) -> dict[Pair, tuple[Verdict, Any]]:
    """{(study, claim): its verdict, and the claim as it was fixed before the run}."""
    found = {}
    for study in stated:
        for verdict, claim in _verdicts(folder / study):
            found[study, verdict.id] = verdict, claim
    return found


def _verdicts(directory: Path) -> list[tuple[Verdict, Any]]:
    frames = finished_frames(directory)
    return list(zip(decide(frames), frames.ledger.claims, strict=True)) if frames else []


def finished_frames(directory: Path) -> Frames | None:
    """A study that is published; None if it is not, or if no cell of it is finished."""
    try:
        return Frames.read(directory)
    except InputError:
        return None


def findings(stated: Stated, folder: Path = PUBLISHED) -> dict[Pair, Finding]:
    """Every claim of every experiment: its verdict, or that it was not run yet."""
    decided = published_verdicts(folder, stated)
    found: dict[Pair, Finding] = {}
    for study, claims in stated.items():
        for name, value in claims.items():
            known = decided.get((study, name))
            found[study, name] = (
                _of_verdict(study, *known, value) if known else _not_run(study, value)
            )
    return found


@functools.cache
def published_findings() -> Mapping[Pair, Finding]:
    """`findings` of conf/experiment and outputs/published, read once a process."""
    return findings(stated_claims())


def of_study(study: str, known: Mapping[Pair, Finding]) -> list[Finding]:
    """The findings of one study, in the order of its file."""
    return [finding for (name, _), finding in known.items() if name == study]


def _of_verdict(study: str, verdict: Verdict, ran: Any, value: Any) -> Finding:
    """A verdict in words; `ran` is the claim of the launch, `value` that of the file now."""
    known = verdict.low is not None and verdict.high is not None
    changed = "" if ran == value else "the file states it otherwise since it ran"
    return Finding(
        study=study,
        id=verdict.id,
        outcome=verdict.outcome,
        statement=verdict.statement,
        source=verdict.source,
        published=verdict.published,
        measured=verdict.measure,
        expected=f"{verdict.kind} {measured(verdict.smallest, verdict.unit)}",
        effect="" if verdict.estimate is None else measured(verdict.estimate, verdict.unit),
        bounds=f"[{verdict.low:.4g}, {verdict.high:.4g}]" if known else "",
        p=p_text(verdict.p) if verdict.p is not None else "",
        num_seeds=verdict.num_seeds,
        reason="; ".join(filter(None, (verdict.reason, changed))),
    )


def _not_run(study: str, value: Mapping[str, Any]) -> Finding:
    claim = parsed(value)
    return Finding(
        study=study,
        id=claim.id,
        outcome=NOT_RUN,
        statement=claim.statement,
        source=claim.source,
        published=claim.published,
        measured=measure_words(claim, claim.quantity),
        expected=f"{claim.expect.words} {measured(claim.expect.smallest, claim.expect.unit)}",
    )


def tally(outcomes: list[str]) -> str:
    """`supported` where all are, else `2 supported, 1 undecided`."""
    counts = {name: outcomes.count(name) for name in OUTCOMES if name in outcomes}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{number} {name}" for name, number in counts.items())


# Whether lecture.yaml and the files in conf/experiment speak of the same claims.


EXERCISES = ROOT / "docs/exercises"


def inconsistencies(
    lecture: Lecture,
    stated: Stated,
    exercises: Path = EXERCISES,
    published: Path = PUBLISHED,
) -> list[str]:
    """A line for each claim that only one side names, and for each study or page that is not there.

    A claim that the file of a published study states must decide a claim of the lecture or be one
    of `further`; a study is `planned` until its file states claims.
    """
    lines = [line for study, claim in lecture.pairs if (line := _missing(study, claim, stated))]
    for entry in lecture.entries:
        lines += [f"lecture.yaml: entry {entry.number}: {line}" for line in _of(entry, stated)]
        absent = [name for name in entry.exercises if not (exercises / f"{name}.md").exists()]
        lines += [f"lecture.yaml: entry {entry.number}: no page {name}.md" for name in absent]
    named = set(lecture.pairs)
    for study, claims in stated.items():
        if not (published / study).exists():
            continue
        lines += [
            f"conf/experiment/{study}.yaml: the claim {claim} stands in no entry of "
            "docs/claims/lecture.yaml, nor under `further`"
            for claim in claims
            if (study, claim) not in named
        ]
    return lines


def _missing(study: str, claim: str, stated: Stated) -> str:
    if study not in stated:
        return f"lecture.yaml: no conf/experiment/{study}.yaml, which is to state {claim}"
    if claim not in stated[study]:
        return f"lecture.yaml: conf/experiment/{study}.yaml states no claim {claim}"
    return ""


def _of(entry: Entry, stated: Stated) -> Iterator[str]:
    for study in entry.planned:
        if stated.get(study):
            yield f"{study} is planned no more: name those of its claims that decide this one"
    if not (entry.decided_by or entry.planned or entry.exercises):
        yield "nothing decides it, and no study is planned"
