"""`study reproduce`: a saved cell trained again, and compared with what was saved."""

from __future__ import annotations

import contextlib
import glob
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.config.labels import counted
from study.console import Parser, as_path, importing, run_as_command, show
from study.errors import InputError
from study.files import parse_json, writable_directory
from study.launch.reproduce.comparable import Difference
from study.launch.reproduce.comparison import (
    BY_REPLICA,
    FOLLOWING,
    Comparison,
    are_numbers,
    compare,
    distance,
    kind_of,
)
from study.launch.reproduce.saved import Saved, pretraining_headers, read_saved, replica_names
from study.outputs.cell import read_result
from study.outputs.provenance import code_and_machine
from study.outputs.schema import to_json

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
        from study.launch.reproduce.retrain import (
            num_ticks,
            populations_of,
            retrain,
            retraining_config,
        )
        from study.training.build import sizes
    config = retraining_config(saved, options.data)
    populations = populations_of(config, saved)
    then = to_json(saved.provenance)
    here = code_and_machine() | {"packing": sizes(populations)}
    shown = {name: then[name] for name in then if name in here}
    known = [*differing_provenance(shown, here), *_resumed_pretraining(saved)]
    threads = counted(saved.provenance.threads, "thread")
    show(f"{saved.directory}: {counted(len(saved.trained), 'replica')}, on {threads} as then")
    if saved.copied:
        show(f"not trained: {_origins(saved)}")
    for line in known:
        show(f"differs  {line}")
    with _directory_to_train_in(options.keep) as study:
        started = time.perf_counter()
        with _progress_bar(num_ticks(config, saved)) as tick:
            again = retrain(saved, config, populations, study, tick)
        seconds = time.perf_counter() - started
        comparison, here = compare(saved, again), read_result(again)["provenance"]
    differing = differing_provenance(then, here)
    for line in differing:
        if line not in known:
            show(f"differs  {line}")
    show(f"trained again in {seconds:.1f} s ({saved.result.seconds:.1f} s then)")
    return _print_outcome(comparison, elsewhere=bool([*differing, *known]))


def _origins(saved: Saved) -> str:
    """The copied replicas, and which cells to reproduce instead."""
    origins: dict[str, list[str]] = {}
    for entry, name in zip(saved.copied, replica_names(saved.copied), strict=True):
        assert entry.copied_from, "it is one of those"
        origins.setdefault(str(entry.copied_from.signature), []).append(name)
    sources = {}
    for signature in origins:
        found = next(saved.directory.parent.glob(f"*-{glob.escape(signature[:8])}"), None)
        gone = f"a cell of signature {signature[:8]}, now gone"
        sources[signature] = f"{found}: reproduce that" if found else gone
    return "; ".join(
        f"{', '.join(replicas)} came from {sources[signature]}"
        for signature, replicas in origins.items()
    )


@contextlib.contextmanager
def _directory_to_train_in(keep: Path | None) -> Iterator[Path]:
    """An empty directory to train in: a temporary one, or that which is to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="study-reproduce-") as path:
            yield Path(path)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InputError(f"--keep {keep} is there already; give a directory that is new or empty")
    yield writable_directory(keep)


@contextlib.contextmanager
def _progress_bar(total: int) -> Iterator[Any]:
    """A progress bar on a terminal; yields what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=total)
        yield lambda count: progress.advance(task, count)


def _print_outcome(comparison: Comparison, *, elsewhere: bool) -> int:
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
    for line in _where_they_differ(comparison):
        show(line)
    if comparison.beyond:
        show(f"tolerance  {comparison.tolerance}")
        show(f"different: {counted(len(comparison.beyond), 'value')} beyond the tolerance, as")
        for each in comparison.beyond[:MOST]:
            show(f"  {_described(each)}")
        return 1
    if not elsewhere:
        show("different, though machine, versions and code are the same as then")
        return 1
    show(f"equal within tolerance: {comparison.tolerance}")
    return 0


def _where_they_differ(comparison: Comparison) -> Iterator[str]:
    """Where each replica parts first, and the largest distance of each kind of number."""
    firsts = [first for name in comparison.replicas if (first := comparison.first_of(name))]
    for first in firsts[:MOST]:
        yield f"parts first  {_described(first)}"
    if len(firsts) > MOST:
        yield f"  and {counted(len(firsts) - MOST, 'more replica')}"
    known = (*BY_REPLICA, *FOLLOWING)
    others = [each for each in comparison.differences if each.place[0] not in known]
    yield from (f"parts  {_described(each)}" for each in others if kind_of(each.place) != "probes")
    kinds = Counter(kind_of(each.place) for each in comparison.differences)
    for kind in (kind for kind in kinds if kind):
        own = [each for each in comparison.differences if kind_of(each.place) == kind]
        yield f"furthest apart in {kind}  {_described(max(own, key=distance))}"
    for group in ("weights", "predictions"):
        far = [each for each in comparison.distances if each.place[0] == group]
        if far:
            worst = max(far, key=lambda each: each.second)
            where = " ".join(worst.place[1:])
            yield f"furthest apart in {group}  {where}: {100 * worst.second:.3g} %"


def _described(each: Difference) -> str:
    """A difference, with its size relative to the larger of two numbers."""
    size = f" ({distance(each):.1e} of it)" if are_numbers(each) else ""
    return f"{' '.join(each.place)}: {each.first} then, {each.second} here{size}"


# What differs between where a cell was trained and where it is trained again.


MACHINE = {
    "processor": "processor",
    "processor_model": "processor model",
    "gpu": "GPU",
    "device": "device",
    "threads": "threads",
    "products": "products",
}
RESUMED = MACHINE | {
    "torch": "torch",
    "git_commit": "commit",
    "git_diff_sha256": "uncommitted changes",
    "packing": "packing",
}
"""What the record of a resume says of where the part before it was trained."""
UNKNOWN = "not recorded"


def differing_provenance(then: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each difference between two provenances that may change the last bits.

    Processor, GPU, device, threads, the versions of Python and of packages, commit, uncommitted
    changes, how replicas were packed, and each time that the first was stopped and resumed. What
    the first does not say is not compared.
    """
    lines = [
        f"{label}: {_shown(then[key])} then, {_shown(here.get(key))} here"
        for key, label in MACHINE.items()
        if key in then and then[key] != here.get(key)
    ]
    first, second = (
        {"python": each.get("python")} | dict(each.get("packages") or {}) for each in (then, here)
    )
    lines += [
        f"{name}: {_shown(version)} then, {_shown(second.get(name))} here"
        for name, version in first.items()
        if version != second.get(name)
    ]
    commit, other = (each.get("git_commit") for each in (then, here))
    if commit != other:
        one, two = (each[:10] if each else UNKNOWN for each in (commit, other))
        lines.append(f"commit: {one} then, {two} here")
    changes, others = (each.get("git_diff_sha256") for each in (then, here))
    if changes != others:
        one, two = ("uncommitted changes" if each else "a clean tree" for each in (changes, others))
        two = "other ones" if changes and others else two
        lines.append(f"working tree: {one} then, {two} here")
    if sorted(then.get("packing", ())) != sorted(here.get("packing", ())):
        lines.append(
            f"packing: groups of {then.get('packing')} then, of {here.get('packing')} here"
        )
    # Parts of a training whose machine is not the one that finished it.
    for part in then.get("resumed") or []:
        finished = dict(then) | {
            "torch": (then.get("packages") or {}).get("torch"),
            "packing": (then.get("packing") or [])[: len(part.get("packing") or [])],
        }
        changed = [
            f"{label} {_shown(part[key])}"
            for key, label in RESUMED.items()
            if key in part and part[key] != finished.get(key)
        ]
        if changed:
            lines.append(
                f"resumed then: up to epoch {part.get('epoch')} it had {', '.join(changed)}"
            )
    return lines


def _shown(value: Any) -> str:
    return UNKNOWN if value is None else str(value)


def _resumed_pretraining(saved: Saved) -> list[str]:
    """A line for each part of the cell's pretraining that another machine or version began."""
    lines: dict[str, None] = {}
    for seed, header in pretraining_headers(saved).items():
        try:
            parts = parse_json(header.get("resumed", "[]"))
        except ValueError:
            continue
        for part in parts if isinstance(parts, list) else []:
            if not isinstance(part, dict):
                continue
            changed = [f"{name} {made}" for name, made in part.items() if made != header.get(name)]
            if changed:
                seeds = header.get("seeds", seed)
                lines[f"pretraining of seeds {seeds} resumed then: before it had "
                      f"{', '.join(changed)}"] = None  # fmt: skip
    return list(lines)


if __name__ == "__main__":
    run_as_command("reproduce")
