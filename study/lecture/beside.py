"""docs/published.md: what papers print beside what the experiments named after them measured."""

import re
from collections.abc import Sequence

from study.catalogue import headline
from study.errors import InputError
from study.lecture.headers import paragraph
from study.lecture.stated import EXPERIMENTS, stated_claims
from study.lecture.tables import table
from study.lecture.verdicts import NOT_RUN, PUBLISHED, published_findings
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.report.published import published_sheets
from study.report.quoted import Printer

_NUMBERS = ("setting", "theirs", "our cell", "ours", "difference")
_CLAIMS = ("claim", "published", "ours [bounds]", "expected", "verdict")


def papers() -> list[str]:
    """The experiments that set a paper's numbers beside ours."""
    return [name for name in stated_claims() if name.startswith("paper_")]


def section(study: str) -> str:
    """A paper: what differs from its protocol, its errors beside ours, its claims and verdicts."""
    _, _, title = headline("experiment", study).partition(": ")
    text = (EXPERIMENTS / f"{study}.yaml").read_text(encoding="utf-8")
    link = f"[`{study}`](../conf/experiment/{study}.yaml)"
    told = [*_numbers(_cells(study), paper_of(title)), *_claims(study)]
    parts = [f"## {title}", f"{link}. {paragraph(text, DIFFERS)}", *(told or ["Not run yet."])]
    return "\n\n".join(parts)


DIFFERS = "Not the paper's protocol"


def paper_of(title: str) -> str:
    """`Glorot & Bengio 2010` of `Glorot & Bengio 2010, table 1: how much ...?`."""
    found = re.match(r".*?\b\d{4}\b", title)
    if not found:
        raise InputError(f"{title!r} names no paper: begin with its authors and year")
    return found[0]


def _cells(study: str) -> list[CellRecord]:
    try:
        return Frames.read(PUBLISHED / study).finished
    except InputError:
        return []


def _numbers(cells: Sequence[CellRecord], paper: str) -> list[str]:
    """A table of test errors of a paper, if it prints any of cells like these."""
    sheets = published_sheets(cells)
    rows = [row for sheet in sheets for row in sheet.rows if row[0].startswith(paper)]
    if not rows:
        return []
    places = [sheets[0].columns.index(column) for column in _NUMBERS]
    return [table(_NUMBERS, [[row[place] for place in places] for row in rows])]


def _claims(study: str) -> list[str]:
    """A table of the study's claims that say what was published."""
    known = [finding for pair, finding in published_findings().items() if pair[0] == study]
    rows = [
        (each.statement, each.published, each.effect_and_bounds, each.expected, each.outcome)
        for each in known
        if each.published and each.outcome != NOT_RUN
    ]
    return [table(_CLAIMS, rows)] if rows else []


def printed(arguments: Sequence[str]) -> str:
    """Every paper's section, for the document that quotes them."""
    if arguments:
        raise InputError(f"study papers {' '.join(arguments)}: it takes no arguments")
    return "\n\n".join(map(section, papers())) + "\n"


PRINTERS: dict[str, Printer] = {"study papers": printed}
