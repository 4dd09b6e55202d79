"""The stated rule of which replicas are trained as one.

It reads the network, the device, the number of replicas and of threads, never a clock, so that a
record says all that a repetition needs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from study.errors import InputError
from study.population.optimizers import is_elementwise
from study.population.settings import Replica
from study.population.stacking import unstackable
from study.population.symmetry import Symmetry

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
    alone: str | None = None,
) -> list[list[Replica]]:
    """The groups of replicas that are trained as one.

    `sequential` has each replica alone and `stacked` as few groups as there are workers. `auto`
    stacks on a GPU; on a CPU it stacks dense networks, up to STACK_BYTES of parameters a group,
    and leaves convolutions alone, whose grouped form is slower there than a loop. The number of
    stacks is a multiple of the workers', so that none of them waits for another; they are filled
    in the order of the learning rates: where a stack has whole rates, its seeds' batches are
    shared. Whatever is asked for, replicas that have a reason to be `alone` are (`why_alone`).
    """
    most = 1 if alone else _largest_group(network, device, engine, len(replicas))
    if most == 1:
        return [[replica] for replica in replicas]
    rounds = math.ceil(len(replicas) / most / num_workers)
    num_groups = min(len(replicas), rounds * num_workers)
    ordered = sorted(replicas, key=lambda replica: replica.lr)
    bounds = [len(ordered) * part // num_groups for part in range(num_groups + 1)]
    return [ordered[first:last] for first, last in pairwise(bounds)]


def why_alone(networks: Iterable[nn.Module], optimizer: Mapping[str, Any]) -> str | None:
    """What keeps replicas of these networks from being stacked, in words; `None` if nothing does.

    `networks` are of one form, one a seed, as they start; `optimizer` has the keys of its level.
    """
    networks = list(networks)
    if form := unstackable(networks[0]):
        return form
    if not is_elementwise(optimizer["name"]):
        return (
            f"optimizer={optimizer['name']} is not declared elementwise "
            "(study/population/optimizers.py)"
        )
    if any(Symmetry.of(network) for network in networks):
        return "units start equal, and a stack could tell them apart by rounding"
    return None


def check_engine(engine: str, alone: str | None) -> None:
    """`InputError` where stacks are asked for and cannot be had."""
    if engine == "stacked" and alone:
        raise InputError(
            f"population.engine=stacked: {alone}; leave population.engine at auto, "
            "which trains each replica alone"
        )


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
