"""The table of all experiments: what each asks, how large it is, the time it took, its verdicts."""

from study.lecture.runs import published_run
from study.lecture.stated import link, question, stated_claims
from study.lecture.tables import table
from study.lecture.verdicts import of_study, published_findings, tally
from study.report.quoted import printer_without_arguments
from study.words import span

_COLUMNS = ("experiment", "asks", "cells", "training", "claims")


def overview() -> str:
    """Every file of conf/experiment in Markdown, with links from docs/."""
    known = published_findings()
    rows = []
    for name in stated_claims():
        outcomes = [finding.outcome for finding in of_study(name, known)]
        told = tally(outcomes) if outcomes else ""
        rows.append((link(name), question(name), *_ran(name), told))
    return f"{table(_COLUMNS, rows)}\n"


def _ran(name: str) -> tuple[str, str]:
    run = published_run(name)
    return (run.cells, span(run.seconds)) if run else ("", "")


PRINTERS = printer_without_arguments("study experiments", overview)
