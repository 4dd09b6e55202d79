"""An update of one replica: ours against a bare loop, the templates' recipe and the machine."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from benchmarks.contestants import (
    BATCH,
    CASES,
    STEPS,
    UNCOUNTED,
    Case,
    bare,
    made_up_data,
    ours,
    template,
)
from benchmarks.turns import write
from study.networks import build_network
from study.theory.activations.timing import in_turns, median_ratio
from study.training.products import blas_threads, described

ROUNDS = 7
TEMPLATE_ROUNDS = 3
POPULATIONS = (1, 5, 20)


def main() -> None:
    """Measures every network and population; prints and writes results/steps.csv."""
    rows: list[dict[str, object]] = []
    for case in CASES:
        rows += measure(case)
        write("steps", rows)


def measure(
    case: Case,
    *,
    populations: Sequence[int] = POPULATIONS,
    rounds: int = ROUNDS,
    template_rounds: int = TEMPLATE_ROUNDS,
    num_steps: int = STEPS,
) -> list[dict[str, object]]:
    """A row for each population size of one network."""
    data = made_up_data(case, num_steps=num_steps)
    recipe = template(case, num_steps=num_steps, uncounted=min(UNCOUNTED, num_steps // 2))
    templates = in_turns({"bare": bare(case, data), "template": recipe}, template_rounds)
    template_ratio = median_ratio(templates["template"], templates["bare"])
    rows = []
    for count in populations:
        times = in_turns(
            {"bare": bare(case, data), "ours": ours(case, data, count), **libraries()}, rounds
        )
        against_bare = median_ratio(times["bare"], times["ours"])
        fastest = min(libraries(), key=lambda name: median(times[name]))
        rate = step_flops(case) * median_ratio(times[fastest], times["ours"])
        rows.append(
            {
                "network": case.name,
                "replicas": count,
                "times as fast as a bare loop": round(against_bare, 3),
                "times as fast as a template": round(against_bare * template_ratio, 1),
                "share of the best product rate": round(rate / PRODUCT_FLOPS, 3),
                "whose": fastest,
                "bare_ms": round(1e3 * median(times["bare"]), 3),
                "ours_ms": round(1e3 * median(times["ours"]), 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


SIDE = 1024
PRODUCT_FLOPS = 2 * SIDE**3


def libraries() -> dict[str, Callable[[], float]]:
    """Seconds of one product of two 1024 x 1024 matrices in float32, by each library at hand.

    Named with the kernels that it takes: oneDNN those of PyTorch's own instruction set, PyTorch
    MKL's, which says no name, NumPy's BLAS as a record has it.
    """
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    numpy_a, numpy_b = a.numpy(), b.numpy()
    found: dict[str, Callable[[], Any]] = {
        f"torch {torch.__version__}": lambda: a @ b,
        described("numpy"): lambda: numpy_a @ numpy_b,
    }
    if torch.backends.mkldnn.is_available():
        linear = torch.ops.mkldnn._linear_pointwise
        name = f"oneDNN ({torch.backends.cpu.get_cpu_capability()})"
        found[name] = lambda: linear(a, b, None, "none", [], "")
    return {name: partial(product_seconds, multiply) for name, multiply in found.items()}


def product_seconds(multiply: Callable[[], Any]) -> float:
    """Seconds of one product, of ten, on PyTorch's number of threads."""
    with blas_threads(torch.get_num_threads()):
        started = time.perf_counter()
        for _ in range(10):
            multiply()
        return (time.perf_counter() - started) / 10


def step_flops(case: Case) -> float:
    """Multiplications and additions of one update's matrix products and convolutions.

    Forward, the gradient of the weights, and of the inputs of all layers but the first.
    """
    network = build_network(case.config(1).network, case.input_shape, 10)
    flops: list[float] = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        assert isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
        flops.append(2 * layer.weight[0].numel() * output.numel())

    layers = [
        layer for layer in network.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    ]
    for layer in layers:
        layer.register_forward_hook(count)
    network(torch.zeros(BATCH, *case.input_shape))
    return 3 * sum(flops) - flops[0]


if __name__ == "__main__":
    main()
