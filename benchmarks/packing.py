"""How many replicas to stack: the measurement behind population/packing.py."""

import os
from collections.abc import Callable
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from benchmarks.contestants import Case, made_up_data, ours
from benchmarks.turns import write
from study.data import Data
from study.theory.activations.timing import in_turns, median_ratio
from study.training import build as packing

WIDTHS = (32, 64, 128, 256)
GROUPS = (1, 2, 3, 5, 10)
REPLICAS = 20
ROUNDS = 5


def main() -> None:
    """Times 20 replicas in groups of each size, in turns; writes results/packing.csv."""
    rows = []
    for width in WIDTHS:
        case = Case(f"MLP 3x{width}", (f"model.widths=[{width},{width},{width}]",))
        data = made_up_data(case)
        contestants = {str(size): grouped(case, data, size) for size in GROUPS}
        times = in_turns(contestants, ROUNDS)
        rows += [
            {
                "network": case.name,
                "replicas in a group": size,
                "times as fast as alone": round(median_ratio(times["1"], times[str(size)]), 2),
                "ms": round(1e3 * median(times[str(size)]), 3),
            }
            for size in GROUPS
        ]
        print(*rows[-len(GROUPS) :], sep="\n", flush=True)
    write("packing", rows)


def grouped(case: Case, data: Data, size: int) -> Callable[[], float]:
    """Ours with groups of at most `size`, whatever the rule says."""
    rule = packing._largest_group
    packing._largest_group = lambda *_: size
    try:
        return ours(case, data, REPLICAS)
    finally:
        packing._largest_group = rule


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    main()
