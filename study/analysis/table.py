"""`study table`: an ablation table from a study's saved outputs."""

import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from study.analysis.caption import coverage
from study.analysis.formats import find_writer, write_csv
from study.analysis.lookup import ProbeMetric, with_probe
from study.analysis.pivot import Pivot, Request, make_pivot
from study.console import Parser, as_path, run_as_command, show
from study.errors import InputError
from study.files import write_text
from study.outputs.metrics import METRICS, PROBES
from study.outputs.records import read_cells, read_ledger, require_finished
from study.outputs.unlisted import unlisted_cells


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(" ".join(names), 98, initial_indent="  ", subsequent_indent="  ")


def _epilog() -> str:
    return f"""\
An entry is the mean over seeds at the cell's chosen learning rate (lowest validation error) with
the half-width of its 95 % t interval. Every factor that varies and is neither row nor column makes
one table per level; nothing is averaged unless --over says so.

examples:
  study table outputs/quickstart
  study table outputs/quickstart --rows init --columns activation --where norm=batch
  study table outputs/quickstart --rows activation --columns lr --metric val_error
  study table outputs/quickstart --rows activation --over init --over norm --output table.tex
  study table outputs/NAME --metric dead_fraction@end --layer 3
  study table outputs/NAME --metric gradient_variance@start --rows layer --columns activation

metrics:
{_listed(METRICS)}

probes (what was measured inside the networks; the unit of a share is %):
{_listed(PROBES)}

A probe is read at a moment: PROBE@start (before training), PROBE@end (the default) or PROBE@STEP,
after so many updates, if it was probed there. --layer takes one hidden layer, counted from 1, or
min, mean (the default), max or last of a net's layers, or slope: the least-squares slope of log10
of the probe over depth, in decades a layer. For a probe, layer is a factor too: --rows layer,
--columns layer, --where layer=1.
"""


def render(study_dir: str | Path, request: Request, writer: str = "md") -> str:
    """The tables of a study as text as md, csv or tex; ends with a line break.

    It depends on the saved outputs alone: neither on the directory's place nor on a clock.
    """
    pivot, name, remarks = read_pivot(study_dir, request)
    return find_writer(writer)(pivot, name, remarks)


def read_pivot(study_dir: str | Path, request: Request) -> tuple[Pivot, str, list[str]]:
    """The tables of a study, its name, and a line for everything they leave out."""
    ledger = read_ledger(study_dir)
    cells = require_finished(ledger, read_cells(ledger))
    remarks = coverage(cells, unlisted_cells(ledger, cells))
    metric = request.find_metric()
    if isinstance(metric, ProbeMetric):
        cells = with_probe(cells, metric)
    problems = [problem for cell in cells for problem in cell.problems]
    return make_pivot(cells, request), ledger.study, [*remarks, *problems]


def main(arguments: list[str]) -> int:
    """Prints (or writes to --output) the table; InputError for anything unusable."""
    options = _parse(arguments)
    write = find_writer(_format(options))
    pivot, name, remarks = read_pivot(options.directory, _request(options))
    text = write(pivot, name, remarks)
    if write is write_csv and remarks:
        print("\n".join(remarks), file=sys.stderr)
    path = options.output
    if path is None:
        show(text.removesuffix("\n"))
    else:
        try:
            if path.exists() and not path.is_file():
                # A terminal or a pipe: it cannot be replaced.
                path.write_text(text, encoding="utf-8", newline="\n")
            else:
                write_text(path, text)
        except OSError as error:
            raise InputError(f"--output {path} cannot be written: {error.strerror}") from None
        show(str(path))
    return 0


def printed(arguments: list[str]) -> str:
    """What `study table ARGUMENTS` prints."""
    options = _parse(arguments)
    return render(options.directory, _request(options), _format(options))


def request_of(arguments: list[str]) -> Request:
    """What the arguments after the directory ask for; InputError for one that is none of these."""
    parser = Parser("study table DIR", "Pivots a metric over one or two factors of a study.")
    _add_request(parser)
    return _request(parser.parse_args(arguments))


def _request(options: Namespace) -> Request:
    return Request(
        metric=options.metric,
        layer=options.layer,
        rows=options.rows,
        columns=options.columns,
        where=options.where,
        over=options.over,
    )


def _parse(arguments: list[str]) -> Namespace:
    parser = Parser("study table", "Pivots a metric over one or two factors of a study.", _epilog())
    parser.add_argument(
        "directory", type=as_path, help="a study's directory, as outputs/quickstart"
    )
    _add_request(parser)
    parser.add_argument(
        "--format", metavar="md|csv|tex", help="default: as the suffix of --output, else md"
    )
    parser.add_argument(
        "--output", type=as_path, metavar="FILE", help="write there instead of printing"
    )
    return parser.parse_args(arguments)


def _add_request(parser: Parser) -> None:
    parser.add_argument("--rows", metavar="F", help="factor of the rows; lr and seed are factors")
    parser.add_argument("--columns", metavar="F", help="factor of the columns")
    parser.add_argument(
        "--metric", metavar="M", default="test_error", help="or PROBE@MOMENT; default: test_error"
    )
    parser.add_argument(
        "--layer", metavar="L", help="of a probe: a number from 1, min, mean, max, last or slope"
    )
    parser.add_argument(
        "--where",
        metavar="F=LEVEL",
        action="append",
        default=[],
        help="only cells with this level (repeat: other factors, or further levels of one)",
    )
    parser.add_argument(
        "--over", metavar="F", action="append", default=[], help="average over this factor's levels"
    )


def _format(options: Namespace) -> str:
    if options.format is not None:
        return str(options.format)
    suffix = Path(options.output or "").suffix[1:]
    return suffix if suffix in ("csv", "tex") else "md"


if __name__ == "__main__":
    run_as_command("table")
