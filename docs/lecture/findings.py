"""The verdicts of the published studies, decided as `study report` decides them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from docs.lecture.entries import PUBLISHED, Pair, Stated
from study.analysis.claims import decide
from study.analysis.claims.decision import measure_words
from study.analysis.claims.schema import parse_claims
from study.analysis.frames import Frames
from study.analysis.parts import Verdict
from study.analysis.sheets.scores import p_text
from study.config.configuration import CONF
from study.config.labels import measured
from study.config.listing import headline
from study.errors import InputError

EXPERIMENTS = CONF / "experiment"
NOT_RUN = "not run yet"
OUTCOMES = ("supported", "refuted", "undecided", "not decidable", NOT_RUN)
"""In the order in which they are counted."""


def stated_claims(folder: Path = EXPERIMENTS) -> dict[str, dict[str, Any]]:
    """The claims of every experiment, by the name of its file; nothing is composed."""
    contents = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for path in sorted(folder.glob("*.yaml"))
    }
    return {
        name: {str(claim["id"]): claim for claim in content.get("claims") or []}
        for name, content in contents.items()
    }


def question(experiment: str) -> str:
    """What an experiment asks, by the headline of its file."""
    return headline("experiment", experiment).partition(": ")[2]


def link(experiment: str) -> str:
    """Its name, leading from a page of docs/ to its file."""
    return f"[`{experiment}`](../conf/experiment/{experiment}.yaml)"


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


def finished_frames(directory: Path) -> Frames | None:
    """A study that is published; None if it is not, or if no cell of it is finished."""
    try:
        return Frames.read(directory)
    except InputError:
        return None


def findings(stated: Stated, folder: Path = PUBLISHED) -> dict[Pair, Finding]:
    """Every claim of every experiment: its verdict, or that it was not run yet."""
    found: dict[Pair, Finding] = {}
    for study, claims in stated.items():
        frames = finished_frames(folder / study)
        decided = zip(decide(frames), frames.ledger.claims, strict=True) if frames else ()
        known = {verdict.id: (verdict, ran) for verdict, ran in decided}
        for name, value in claims.items():
            found[study, name] = (
                _of_verdict(study, *known[name], value) if name in known else _not_run(study, value)
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
    (claim,) = parse_claims([value])
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
