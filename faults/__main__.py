"""`python -m faults [FAULT ...]`: breaks a small study, mends it, and prints a table."""

import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a fork must find no thread

from faults.crowds import crowds, sleepers
from faults.damage import damages
from faults.disks import disks
from faults.images import write_images
from faults.kills import interrupts, kills
from faults.launches import HungError
from faults.workshop import SIX, TWO, Row, Workshop
from study.console import Parser
from study.errors import InputError, unknown

SEED = 20

Fault = Callable[[Workshop], Iterator[Row]]
FAULTS: Mapping[str, tuple[Fault, Fault]] = {
    "kills": (functools.partial(kills, number=60), functools.partial(kills, number=5)),
    "interrupts": (
        functools.partial(interrupts, number=6),
        functools.partial(interrupts, number=1),
    ),
    "disks": (functools.partial(disks, number=12), functools.partial(disks, number=1)),
    "damage": (damages, functools.partial(damages, few=True)),
    "crowds": (crowds, functools.partial(crowds, processes=2, small=True)),
    "sleepers": (
        functools.partial(sleepers, number=20),
        functools.partial(sleepers, number=1, woken=["in the middle"]),
    ),
}
"""Each fault in full, and in short."""


def main(arguments: Sequence[str]) -> int:
    """Prints a table of the faults; 1 if anything was lost, wrong or silent, 2 for bad input."""
    options = _parser().parse_args(list(arguments))
    names = options.faults or list(FAULTS)
    for name in names:
        if name not in FAULTS:
            raise unknown("fault", name, FAULTS)
    if not hasattr(os, "fork"):
        raise InputError("the processes that are broken are forks, which this system has not")
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    rows: list[Row] = []
    print(f"seed {options.seed}, in {directory}", flush=True)
    try:
        workshop = _workshop(directory, options.seed, TWO if options.short else SIX)
        for name in names:
            rows += _timed(FAULTS[name][options.short](workshop))
    finally:
        if options.keep or any(row.wrong for row in rows):
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory)
    return _summary(rows)


def _parser() -> Parser:
    parser = Parser("python -m faults", "Breaks a small study in every way, and mends it.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=SEED, help="of everything that is random")
    parser.add_argument("--short", action="store_true", help="a few of each, in under a minute")
    parser.add_argument("--keep", action="store_true", help="keep the studies, and say where")
    return parser


def _workshop(directory: Path, seed: int, axes: Sequence[str]) -> Workshop:
    """A workshop with images and a reference, whose commands start at once."""
    workshop = Workshop(directory, seed, axes)
    write_images(workshop.images)
    started = time.monotonic()
    reference = workshop.reference()
    seconds = time.monotonic() - started
    cells = len(reference.study.cells)
    _say("reference", cells, f"cells, {reference.moments} changes of the disk", seconds, "")
    return workshop


def _timed(rows: Iterator[Row]) -> Iterator[Row]:
    started = time.monotonic()
    for row in rows:
        row.seconds = time.monotonic() - started
        _say(row.fault, row.struck, row.result, row.seconds, "WRONG" if row.wrong else "")
        for line in row.wrong:
            print(f"  {line}", flush=True)
        yield row
        started = time.monotonic()


def _say(fault: str, struck: int, result: str, seconds: float, verdict: str) -> None:
    print(f"{fault:44} {struck:5}  {verdict or result}  ({seconds:.0f} s)", flush=True)


def _summary(rows: Sequence[Row]) -> int:
    wrong = sum(len(row.wrong) for row in rows)
    struck = sum(row.struck for row in rows)
    print(f"{struck} faults, {wrong} violations, {sum(row.seconds for row in rows):.0f} s")
    return 1 if wrong else 0


def _main() -> int:
    try:
        return main(sys.argv[1:])
    except (InputError, HungError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(_main())
