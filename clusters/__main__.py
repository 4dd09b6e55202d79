"""`python -m clusters [ENGINE ...]`: the same small study by every launcher, and a table.

Every replica must have the same weights wherever it was trained, on one processor and with one
thread count; also one whose Slurm job was stopped in the middle.
"""

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from clusters.daemons import ClusterError
from clusters.household import leaving_nothing
from clusters.packages import ACCOUNTING, SLURM, ensure
from clusters.preemption import preempted
from clusters.ray_nodes import NUM_NODES, ray_nodes
from clusters.runs import LONG, SMALL, Run, compared, run
from clusters.slurm import slurm
from study.console import Parser
from study.errors import InputError, unknown

ENGINES = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
}
"""Each engine, and the plugin that reaches it."""
SLURM_OPTIONS = ("hydra/launcher=slurm", "hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=10")


def main(arguments: Sequence[str]) -> int:
    """Runs the engines that are named, or all; 1 for a difference, 2 for what is missing."""
    options = _parser().parse_args(list(arguments))
    engines = options.engines or list(ENGINES)
    for name in engines:
        if name not in ENGINES:
            raise unknown("engine", name, ENGINES)
        if importlib.util.find_spec(ENGINES[name]) is None:
            lock = "submitit" if name == "slurm" else name
            raise InputError(f"{name}: its plugin is missing; run `make setup EXTRAS={lock}`")
    directory = Path(tempfile.mkdtemp(prefix="clusters-"))
    try:
        if "slurm" in engines:
            ensure(SLURM if options.no_accounting else SLURM | ACCOUNTING)
        pairs = list(_runs(directory, engines, accounting=not options.no_accounting))
        return _report(pairs)
    except ClusterError as error:
        raise InputError(str(error)) from None
    finally:
        if options.keep:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory)


def _parser() -> Parser:
    parser = Parser("python -m clusters", "Runs one study by every launcher and compares it.")
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=", ".join(ENGINES))
    parser.add_argument("--no-accounting", action="store_true", help="Slurm without slurmdbd alone")
    parser.add_argument("--keep", action="store_true", help="keep outputs and logs, and say where")
    return parser


def _runs(
    directory: Path, engines: Sequence[str], *, accounting: bool
) -> Iterator[tuple[Run, Run | None]]:
    """Each run, and the one that it must equal."""
    outputs = directory / "outputs"
    basic = _said(run(SMALL, outputs / "basic", "hydra/launcher=basic"))
    yield basic, None
    if "joblib" in engines:
        two = ("hydra/launcher=machine", "hydra.launcher.n_jobs=2")
        yield _said(run(SMALL, outputs / "joblib", *two, notes=["2 workers"])), basic
    if "ray" in engines:
        with ray_nodes(directory / "ray") as found:
            name, notes = outputs / "ray", [f"{NUM_NODES} nodes"]
            there = "hydra/launcher=ray_cluster"
            yield _said(run(SMALL, name, there, environment=found, notes=notes)), basic
    if "slurm" in engines:
        yield from _slurm_runs(directory, basic, accounting=accounting)


def _slurm_runs(
    directory: Path, basic: Run, *, accounting: bool
) -> Iterator[tuple[Run, Run | None]]:
    """Without accounting submitit comes back before its jobs have ended; with it, it waits."""
    outputs = directory / "outputs"
    with slurm(directory / "slurm", accounting=False) as found:
        name, notes = outputs / "slurm", ["without accounting"]
        yield _said(run(SMALL, name, *SLURM_OPTIONS, environment=found, notes=notes)), basic
    long = _said(run(LONG, outputs / "long", "hydra/launcher=basic"))
    yield long, None
    with slurm(directory / "slurm2", accounting=accounting) as found:
        if accounting:
            name, notes = outputs / "slurm_accounted", ["with accounting"]
            yield _said(run(SMALL, name, *SLURM_OPTIONS, environment=found, notes=notes)), basic
        yield _said(preempted(outputs / "preempted", found)), long


def _said(run: Run) -> Run:
    print(f"clusters: {run.name} took {run.seconds:.0f} s", flush=True)
    return run


def _report(pairs: Sequence[tuple[Run, Run | None]]) -> int:
    """Prints the table, and what differs; the exit status."""
    problems: list[str] = []
    print(f"\n{'run':16} {'seconds':>7}  {'equal weights':14} {'all else':9} notes")
    for one, reference in pairs:
        equal, found = compared(reference or one, one)
        problems += found
        of = f"of {reference.name}" if reference else "reference"
        verdict = "DIFFERS" if found else "equal"
        notes = "; ".join(dict.fromkeys(one.notes))
        print(
            f"{one.name:16} {one.seconds:7.0f}  {equal:14} {verdict:9} {of}; {notes}".rstrip("; ")
        )
    print("\n".join(problems) if problems else "every replica is the same everywhere")
    return 1 if problems else 0


def _main() -> int:
    try:
        return main(sys.argv[1:])
    except InputError as error:
        print(f"clusters: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(leaving_nothing(_main))
