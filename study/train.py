"""`study train`: a command line made into a study on disk."""

import itertools
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from study.arguments import Parser
from study.claims import check_claims
from study.compose import hydra_ready
from study.configuration import CONF
from study.estimate import describe
from study.launch import LaunchCell, available_threads, identify, run, status_of
from study.outcome import Outcome, summary
from study.outputs.files import writable_directory
from study.outputs.ledger import record_launch
from study.outputs.readings import with_files_checked
from study.outputs.records import FINISHED, read_ledger
from study.pages import asks_for_page, hydra_page
from study.program import command
from study.report.requests import parse_settings
from study.sweep import Plan, plan
from study.words import counted

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
        return hydra_page(arguments)
    options = _parser().parse_intermixed_args(list(arguments))
    with hydra_ready():
        planned = plan(options.overrides, multirun=options.multirun)
        cells = identify(planned.cells)
        study = _study(planned)
        parse_settings(planned.base.config["report"])
        for line in check_claims(planned.base.config["claims"], planned.cells, planned.base.axes):
            print(f"warning: {line}", file=sys.stderr)
        statuses = [_checked_status(study, cell) for cell in cells]
        wanted = (_wanted(status, options) for status in statuses)
        todo = list(itertools.compress(cells, wanted))
        if options.dry_run:
            print(describe(study, cells, statuses, todo, threads=_threads(study, planned)))
            return 0
        threads = _recorded(study, planned, cells)
        print(f"{study}: {counted(len(cells), 'cell')}, {_to_train(todo, options)}")
        return _train(study, planned, todo, threads)


def _parser() -> Parser:
    parser = Parser("study train", DESCRIPTION, EPILOG)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides")
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep over KEY=A,B,C")
    parser.add_argument("--dry-run", action="store_true", help="list the cells and estimate")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--failed", action="store_true", help="run the failed cells alone")
    only.add_argument("--missing", action="store_true", help="run the missing cells alone")
    return parser


def _study(planned: Plan) -> Path:
    """The study's directory, which need not be there yet."""
    return Path(planned.base.config["outputs_dir"]) / planned.base.config["study"]


def _threads(study: Path, planned: Plan) -> int:
    """The study's thread count: that of its first launch, as a new one would set it."""
    asked: int | None = planned.base.config["trainer"]["threads"]
    if (study / "study.json").exists():
        return read_ledger(study).threads or available_threads()
    return asked or available_threads()


def _checked_status(study: Path, cell: LaunchCell) -> str:
    """A cell's status; files of it that are not what its record says are named."""
    record = with_files_checked(status_of(study, cell))
    for problem in record.problems:
        print(f"warning: {study / problem}", file=sys.stderr)
    return record.status


def _wanted(status: str, options: object) -> bool:
    if getattr(options, "failed", False):
        return status == "failed"
    if getattr(options, "missing", False):
        return status == "missing"
    return status not in FINISHED


def _to_train(todo: Sequence[LaunchCell], options: object) -> str:
    for name in ("failed", "missing"):
        if getattr(options, name) and not todo:
            return f"none {name}"
    return f"{len(todo)} to train"


def _recorded(study: Path, planned: Plan, cells: list[LaunchCell]) -> int:
    """The study's thread count, once the launch stands in its ledger."""
    writable_directory(study, within=study.parent)
    experiment = CONF / "experiment" / f"{planned.experiment}.yaml" if planned.experiment else None
    ledger = record_launch(
        study,
        study=study.name,
        threads=_threads(study, planned),
        cells=[cell.entry for cell in cells],
        experiment=experiment,
        claims=planned.base.config["claims"],
    )
    return ledger.threads or available_threads()


def _train(study: Path, planned: Plan, todo: list[LaunchCell], threads: int) -> int:
    print(f"watch:  {command('tensorboard', study)}", flush=True)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        outcome = _run(study, planned, todo, threads)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if outcome.failures:
        print(summary(study, outcome), file=sys.stderr)
        return 1
    print(f"table:  {command('table', study)}")
    return 0


def _interrupt(*_: object) -> None:
    """SIGTERM ends a launch as Ctrl-C does."""
    raise KeyboardInterrupt


def _run(study: Path, planned: Plan, todo: list[LaunchCell], threads: int) -> Outcome:
    """Trains in this process, or on the launcher that was asked for."""
    if any(text.startswith("hydra/launcher=") for text in planned.hydra_overrides):
        from study.launchers import run_on_launcher

        return run_on_launcher(study, todo, planned.hydra_overrides)
    limit = planned.base.config["sweep"]["max_failures"]
    return run(study, todo, threads=threads, max_failures=limit)
