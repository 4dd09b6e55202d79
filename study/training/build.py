"""A configuration and its data, made into a population."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import pairwise

import torch
from torch import nn

from study.config.configuration import Config
from study.data import Data
from study.data.batches import Streams
from study.data.device import DTYPES, device_of
from study.errors import InputError
from study.networks import Network, build_network, initialize, needs_sample
from study.training.alone import Alone
from study.training.engine import Engine
from study.training.group import Group, State
from study.training.optimizers import is_elementwise
from study.training.population import Population
from study.training.products import library_of
from study.training.settings import Replica, Settings
from study.training.stack import Stack
from study.training.stacking import by_numpy, unstackable
from study.training.symmetry import Symmetry

Populations = Sequence[Sequence[Sequence[Replica]]]
"""Replicas that are trained side by side, in the groups that are trained as one."""
SAMPLE_SIZE = 1024
STACK_BYTES = 3_000_000
"""Parameters of one stack on a CPU.

Measured (benchmarks/packing.py): stacking 20 MLPs of 3x32 doubles their speed, of 3x128 adds a
fifth, of 3x256 nothing.
"""


# The stated rule of which replicas are trained as one.


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

    The rule reads the network, the device, the number of replicas and of threads, never a clock, so
    that a record says all that a repetition needs.

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


def why_alone(networks: Iterable[nn.Module], optimizer: str) -> str | None:
    """What keeps replicas of these networks from being stacked, in words; `None` if nothing does.

    `networks` are of one form, one a seed, as they start; `optimizer` is its level's name.
    """
    networks = list(networks)
    if form := unstackable(networks[0]):
        return form
    if not is_elementwise(optimizer):
        return f"optimizer={optimizer} is not declared elementwise (study/training/optimizers.py)"
    if any(Symmetry.from_network(network) for network in networks):
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


# A population, and the networks that it starts from.


def replicas_of(config: Config) -> list[Replica]:
    """Every replica of a cell: its seeds at its learning rates, seed by seed."""
    return [Replica(seed, lr) for seed in config.seeds for lr in config.optimizer.lr]


def build_population(
    config: Config,
    data: Data,
    replicas: Sequence[Replica],
    starts: Mapping[int, State] | None = None,
    groups: Sequence[Sequence[Replica]] = (),
) -> Population:
    """The population of `replicas`, initialized.

    Each seed is initialized once, on the plain module in float32 on the CPU, and copied to its
    learning rates; a seed in `starts` begins in that state of the plain module instead. The
    replicas are packed by the stated rule, or as `groups` has them if they can be stacked.
    """
    dtype, starts = DTYPES[config.trainer.precision], starts or {}
    first: dict[int, Network] = {}
    for seed in dict.fromkeys(replica.seed for replica in replicas):
        if seed in starts:
            network = build_network(config.network, data.input_shape, data.num_classes).to(dtype)
            network.load_state_dict(starts[seed])
        else:
            network = initial_network(config, data, seed).to(dtype)
        first[seed] = network
    device = data.train.inputs.device
    num_workers = workers(device, torch.get_num_threads())
    alone = why_alone(first.values(), config.optimizer.name)
    if alone or not groups:
        check_engine(config.population.engine, alone)
        groups = pack(
            replicas,
            first[replicas[0].seed],
            device,
            engine=config.population.engine,
            num_workers=num_workers,
            alone=alone,
        )
    library = library_of(config, device, first[replicas[0].seed], groups)
    settings = Settings.from_config(config, library)
    trained: list[Group] = []
    for group in groups:
        networks = [first[replica.seed] for replica in group]
        if len(group) == 1:
            trained.append(Alone(copy.deepcopy(networks[0]), group[0], settings))
        else:
            trained.append(Stack(networks, group, settings))
        if library == "numpy":
            by_numpy(trained[-1].network)
    engine = Engine(trained, num_workers=num_workers, products=library)
    return Population(engine, config, first, alone=alone)


def initial_network(config: Config, data: Data, seed: int) -> Network:
    """The plain network that every replica of `seed` starts from."""
    network = build_network(config.network, data.input_shape, data.num_classes)
    generator = Streams(config.streams).generator(seed, "initialization")
    sample = None
    if needs_sample(config.init.level):
        order = torch.randperm(len(data.train.labels), generator=generator)[:SAMPLE_SIZE]
        sample = data.train.inputs[order.to(data.train.inputs.device)].float().cpu()
    initialize(network, config.init.level, config.activation.level, generator, sample)
    return network


def check_network(config: Config, input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """Builds and initializes a network on made-up inputs; raises `InputError` where that fails.

    And where the configuration asks for a task that its inputs cannot have, or for stacks or
    products that it cannot have.
    """
    Settings.from_config(config)
    network = build_network(config.network, input_shape, num_classes)
    generator = torch.Generator().manual_seed(0)
    sample = None
    if needs_sample(config.init.level):
        sample = torch.empty(64, *input_shape).normal_(generator=generator)
    initialize(network, config.init.level, config.activation.level, generator, sample)
    if (engine := config.population.engine) == "stacked":
        check_engine(engine, why_alone([network], config.optimizer.name))
    library_of(config, device_of(config.trainer.accelerator), network, ())
    return network
