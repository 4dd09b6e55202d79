"""`python -m benchmarks [NAME ...]`: measures speed, writes benchmarks/results/NAME.csv.

Each benchmark runs in a process of its own, so that none finds the memory, threads or caches that
another left.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import RESULTS
from study.console import Parser
from study.errors import InputError, unknown


@dataclass(frozen=True)
class Benchmark:
    """What it measures, and its rough duration on two cores; `extra`: only if named."""

    what: str
    minutes: int
    extra: bool = False


BENCHMARKS = {
    "packing": Benchmark("how many replicas to stack", 2),
    "products": Benchmark("dense layers by PyTorch and by NumPy's BLAS", 3),
    "layouts": Benchmark("memory format and torch.compile", 2),
    "steps": Benchmark("an update: ours, a bare loop, a template, the machine", 12),
    "cells": Benchmark("what a cell costs beside its training", 1),
    "start": Benchmark("from the start of the command to its first update", 2),
    "growth": Benchmark("whether 1,000 cells slow down or fill the memory", 12),
    "probes": Benchmark("what the default probes cost a cell", 7),
    "quickstart": Benchmark("a whole study, by ours and by a template", 3),
    "gpu": Benchmark("an update on a CUDA device: ours and a bare loop", 10, extra=True),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmarks that are named, or all; 2 for an unknown name, 1 if one failed."""
    names = _parser().parse_args(list(arguments)).names
    for name in names:
        if name not in BENCHMARKS:
            raise unknown("benchmark", name, BENCHMARKS)
    if len(names) == 1:
        return run(names[0])
    names = names or [name for name, benchmark in BENCHMARKS.items() if not benchmark.extra]
    return run_each(names)


def _parser() -> Parser:
    lines = (
        f"  {name:<11} {benchmark.what}, {benchmark.minutes} min"
        f"{'; only if named' if benchmark.extra else ''}"
        for name, benchmark in BENCHMARKS.items()
    )
    parser = Parser(
        "python -m benchmarks", f"Measures speed; writes {RESULTS.name}/*.csv.", "\n".join(lines)
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all, in this order")
    return parser


def run(name: str) -> int:
    """Runs one benchmark in this process, on the threads that a study would take."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is first imported
    import torch

    from study.outputs.provenance import available_threads

    torch.set_num_threads(available_threads())
    return importlib.import_module(f"benchmarks.{name}").main() or 0


def run_each(names: Sequence[str]) -> int:
    """Runs benchmarks one after the other, whatever happens to one."""
    minutes = sum(BENCHMARKS[name].minutes for name in names)
    print(f"{', '.join(names)}: about {minutes} minutes on two cores", flush=True)
    failed = []
    for name in names:
        print(f"== {name}: {BENCHMARKS[name].what}", flush=True)
        done = subprocess.run([sys.executable, "-m", "benchmarks", name], check=False)
        failed += [name] if done.returncode else []
    if failed:
        print(f"benchmarks: failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(2)
