"""The headers of conf/experiment's files: the time that a study took and how its claims came out.

A header's paragraph `# Time:` is an estimate until the study is published, and then what its cells
took; `# Result:` is written at the header's end.
"""

import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from study.lecture.entries import Pair
from study.lecture.runs import Run, outcomes, published_run
from study.lecture.stated import EXPERIMENTS
from study.lecture.verdicts import PUBLISHED, Finding, of_study
from study.outputs.files import write_text
from study.words import span

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
