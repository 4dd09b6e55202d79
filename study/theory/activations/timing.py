"""How long activations take, relative to ReLU. It reads a clock: never the same twice."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from study.networks import Arguments
from study.networks.activations import ACTIVATIONS, make_activation, pieces_per_unit

# Measuring in turns: the machine drifts, so only ratios of neighbours are kept.


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Runs each contestant once a round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for current in range(rounds + 1):
        for name, run in contestants.items():
            seconds = run()
            if current:
                times[name].append(seconds)
    return times


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over rounds of slow / fast."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


SHAPE = (128, 1024)
"""Examples and units, of which a maxout unit is fed several linear pieces."""

ROUNDS = 41
PASSES = 10

REFERENCE = "relu"


def relative_times(
    levels: Mapping[str, Arguments], rounds: int = ROUNDS, passes: int = PASSES
) -> dict[str, float]:
    """Forward + backward time of each activation over ReLU's, on the CPU in float32.

    In every round each takes its turn, of several passes; the ratios are medians over rounds.
    """
    # As a process that has trained for a while: once a large tensor was freed, glibc keeps what
    # smaller ones free; before, it may give every one back to the system, and new pages cost
    # several times what ReLU does.
    torch.zeros(2**22)
    for name in ACTIVATIONS:
        _contestant({"name": name}, 1)()
    contestants = {REFERENCE: _contestant({"name": "relu"}, passes)}
    for name, config in levels.items():
        contestants.setdefault(name, _contestant(config, passes))
    times = in_turns(contestants, rounds)
    return {name: median_ratio(times[name], times[REFERENCE]) for name in levels}


def conditions() -> str:
    """What `relative_times` measures, and on what, in one sentence."""
    from study.outputs.provenance import code_and_machine

    threads = torch.get_num_threads()
    return (
        f"forward + backward pass over {SHAPE[0]} x {SHAPE[1]} float32 numbers, relative to "
        f"ReLU's: median over {ROUNDS} rounds, in turns in one process, of {PASSES} passes each "
        f"({threads} {'thread' if threads == 1 else 'threads'}, {code_and_machine()['processor']})"
    )


def _contestant(config: Arguments, passes: int) -> Callable[[], float]:
    """Runs forward and backward and returns the seconds; learned slopes have gradients too."""
    module = make_activation(config)
    generator = torch.Generator().manual_seed(0)
    examples, units = SHAPE
    inputs = torch.randn(examples, units * pieces_per_unit(module), generator=generator)
    upstream = torch.randn(SHAPE, generator=generator)
    wanted = [inputs.requires_grad_(), *module.parameters()]

    def run() -> float:
        started = time.perf_counter()
        for _ in range(passes):
            torch.autograd.grad(module(inputs), wanted, upstream)
        return time.perf_counter() - started

    return run
