"""The experiments as they were run for publication: what each took, and what it told.

That stands in a table of them all, and in the headers of conf/experiment's files. A header's
paragraph `# Time:` is an estimate until the study is published, and then what its cells took;
`# Result:` is written at the header's end.
"""

import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.lecture.entries import PUBLISHED, Pair
from docs.lecture.findings import (
    EXPERIMENTS,
    NOT_RUN,
    OUTCOMES,
    Finding,
    finished_frames,
    link,
    of_study,
    published_findings,
    question,
    stated_claims,
    tally,
)
from study.config.labels import counted, span
from study.console import sentence_table
from study.files import write_text


@dataclass(frozen=True)
class Run:
    """A published study: its cells, their times added up (`seconds`), and what they ran on."""

    cells: str
    seconds: float
    machine: str


def published_run(name: str, folder: Path = PUBLISHED) -> Run | None:
    """What is saved of a study; None if no cell of it is finished."""
    frames = finished_frames(folder / name)
    if frames is None:
        return None
    results = [cell.finished for cell in frames.finished]

    def distinct(key: str) -> list[Any]:
        values = [getattr(result.provenance, key) for result in results]
        return list(dict.fromkeys(filter(None, values)))

    threads = " or ".join(counted(number, "thread") for number in distinct("threads"))
    done, total = len(results), len(frames.cells)
    return Run(
        cells=str(done) if done == total else f"{done} of {total}",
        seconds=sum(result.seconds for result in results),
        machine=", ".join([threads, *distinct("processor")]),
    )


def outcomes(told: Sequence[Finding]) -> str:
    """`2 supported; refuted: a, b`: by outcome, and by name what is not as was expected."""
    names = {key: [each.id for each in told if each.outcome == key] for key in OUTCOMES}
    supported = [f"{len(names['supported'])} supported"] if names["supported"] else []
    others = [key for key in OUTCOMES[1:] if names[key] and key != NOT_RUN]
    return "; ".join([*supported, *(f"{key}: {', '.join(names[key])}" for key in others)])


_PARAGRAPH = r"^# {word}: [^\n]*\n(?:# (?![A-Z][a-z]+: )[^\n]+\n)*"


def stale_headers(
    known: Mapping[Pair, Finding],
    *,
    write: bool,
    experiments: Path = EXPERIMENTS,
    published: Path = PUBLISHED,
) -> list[str]:
    """The names of the files whose header is not what the published outputs give.

    With `write` they are written.
    """
    stale = []
    for path in sorted(experiments.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        run = published_run(path.stem, published)
        if run and (new := with_run(text, run, of_study(path.stem, known))) != text:
            stale.append(path.name)
            if write:
                write_text(path, new)
    return stale


def with_run(text: str, run: Run, told: Sequence[Finding]) -> str:
    """A file's text whose header has the measured time, and the result if there are claims."""
    lines = text.splitlines(keepends=True)
    head = "".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    rest = text.removeprefix(head)
    time = f"Time: {span(run.seconds)} of training, summed over cells ({run.machine})."
    head = _replaced(_replaced(head, "Time", time), "Result", "")
    found = outcomes(told)
    return head + (_wrapped(f"Result: {found}.") if found else "") + rest


def paragraph(text: str, word: str) -> str:
    """The header's paragraph that begins with `word:`, on one line; "" if there is none."""
    found = re.search(_PARAGRAPH.format(word=word), text, re.MULTILINE)
    return " ".join(line.removeprefix("# ") for line in found[0].splitlines()) if found else ""


def _replaced(head: str, word: str, paragraph: str) -> str:
    return re.sub(
        _PARAGRAPH.format(word=word), lambda _: _wrapped(paragraph), head, flags=re.MULTILINE
    )


def _wrapped(paragraph: str) -> str:
    lines = textwrap.wrap(
        paragraph, 98, break_on_hyphens=False, initial_indent="# ", subsequent_indent="# "
    )
    return "".join(f"{line}\n" for line in lines)


_COLUMNS = ("experiment", "asks", "cells", "training", "claims")


def overview() -> str:
    """A table of every file of conf/experiment, with links from docs/."""
    known = published_findings()
    rows = []
    for name in stated_claims():
        outcomes = [finding.outcome for finding in of_study(name, known)]
        told = tally(outcomes) if outcomes else ""
        run = published_run(name)
        took = (run.cells, span(run.seconds)) if run else ("", "")
        rows.append((link(name), question(name), *took, told))
    return f"{sentence_table(_COLUMNS, rows)}\n"
