"""The table of all experiments: what each asks, how large it is, the time it took, its verdicts."""

from collections.abc import Sequence

from study.catalogue import headline
from study.errors import InputError
from study.lecture.runs import published_run
from study.lecture.stated import stated_claims
from study.lecture.tables import table
from study.lecture.verdicts import published_findings, tally
from study.report.quoted import Printer
from study.words import span

_COLUMNS = ("experiment", "asks", "cells", "training", "claims")


def overview() -> str:
    """Every file of conf/experiment in Markdown, with links from docs/."""
    known = published_findings()
    rows = []
    for name in stated_claims():
        outcomes = [finding.outcome for (study, _), finding in known.items() if study == name]
        rows.append((*_asks(name), *_ran(name), tally(outcomes) if outcomes else ""))
    return table(_COLUMNS, rows)


def _asks(name: str) -> tuple[str, str]:
    _, _, question = headline("experiment", name).partition(": ")
    return f"[`{name}`](../conf/experiment/{name}.yaml)", question


def _ran(name: str) -> tuple[str, str]:
    run = published_run(name)
    return (run.cells, span(run.seconds)) if run else ("", "")


def printed(arguments: Sequence[str]) -> str:
    """The table, for the document that quotes it."""
    if arguments:
        raise InputError(f"study experiments {' '.join(arguments)}: it takes no arguments")
    return f"{overview()}\n"


PRINTERS: dict[str, Printer] = {"study experiments": printed}
