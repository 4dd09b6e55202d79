"""The page of one of the lecture's claims."""

from collections.abc import Mapping

from study.lecture.entries import Entry, Pair
from study.lecture.tables import table
from study.lecture.verdicts import NOT_RUN, Finding, tally

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
