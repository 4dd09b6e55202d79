"""The stated rule of which replicas are trained as one.

It reads the network, the device, the number of replicas and of threads, never a clock, so that a
record says all that a repetition needs.
"""

import math
from collections.abc import Iterable, Sequence, Sized
from itertools import pairwise

import torch
from torch import nn

from study.population.settings import Replica

Populations = Sequence[Sequence[Sequence[Replica]]]
"""Replicas that are trained side by side, in the groups that are trained as one."""
STACK_BYTES = 3_000_000
"""Parameters of one stack on a CPU.

Measured (benchmarks/packing.py): stacking 20 MLPs of 3x32 doubles their speed, of 3x128 adds a
fifth, of 3x256 nothing.
"""


def pack(
    replicas: Sequence[Replica],
    network: nn.Module,
    device: torch.device,
    *,
    engine: str,
    num_workers: int,
) -> list[list[Replica]]:
    """The groups of replicas that are trained as one.

    `sequential` has each replica alone and `stacked` as few groups as there are workers. `auto`
    stacks on a GPU; on a CPU it stacks dense networks, up to STACK_BYTES of parameters a group,
    and leaves convolutions alone, whose grouped form is slower there than a loop. The number of
    stacks is a multiple of the workers', so that none of them waits for another; they are filled
    in the order of the learning rates: where a stack has whole rates, its seeds' batches are
    shared.
    """
    most = _largest_group(network, device, engine, len(replicas))
    if most == 1:
        return [[replica] for replica in replicas]
    rounds = math.ceil(len(replicas) / most / num_workers)
    num_groups = min(len(replicas), rounds * num_workers)
    ordered = sorted(replicas, key=lambda replica: replica.lr)
    bounds = [len(ordered) * part // num_groups for part in range(num_groups + 1)]
    return [ordered[first:last] for first, last in pairwise(bounds)]


def _largest_group(network: nn.Module, device: torch.device, engine: str, count: int) -> int:
    if engine == "sequential":
        return 1
    if engine == "stacked" or device.type != "cpu":
        return count
    if any(isinstance(module, nn.Conv2d) for module in network.modules()):
        return 1
    num_bytes = sum(parameter.nbytes for parameter in network.parameters())
    return max(1, STACK_BYTES // num_bytes)


def sizes(populations: Iterable[Iterable[Sized]]) -> list[int]:
    """How many replicas each group of each population has."""
    return [len(group) for groups in populations for group in groups]


def workers(device: torch.device, threads: int) -> int:
    """How many groups are trained side by side: one for each thread of a CPU, one on a GPU."""
    return threads if device.type == "cpu" else 1
