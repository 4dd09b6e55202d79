"""An update of one replica on a GPU: ours against a bare loop in the same arithmetic."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.contestants import CASES, STEPS, Case, bare, made_up_data, ours
from benchmarks.turns import write
from study.theory.activations.timing import in_turns, median_ratio
from study.training.trainer import set_tf32

ROUNDS = 7
POPULATIONS = (1, 5, 20)


@dataclass(frozen=True)
class Arithmetic:
    """How float32 products are computed: exactly, in TF32, or under autocast in bfloat16."""

    name: str
    tf32: bool = False
    autocast: bool = False

    @contextlib.contextmanager
    def entered(self, device: torch.device) -> Iterator[None]:
        """Computes so, and exactly again afterwards."""
        set_tf32(self.tf32)
        try:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.autocast):
                yield
        finally:
            set_tf32(False)


ARITHMETICS = (
    Arithmetic("32-true"),
    Arithmetic("tf32", tf32=True),
    Arithmetic("bf16-mixed", autocast=True),
)


def main() -> int:
    """Measures every network, population and arithmetic; writes results/gpu.csv."""
    if not torch.cuda.is_available():
        print("benchmarks gpu: this machine has no CUDA device", file=sys.stderr)
        return 2
    rows: list[dict[str, object]] = []
    for case in CASES:
        rows += measure(case, torch.device("cuda", 0))
        write("gpu", rows)
    return 0


def measure(
    case: Case,
    device: torch.device,
    *,
    populations: Sequence[int] = POPULATIONS,
    rounds: int = ROUNDS,
    num_steps: int = STEPS,
) -> list[dict[str, object]]:
    """A row for each population size, arithmetic and engine of one network on `device`."""
    data = made_up_data(case, num_steps=num_steps, device=device)
    rows = []
    for count in populations:
        for arithmetic in ARITHMETICS:
            contestants = {"bare": bare(case, data)}
            for name, overrides in engines().items():
                contestants[name] = ours(case, data, count, overrides)
            timed = {name: within(arithmetic, device, run) for name, run in contestants.items()}
            times = in_turns(timed, rounds)
            rows += [_row(case, count, arithmetic, name, times) for name in engines()]
    print(*rows, sep="\n", flush=True)
    return rows


def engines() -> dict[str, tuple[str, ...]]:
    """The overrides of each way to train a population here."""
    return {"auto": (), "auto, compiled": ("population.compile=true",)}


def within(
    arithmetic: Arithmetic, device: torch.device, run: Callable[[], float]
) -> Callable[[], float]:
    """`run` in that arithmetic."""

    def inside() -> float:
        with arithmetic.entered(device):
            return run()

    return inside


def _row(
    case: Case, count: int, arithmetic: Arithmetic, engine: str, times: dict[str, list[float]]
) -> dict[str, object]:
    return {
        "network": case.name,
        "replicas": count,
        "arithmetic": arithmetic.name,
        "engine": engine,
        "times as fast as a bare loop": round(median_ratio(times["bare"], times[engine]), 3),
        "bare_ms": round(1e3 * median(times["bare"]), 3),
        "ours_ms": round(1e3 * median(times[engine]), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
