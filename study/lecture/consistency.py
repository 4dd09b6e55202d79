"""Whether lecture.yaml and the files in conf/experiment speak of the same claims."""

from collections.abc import Iterator
from pathlib import Path

from study.lecture.entries import ROOT, Entry, Lecture
from study.lecture.stated import Stated
from study.lecture.verdicts import PUBLISHED

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
