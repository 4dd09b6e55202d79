"""`study reproduce`: a saved cell trained again, and compared with what was saved."""

from __future__ import annotations

import contextlib
import glob
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config.configuration import Config
from study.config.labels import counted
from study.console import Parser, as_path, importing, run_as_command, show
from study.errors import InputError
from study.files import writable_directory
from study.launch.reproduce.comparable import Difference
from study.launch.reproduce.comparison import (
    BY_REPLICA,
    FOLLOWING,
    Comparison,
    are_numbers,
    compare,
    differing_circumstances,
    distance,
    kind_of,
)
from study.launch.reproduce.pretrainings import resumed_pretraining
from study.launch.reproduce.saved import Saved, names, read_saved
from study.outputs.cell import read_result
from study.outputs.provenance import code_and_machine
from study.outputs.schema import to_json

if TYPE_CHECKING:
    from study.training.build import Populations

DESCRIPTION = """Trains a saved cell again and compares weights and every number.

  study reproduce outputs/quickstart/CELL

Exit status 0: equal bit for bit or, where machine, versions or code are not those of the first
time, within the tolerance that is printed; 1: different."""
MOST = 4
"""Lines of one kind that are printed."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    parser = Parser("study reproduce", DESCRIPTION)
    parser.add_argument("cell", type=as_path, help="a cell's directory, as outputs/quickstart/CELL")
    parser.add_argument(
        "--data", type=as_path, metavar="DIR", help="where the data are, if elsewhere than then"
    )
    parser.add_argument("--keep", type=as_path, metavar="DIR", help="trains in DIR, and leaves it")
    options = parser.parse_args(list(arguments))
    saved = read_saved(options.cell)
    if not saved.trained:
        raise InputError(f"{saved.directory} trained nothing: {_origins(saved)}")
    with importing():  # PyTorch takes seconds, and is needed from here on
        from study.launch.reproduce.again import config_again, populations_again
    config = config_again(saved, options.data)
    populations = populations_again(config, saved)
    known = _differing_here(saved, populations)
    for line in _announcement(saved, known):
        show(line)
    with _scratch(options.keep) as study:
        comparison, here, seconds = _trained_and_compared(saved, config, populations, study)
    differing = differing_circumstances(to_json(saved.provenance), here)
    for line in differing:
        if line not in known:
            show(f"differs  {line}")
    show(f"trained again in {seconds:.1f} s ({saved.result.seconds:.1f} s then)")
    return _judged(comparison, elsewhere=bool([*differing, *known]))


def _trained_and_compared(
    saved: Saved, config: Config, populations: Populations, study: Path
) -> tuple[Comparison, dict[str, Any], float]:
    """The comparison with the cell trained in `study`, the provenance there, and the seconds."""
    from study.launch.reproduce.again import num_ticks, train_again

    started = time.perf_counter()
    with _bar(num_ticks(config, saved)) as tick:
        again = train_again(saved, config, populations, study, tick)
    seconds = time.perf_counter() - started
    return compare(saved, again), read_result(again)["provenance"], seconds


def _announcement(saved: Saved, known: Sequence[str]) -> Iterator[str]:
    """What is trained, what is not, and what is known to differ before it is."""
    yield (
        f"{saved.directory}: {counted(len(saved.trained), 'replica')}, "
        f"on {counted(saved.provenance.threads, 'thread')} as then"
    )
    if saved.copied:
        yield f"not trained: {_origins(saved)}"
    for line in known:
        yield f"differs  {line}"


def _differing_here(saved: Saved, populations: Populations) -> list[str]:
    """What differs as far as it shows before training."""
    from study.training.build import sizes

    then = to_json(saved.provenance)
    known = code_and_machine() | {"packing": sizes(populations)}
    shown = {name: then[name] for name in then if name in known}
    return [*differing_circumstances(shown, known), *resumed_pretraining(saved)]


def _origins(saved: Saved) -> str:
    """The copied replicas, and which cells to reproduce instead."""
    origins: dict[str, list[str]] = {}
    for entry, name in zip(saved.copied, names(saved.copied), strict=True):
        assert entry.copied_from, "it is one of those"
        origins.setdefault(str(entry.copied_from.signature), []).append(name)
    return "; ".join(
        f"{', '.join(replicas)} came from {_cell_of(saved.directory.parent, signature)}"
        for signature, replicas in origins.items()
    )


def _cell_of(study: Path, signature: str) -> str:
    """The directory of a cell, to reproduce it, or its signature where it is gone."""
    found = next(study.glob(f"*-{glob.escape(signature[:8])}"), None)
    return f"{found}: reproduce that" if found else f"a cell of signature {signature[:8]}, now gone"


@contextlib.contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    """An empty directory to train in: a temporary one, or that which is to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="study-reproduce-") as path:
            yield Path(path)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InputError(f"--keep {keep} is there already; give a directory that is new or empty")
    yield writable_directory(keep)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A progress bar on a terminal; yields what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=total)
        yield lambda count: progress.advance(task, count)


def _judged(comparison: Comparison, *, elsewhere: bool) -> int:
    """Prints what is equal, where the two part, and the outcome; returns the exit status."""
    equal, count = len(comparison.equal_weights), len(comparison.replicas)
    show(f"weights  {equal} of {counted(count, 'replica')} equal")
    if comparison.pretrained:
        apart = {each.place[1] for each in comparison.differences if each.place[0] == "pretraining"}
        same = len(comparison.pretrained) - len(apart)
        show(f"pretraining  {same} of {counted(len(comparison.pretrained), 'seed')} equal")
    values = f"{comparison.num_values:,} values"
    if comparison.is_bitwise_equal:
        show(f"{values}, all equal\nbitwise equal")
        return 0
    show(f"{values}, {len(comparison.differences):,} of them differ")
    for line in _partings(comparison):
        show(line)
    if comparison.beyond:
        show(f"tolerance  {comparison.tolerance}")
        show(f"different: {counted(len(comparison.beyond), 'value')} beyond the tolerance, as")
        for each in comparison.beyond[:MOST]:
            show(f"  {_words(each)}")
        return 1
    if not elsewhere:
        show("different, though machine, versions and code are the same as then")
        return 1
    show(f"equal within tolerance: {comparison.tolerance}")
    return 0


def _partings(comparison: Comparison) -> Iterator[str]:
    """Where each replica parts first, and the largest distance of each kind of number."""
    firsts = [first for name in comparison.replicas if (first := comparison.first_of(name))]
    for first in firsts[:MOST]:
        yield f"parts first  {_words(first)}"
    if len(firsts) > MOST:
        yield f"  and {counted(len(firsts) - MOST, 'more replica')}"
    known = (*BY_REPLICA, *FOLLOWING)
    others = [each for each in comparison.differences if each.place[0] not in known]
    yield from (f"parts  {_words(each)}" for each in others if kind_of(each.place) != "probes")
    kinds = Counter(kind_of(each.place) for each in comparison.differences)
    for kind in (kind for kind in kinds if kind):
        own = [each for each in comparison.differences if kind_of(each.place) == kind]
        yield f"furthest apart in {kind}  {_words(max(own, key=distance))}"
    for group in ("weights", "predictions"):
        far = [each for each in comparison.distances if each.place[0] == group]
        if far:
            worst = max(far, key=lambda each: each.second)
            where = " ".join(worst.place[1:])
            yield f"furthest apart in {group}  {where}: {100 * worst.second:.3g} %"


def _words(each: Difference) -> str:
    """A difference, with its size relative to the larger of two numbers."""
    size = f" ({distance(each):.1e} of it)" if are_numbers(each) else ""
    return f"{' '.join(each.place)}: {each.first} then, {each.second} here{size}"


if __name__ == "__main__":
    run_as_command("reproduce")
