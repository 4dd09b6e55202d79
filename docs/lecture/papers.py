"""docs/published.md: what papers print beside what the experiments named after them measured."""

import re

from docs.lecture.entries import PUBLISHED
from docs.lecture.experiments import paragraph
from docs.lecture.findings import (
    EXPERIMENTS,
    NOT_RUN,
    finished_frames,
    link,
    of_study,
    published_findings,
    question,
    stated_claims,
)
from study.analysis.published import published_sheets
from study.console import sentence_table
from study.errors import InputError

_NUMBERS = ("setting", "theirs", "our cell", "ours", "difference")
_CLAIMS = ("claim", "published", "ours [bounds]", "expected", "verdict")


def papers() -> list[str]:
    """The experiments that set a paper's numbers beside ours."""
    return [name for name in stated_claims() if name.startswith("paper_")]


def section(study: str) -> str:
    """A paper: what differs from its protocol, its errors beside ours, its claims and verdicts."""
    title = question(study)
    text = (EXPERIMENTS / f"{study}.yaml").read_text(encoding="utf-8")
    differs = paragraph(text, DIFFERS)
    told = [*_numbers(study, paper_of(title)), *_claims(study)] or ["Not run yet."]
    return "\n\n".join([f"## {title}", f"{link(study)}. {differs}", *told])


DIFFERS = "Not the paper's protocol"


def paper_of(title: str) -> str:
    """`Glorot & Bengio 2010` of `Glorot & Bengio 2010, table 1: how much ...?`."""
    found = re.match(r".*?\b\d{4}\b", title)
    if not found:
        raise InputError(f"{title!r} names no paper: begin with its authors and year")
    return found[0]


def _numbers(study: str, paper: str) -> list[str]:
    """A table of test errors of a paper, if it prints any of cells like the study's."""
    frames = finished_frames(PUBLISHED / study)
    sheets = published_sheets(frames.finished) if frames else []
    rows = [row for sheet in sheets for row in sheet.rows if row[0].startswith(paper)]
    if not rows:
        return []
    places = [sheets[0].columns.index(column) for column in _NUMBERS]
    return [sentence_table(_NUMBERS, [[row[place] for place in places] for row in rows])]


def _claims(study: str) -> list[str]:
    """A table of the study's claims that say what was published."""
    rows = [
        (each.statement, each.published, each.effect_and_bounds, each.expected, each.outcome)
        for each in of_study(study, published_findings())
        if each.published and each.outcome != NOT_RUN
    ]
    return [sentence_table(_CLAIMS, rows)] if rows else []


def sections() -> str:
    """Every paper's."""
    return "\n\n".join(map(section, papers())) + "\n"
