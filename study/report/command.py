"""`study report`: tables, figures, verdicts and a page from a study's saved outputs."""

import contextlib
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from study.analysis.frames import Advance
from study.console import Parser, as_path, command, run_as_command, show
from study.report.build import build_report, read_studies
from study.report.folder import PAGE, differences, files_of, write_folder

_EPILOG = """\
It reads saved outputs alone and writes the same bytes again. Nothing is pooled across studies:
several are set beside each other, in outputs/A+B/report, and refused where they share no data.

examples:
  study report outputs/quickstart                  writes outputs/quickstart/report/
  study report outputs/mine outputs/yours          one page over both, kept apart by name
  study report outputs/quickstart --check          is this report what its outputs give?
"""


def main(arguments: list[str]) -> int:
    """Writes or checks a report; exit status 1 if --check finds something stale."""
    options = _parse(arguments)
    with _bar() as advance:
        report = build_report(read_studies(options.directories, advance), advance)
        advance("page", 0, 1)
        files = files_of(report)
    directory = _directory(options)
    if options.check:
        again = command("report", *options.directories)
        stale = [
            f"{directory / name}: stale; run `{again}`" for name in differences(directory, files)
        ]
        show("\n".join(stale) if stale else "everything is current")
        return int(bool(stale))
    write_folder(directory, files)
    for line in report.remarks:
        print(line, file=sys.stderr)
    if report.verdicts:
        counts = Counter(verdict.outcome for verdict in report.verdicts)
        show("claims: " + ", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    show(f"report: {directory / PAGE}")
    return 0


def _parse(arguments: list[str]) -> Namespace:
    parser = Parser("study report", "Tables, figures, verdicts and a page of a study.", _EPILOG)
    parser.add_argument(
        "directories", nargs="*", type=as_path, metavar="DIR", help="as outputs/quickstart"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is stale"
    )
    parser.add_argument(
        "--output", type=as_path, metavar="DIR", help="write there, not into DIR/report"
    )
    options = parser.parse_args(arguments)
    if not options.directories:
        parser.error("which study? give its directory, as outputs/quickstart")
    return options


def _directory(options: Namespace) -> Path:
    """Where the report goes: into the study, or beside the first of several."""
    if options.output:
        return options.output
    if len(options.directories) == 1:
        return options.directories[0] / "report"
    paths = [directory.resolve() for directory in options.directories]
    return paths[0].parent / "+".join(path.name for path in paths) / "report"


@contextlib.contextmanager
def _bar() -> Iterator[Advance]:
    """A progress bar on the terminal; nothing where standard error is none."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("cells", total=1)
        yield lambda stage, done, total: bar.update(
            task, description=stage, completed=done, total=total
        )


if __name__ == "__main__":
    run_as_command("report")
