"""`study train`: a command line made into a study on disk.

Help needs neither Hydra nor PyTorch, and a mistake in the command line not PyTorch, which takes
seconds to import: each is imported where it is needed first.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.analysis.claims import check_claims
from study.analysis.requests import parse_tables
from study.config.configuration import file_of, own_files, use_levels
from study.config.labels import counted
from study.config.pages import asks_for_page, hydra_page
from study.config.refused import check_flags
from study.console import Parser, add_config_dir, command, importing, run_as_command
from study.files import writable_directory
from study.outputs.failures import summary
from study.outputs.ledger import FILE, record_launch, with_launch
from study.outputs.provenance import available_threads
from study.outputs.records import FINISHED, Ledger, read_cell, read_cells, read_ledger
from study.outputs.series import with_files_checked
from study.outputs.unlisted import listed_again, unlisted_cells

if TYPE_CHECKING:
    from study.config.sweep import Cell
    from study.launch.place import Launch

DESCRIPTION = """Trains cells: every seed at every learning rate.

  study train activation=tanh                          one cell
  study train -m activation=relu,tanh norm=none,batch  a sweep
  study train experiment=quickstart                    a study; its file defines the sweep

`study list` prints every experiment, level and key."""

EPILOG = """Hydra's own pages, for one cell:

  study train --cfg job [KEY=VALUE ...]                the composed configuration
  study train --info                                   where it comes from
  study train --hydra-help                             Hydra's flags"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status: 0, or 1 if a cell failed."""
    if asks_for_page(arguments) and not {"-h", "--help"} & set(arguments):
        use_levels(arguments)
        return hydra_page(arguments)
    check_flags(arguments)
    options = _parser().parse_intermixed_args(list(arguments))
    use_levels(options.overrides)

    from study.config.compose import hydra_ready
    from study.config.sweep import plan

    with own_files(options.config_dir), hydra_ready():
        planned = plan(options.overrides, multirun=options.multirun)
        with importing():  # PyTorch takes seconds, and the command line is right by now
            from study.launch.estimate import describe
            from study.launch.place import prepared
        launch = prepared(planned)
        config = launch.planned.base.config
        parse_tables(config.report)
        for line in check_claims(config.claims, launch.of_claims, launch.planned.base.axes):
            print(f"warning: {line}", file=sys.stderr)
        cells, study = launch.cells, launch.study
        statuses = []
        for cell in cells:
            record = with_files_checked(read_cell(study / cell.directory, cell))
            for problem in record.problems:
                print(f"warning: {study / problem}", file=sys.stderr)
            statuses.append(record.status)
        only = "failed" if options.failed else "missing" if options.missing else None
        todo = [
            cell
            for cell, status in zip(cells, statuses, strict=True)
            if (status == only if only else status not in FINISHED)
        ]
        for line in _changes_of_the_list(launch, is_dry=options.dry_run):
            print(line)
        if options.dry_run:
            print(describe(study, cells, statuses, todo, threads=_threads(launch)))
            return 0
        if config.trainer.fast_dev_run:
            from study.launch.tryout import try_cells

            try_cells(cells, study=study, threads=_threads(launch))
            return 0
        threads = _record(launch)
        to_train = f"none {only}" if only and not todo else f"{len(todo)} to train"
        print(f"{study}: {counted(len(cells), 'cell')}, {to_train}")
        return _train(launch, todo, threads)


def _parser() -> Parser:
    parser = Parser("study train", DESCRIPTION, EPILOG)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides")
    add_config_dir(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep over KEY=A,B,C")
    parser.add_argument("--dry-run", action="store_true", help="list the cells and estimate")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--failed", action="store_true", help="run the failed cells alone")
    only.add_argument("--missing", action="store_true", help="run the missing cells alone")
    return parser


def _threads(launch: Launch) -> int:
    """The study's thread count: that of its first launch, as a new one would set it."""
    asked: int | None = launch.planned.base.config.trainer.threads
    if (old := _ledger(launch.study)) is not None:
        return old.threads or available_threads()
    return asked or available_threads()


def _ledger(study: Path) -> Ledger | None:
    return read_ledger(study) if (study / FILE).exists() else None


def _changes_of_the_list(launch: Launch, *, is_dry: bool) -> Iterator[str]:
    """Where a launch goes, and what else its study lists, or lists no longer (would, if dry)."""
    if launch.remark:
        yield launch.remark
    if (old := _ledger(launch.study)) is None:
        return
    new = with_launch(old, launch.cells, replaces=launch.replaces)
    if others := len(new.cells) - len(launch.cells):
        yield f"{launch.study} also lists {counted(others, 'cell')} of earlier launches"
    gone = {cell.directory for cell in old.cells} - {cell.directory for cell in new.cells}
    unlisted = unlisted_cells(new, read_cells(new)) if gone else ()
    lost = [cell for cell in unlisted if cell.is_left_out and cell.record.directory in gone]
    if lost:
        lists = "would no longer list" if is_dry else "no longer lists"
        yield (
            f"{launch.study} {lists} {counted(len(lost), 'finished cell')}, kept beside the "
            f"others; {listed_again(lost)}"
        )


def _record(launch: Launch) -> int:
    """Enters the launch into its study's ledger; returns the study's thread count."""
    study, planned = launch.study, launch.planned
    writable_directory(study, within=study.parent)
    experiment = file_of("experiment", planned.experiment) if planned.experiment else None
    ledger = record_launch(
        study,
        study=study.name,
        threads=_threads(launch),
        cells=launch.cells,
        experiment=experiment,
        claims=planned.base.config.claims,
        replaces=launch.replaces,
        accepts=launch.accepts,
    )
    return ledger.threads or available_threads()


def _train(launch: Launch, todo: list[Cell], threads: int) -> int:
    """Trains in this process, or on the launcher that was asked for; returns the exit status."""
    study = launch.study
    print(f"watch:  {command('tensorboard', study)}", flush=True)
    # SIGTERM ends a launch as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    planned = launch.planned
    try:
        if any(text.startswith("hydra/launcher=") for text in planned.hydra_overrides):
            from study.launch.launchers import run_on_launcher

            outcome = run_on_launcher(study, todo, planned.hydra_overrides)
        else:
            from study.launch.cells import run

            limit = planned.base.config.sweep.max_failures
            outcome = run(study, todo, threads=threads, max_failures=limit)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if outcome.failures:
        print(summary(study, outcome), file=sys.stderr)
        return 1
    print(f"table:  {command('table', study)}")
    print(f"report: {command('report', study)}")
    return 0


if __name__ == "__main__":
    run_as_command("train")
