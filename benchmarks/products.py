"""NumPy's products against PyTorch's: the measurement behind the rule of population.products."""

import os
from collections.abc import Sequence
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.contestants import CASES, Case, made_up_data, ours
from benchmarks.turns import write
from study.theory.activations.timing import in_turns, median_ratio
from study.training.products import described

REPLICAS = (1, 20)
ROUNDS = 5


def main() -> None:
    """Times updates by both libraries, in turns; writes results/products.csv."""
    rows = [
        row
        for case in CASES
        if "model=cnn" not in case.overrides
        for row in measure(case, REPLICAS, ROUNDS)
    ]
    write("products", rows)


def measure(case: Case, populations: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """A row for each population size of one network."""
    data = made_up_data(case)
    rows = []
    for count in populations:
        contestants = {
            library: ours(case, data, count, (f"population.products={library}",))
            for library in ("torch", "numpy")
        }
        times = in_turns(contestants, rounds)
        rows.append(
            {
                "network": case.name,
                "replicas": count,
                "times as fast by NumPy": round(median_ratio(times["torch"], times["numpy"]), 2),
                "its library": described("numpy"),
                "torch_ms": round(1e3 * median(times["torch"]), 3),
                "numpy_ms": round(1e3 * median(times["numpy"]), 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
