"""The page of one of the lecture's claims."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from docs import quoted
from docs.lecture.entries import Entry, Lecture, Pair, read_lecture
from docs.lecture.verdicts import NOT_RUN, Finding, published_findings, tally
from study.files import write_text

# Markdown tables of sentences: to the left, links and code kept.


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of a header and rows; a header of empty names is there, as Markdown needs one."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text on one line, with no column or emphasis of its own."""
    return re.sub(r"([|*<])", r"\\\1", " ".join(text.split()))


MADE = "<!-- made by `make published` from docs/claims/lecture.yaml and outputs/published -->"
BY_MATHEMATICS = "shown by mathematics"

Findings = Mapping[Pair, Finding]


def findings_of(entry: Entry, findings: Findings) -> list[Finding]:
    """What is known of the claims that decide an entry; those that no file states are left out."""
    return [findings[pair] for pair in entry.decided_by if pair in findings]


def verdict_of(entry: Entry, findings: Findings) -> str:
    """The verdicts on an entry, counted where they differ; a planned study has none yet."""
    outcomes = [each.outcome for each in findings_of(entry, findings)]
    outcomes += [NOT_RUN for _ in entry.planned]
    words = [BY_MATHEMATICS] if entry.exercises else []
    if outcomes or not words:
        words.append(tally(outcomes or [NOT_RUN]))
    return "; ".join(words)


def page(entry: Entry, findings: Findings) -> str:
    """The whole page, as Markdown."""
    known = findings_of(entry, findings)
    parts = [MADE, f"# {entry.number}. {entry.title}", f"> {entry.statement}", _about(entry)]
    parts.append(f"**Verdict: {verdict_of(entry, findings)}.**")
    parts += [_exercise(name) for name in entry.exercises]
    parts += [_section(each) for each in known]
    parts += [_planned(study) for study in entry.planned]
    if known:
        parts.append(_commands(known))
    if entry.found:
        parts += ["## What was found", *entry.found]
    parts.append("[All claims](README.md) · [how a claim is decided](../claims.md)")
    return "\n\n".join(parts) + "\n"


def _about(entry: Entry) -> str:
    """Where the claim is made, what was published, what to read, a line each."""
    lines = [f"Source: {entry.source}."]
    if entry.published:
        lines.append(f"Published: {entry.published}.")
    if entry.readings:
        lines.append(f"Readings: {'; '.join(entry.readings)}.")
    return "\n".join(f"- {line}" for line in lines)


def _exercise(name: str) -> str:
    return f"Derived, and checked by code that runs: [exercise {name}](../exercises/{name}.md)."


def _section(finding: Finding) -> str:
    """One deciding claim: its verdict, and every number behind it."""
    rows = [
        ("study", f"`{finding.study}`"),
        ("measured", finding.measured),
        ("expected, and the smallest effect that matters", finding.expected),
        ("effect", finding.effect),
        ("bounds, 95 % over all claims of the study", finding.bounds),
        ("p (Holm)", finding.p),
        ("seeds", str(finding.num_seeds or "")),
        ("published", finding.published),
        ("what it hangs on", finding.reason),
    ]
    known = table(("", ""), [row for row in rows if row[1]])
    return f"## `{finding.id}`: {finding.outcome}\n\n{finding.statement}\n\n{known}"


def _planned(study: str) -> str:
    return f"## `{study}`: {NOT_RUN}\n\nThe study `{study}` is to decide it."


def _commands(known: list[Finding]) -> str:
    """How to run the studies again and read their verdicts."""
    studies = list(dict.fromkeys(each.study for each in known))
    lines = [
        line
        for study in studies
        for line in (f"study train experiment={study}", f"study report outputs/{study}")
    ]
    return "\n".join(["## Run it", "", "```bash", *lines, "```"])


# The lecture's claims in tables: the index of their pages, and the README's list of verdicts.


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


# Every file of docs/claims that is made, and the list that the README quotes.


INDEX = "README.md"


def _read() -> tuple[Lecture, Findings]:
    """The lecture and what the published studies say."""
    return read_lecture(), published_findings()


def documents() -> dict[str, str]:
    """{file of docs/claims: its text}."""
    lecture, known = _read()
    pages = {entry.file: page(entry, known) for entry in lecture.entries}
    return {INDEX: index(lecture, known), **pages}


def differing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The names of files that are stale, absent, or no page of a claim any more."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    names = [name for name, text in files.items() if there.get(name) != text]
    return [*names, *sorted(name for name in there if name not in files)]


def write(folder: Path, files: Mapping[str, str], names: Iterable[str]) -> None:
    """Writes the files of these names; removes those that are no page any more."""
    for name in names:
        if name in files:
            write_text(folder / name, files[name])
        else:
            (folder / name).unlink()


PRINTERS = quoted.printer_without_arguments("study claims", lambda: verdict_list(*_read()))
"""The README's list of verdicts."""
