"""The pages of the lecture's claims, their index, and the README's list of verdicts."""

from collections.abc import Mapping
from pathlib import Path

from docs.lecture.entries import FOLDER, Entry, Lecture, Pair
from docs.lecture.findings import NOT_RUN, Finding, tally
from study.console import sentence_table
from study.files import write_text

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
    about = [f"- Source: {entry.source}."]
    if entry.published:
        about.append(f"- Published: {entry.published}.")
    if entry.readings:
        about.append(f"- Readings: {'; '.join(entry.readings)}.")
    parts = [
        MADE,
        f"# {entry.number}. {entry.title}",
        f"> {entry.statement}",
        "\n".join(about),
        f"**Verdict: {verdict_of(entry, findings)}.**",
    ]
    parts += [
        f"Derived, and checked by code that runs: [exercise {name}](../exercises/{name}.md)."
        for name in entry.exercises
    ]
    known = findings_of(entry, findings)
    parts += map(_section, known)
    parts += [
        f"## `{study}`: {NOT_RUN}\n\nThe study `{study}` is to decide it."
        for study in entry.planned
    ]
    if known:
        commands = [
            f"study train experiment={study}\nstudy report outputs/{study}"
            for study in dict.fromkeys(each.study for each in known)
        ]
        parts.append("\n".join(["## Run it", "", "```bash", *commands, "```"]))
    if entry.found:
        parts += ["## What was found", *entry.found]
    parts.append("[All claims](README.md) · [how a claim is decided](../claims.md)")
    return "\n\n".join(parts) + "\n"


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
    known = sentence_table(("", ""), [row for row in rows if row[1]])
    return f"## `{finding.id}`: {finding.outcome}\n\n{finding.statement}\n\n{known}"


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
    """The whole of docs/claims/README.md: a row for each claim, and those that decide it below."""

    def numbers(finding: Finding) -> tuple[str, ...]:
        study = f"`{finding.study}`"
        return (finding.outcome, finding.effect_and_bounds, finding.expected, study)

    rows: list[tuple[str, ...]] = []
    for entry in lecture.entries:
        link = f"[{entry.title}]({entry.file})"
        planned = ", ".join(f"`{study}`" for study in entry.planned)
        rows.append((str(entry.number), link, verdict_of(entry, findings), "", "", planned))
        rows += [("", f"`{each.id}`", *numbers(each)) for each in findings_of(entry, findings)]
    head = INTRODUCTION.format(number=len(lecture.entries), counts=counts(lecture, findings))
    columns = ("verdict", "effect [bounds]", "expected", "study")
    parts = [MADE, head, sentence_table(("", "claim", *columns), rows)]
    named = {pair for entry in lecture.entries for pair in entry.decided_by}
    if further := [each for pair, each in findings.items() if pair not in named]:
        others = [(each.statement, *numbers(each)) for each in further]
        parts += [FURTHER, sentence_table(("claim", *columns), others)]
    return "\n\n".join(parts) + "\n"


def verdict_list(lecture: Lecture, findings: Findings) -> str:
    """The README's list: a row for each claim, and the first effect that decides it."""
    rows = []
    for entry in lecture.entries:
        link = f"[{entry.title}](docs/claims/{entry.file})"
        effects = [each.effect_and_bounds for each in findings_of(entry, findings)]
        effect = next(filter(None, effects), "")
        rows.append((str(entry.number), link, verdict_of(entry, findings), effect))
    listed = sentence_table(("", "claim", "verdict", "effect [bounds]"), rows)
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


def documents(lecture: Lecture, findings: Findings) -> dict[str, str]:
    """Every file of docs/claims that is made: {its name: its text}."""
    pages = {entry.file: page(entry, findings) for entry in lecture.entries}
    return {"README.md": index(lecture, findings), **pages}


def stale_pages(files: Mapping[str, str], folder: Path = FOLDER, *, write: bool) -> list[Path]:
    """The pages that are not as `files` has them, absent, or no page of a claim any more.

    With `write` they are written, or removed.
    """
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    stale = [name for name, text in files.items() if there.get(name) != text]
    gone = sorted(name for name in there if name not in files)
    if write:
        for name in stale:
            write_text(folder / name, files[name])
        for name in gone:
            (folder / name).unlink()
    return [folder / name for name in (*stale, *gone)]
