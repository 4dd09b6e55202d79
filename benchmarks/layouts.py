"""Memory format and torch.compile: the measurement behind population/alone.py."""

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.contestants import BATCH, CASES, Case
from benchmarks.turns import write
from study.networks import build_network
from study.theory.activations.timing import in_turns, median_ratio
from study.training.stacking import StackedNetwork

NAMES = ("MLP 3x32", "MLP 3x128", "CNN")
STACK = 10
UPDATES = 20
ROUNDS = 5


def main() -> None:
    """Times one network, and a stack of MLPs, as one worker trains them, on one thread.

    Compiles into an empty cache, as a user does who has never trained such a network.
    """
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for case in CASES:
            if case.name in NAMES:
                rows += measure(case.name, case, 1)
                if case.name != "CNN":
                    rows += measure(f"{STACK} x {case.name}", case, STACK)
    write("layouts", rows)


def measure(
    name: str, case: Case, count: int, *, updates: int = UPDATES, rounds: int = ROUNDS
) -> list[dict[str, object]]:
    """A row for each way to run a network, against running it as it is."""
    ways: dict[str, Callable[[], float]] = {"as it is": updating(case, count, updates)}
    if case.input_shape[0] == 3:
        ways["channels last"] = updating(case, count, updates, channels_last=True)
    ways["compiled"] = updating(case, count, updates, compiled=True)
    first = {way: timed(run) for way, run in ways.items()}
    times = in_turns(ways, rounds)
    rows: list[dict[str, object]] = [
        {
            "network": name,
            "way": way,
            "times as fast": round(median_ratio(times["as it is"], times[way]), 2),
            "ms": round(1e3 * median(times[way]), 3),
            "seconds until the first update": round(first[way] - updates * median(times[way]), 1),
        }
        for way in ways
    ]
    print(*rows, sep="\n", flush=True)
    return rows


def timed(run: Callable[[], float]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def updating(
    case: Case, count: int, updates: int, *, channels_last: bool = False, compiled: bool = False
) -> Callable[[], float]:
    """Seconds per update of `count` networks as one, all on the same images."""
    networks = [build_network(case.config(1).network, case.input_shape, 10) for _ in range(count)]
    network: nn.Module = networks[0] if count == 1 else StackedNetwork(networks)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    inputs = torch.randn(BATCH, *case.input_shape)
    labels = torch.randint(0, 10, (BATCH,)).repeat(count)
    if channels_last:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    apply: Callable[[Tensor], Tensor] = torch.compile(network) if compiled else network

    def run() -> float:
        started = time.perf_counter()
        for _ in range(updates):
            loss = functional.cross_entropy(apply(inputs).view(-1, 10), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return (time.perf_counter() - started) / updates

    return run
