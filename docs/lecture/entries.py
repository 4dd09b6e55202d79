"""docs/claims/lecture.yaml: what the lecture claims, and which claims of studies decide it.

Whether the files in conf/experiment state those claims is checked here too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from study.errors import InputError, unknown

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/claims"
LECTURE = FOLDER / "lecture.yaml"
EXERCISES = ROOT / "docs/exercises"
PUBLISHED = ROOT / "outputs/published"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

Pair = tuple[str, str]
"""A study and the id of one of its claims."""
Stated = Mapping[str, Mapping[str, Any]]
"""{study: {claim's id: the claim as the file of the study writes it}}."""


@dataclass(frozen=True)
class Entry:
    """One claim of the lecture.

    `title` is short, `statement` the claim in plain words. `decided_by` names claims of studies,
    the most telling first; `planned` studies whose files are still to be written. `exercises` are
    stems of docs/exercises that decide it by mathematics. `found` says what was looked into after
    the verdicts, a paragraph each.
    """

    number: int
    name: str
    title: str
    statement: str
    source: str
    published: str = ""
    readings: tuple[str, ...] = ()
    decided_by: tuple[Pair, ...] = ()
    planned: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file of its page."""
        return f"{self.number:02}-{self.name}.md"


@dataclass(frozen=True)
class Lecture:
    """All claims in the lecture's order, and claims of studies that go beyond it."""

    entries: tuple[Entry, ...]
    further: tuple[Pair, ...] = ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every claim of a study that it names."""
        return (*(pair for entry in self.entries for pair in entry.decided_by), *self.further)


def read_lecture(path: Path = LECTURE) -> Lecture:
    """The file as records; InputError says which entry cannot be read, and why."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping) or not isinstance(content.get("claims"), list):
        raise InputError(f"{path.name}: write the claims of the lecture as a list, `claims:`")
    for key in content:
        if key not in ("claims", "further"):
            raise unknown("key", str(key), ["claims", "further"])
    entries = [_entry(value, place) for place, value in enumerate(content["claims"], 1)]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"lecture.yaml: two entries are called {name}; give each its own name")
    return Lecture(tuple(entries), _pairs("further", content.get("further") or ()))


def _entry(value: Any, place: int) -> Entry:
    """One entry; they are numbered from 1 in the order of the file."""
    if not isinstance(value, Mapping):
        raise InputError(f"lecture.yaml: entry {place} is no mapping")
    known = [each.name for each in fields(Entry)]
    for key in value:
        if key not in known:
            raise InputError(f"lecture.yaml: entry {place}: {unknown('key', str(key), known)}")
    if value.get("number") != place:
        raise InputError(f"lecture.yaml: entry {place} has the number {value.get('number')}")
    missing = [key for key in ("name", "title", "statement", "source") if not value.get(key)]
    if missing:
        raise InputError(f"lecture.yaml: entry {place} has no {missing[0]}")
    if not _NAME.fullmatch(str(value["name"])):
        raise InputError(f"lecture.yaml: entry {place}: {value['name']!r} is no short name")
    where = f"entry {place}"
    texts = ("name", "title", "statement", "source", "published")
    lists = ("readings", "planned", "exercises", "found")
    read: dict[str, Any] = {key: " ".join(str(value.get(key) or "").split()) for key in texts}
    read |= {key: _texts(where, key, value.get(key) or ()) for key in lists}
    return Entry(number=place, decided_by=_pairs(where, value.get("decided_by") or ()), **read)


def _texts(where: str, key: str, value: Any) -> tuple[str, ...]:
    """One text, or several."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(each, str) for each in values):
        raise InputError(f"lecture.yaml: {where}: {key} takes a text, or a list of them")
    return tuple(" ".join(each.split()) for each in values)


def _pairs(where: str, value: Any) -> tuple[Pair, ...]:
    """`- study: claim`, or `- study: [claim, claim]`, in the order of the file."""
    pairs: list[Pair] = []
    for each in value:
        if not isinstance(each, Mapping):
            raise InputError(f"lecture.yaml: {where}: {each!r}: write `- STUDY: CLAIM`")
        for study, claims in each.items():
            named = [claims] if isinstance(claims, str) else claims
            pairs += [(str(study), str(claim)) for claim in named]
    return tuple(pairs)


def inconsistencies(
    lecture: Lecture, stated: Stated, exercises: Path = EXERCISES, published: Path = PUBLISHED
) -> list[str]:
    """A line for each claim that only one side names, and for each study or page that is not there.

    A claim that the file of a published study states must decide a claim of the lecture or be one
    of `further`; a study is `planned` until its file states claims.
    """
    lines = []
    for study, claim in lecture.pairs:
        if study not in stated:
            lines.append(
                f"lecture.yaml: no conf/experiment/{study}.yaml, which is to state {claim}"
            )
        elif claim not in stated[study]:
            lines.append(f"lecture.yaml: conf/experiment/{study}.yaml states no claim {claim}")
    for entry in lecture.entries:
        told = _wrong_of(entry, stated, exercises)
        lines += [f"lecture.yaml: entry {entry.number}: {line}" for line in told]
    named = set(lecture.pairs)
    for study, claims in stated.items():
        if (published / study).exists():
            lines += [
                f"conf/experiment/{study}.yaml: the claim {claim} stands in no entry of "
                "docs/claims/lecture.yaml, nor under `further`"
                for claim in claims
                if (study, claim) not in named
            ]
    return lines


def _wrong_of(entry: Entry, stated: Stated, exercises: Path) -> Iterator[str]:
    for study in entry.planned:
        if stated.get(study):
            yield f"{study} is planned no more: name those of its claims that decide this one"
    if not (entry.decided_by or entry.planned or entry.exercises):
        yield "nothing decides it, and no study is planned"
    for name in entry.exercises:
        if not (exercises / f"{name}.md").exists():
            yield f"no page {name}.md"
