"""A configuration and its data, made into a population."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from study.data import Data
from study.networks import Network, build_network, initialize, needs_sample
from study.population.alone import Alone
from study.population.engine import Engine
from study.population.group import Group, State
from study.population.module import Population
from study.population.packing import check_engine, pack, why_alone, workers
from study.population.settings import Replica, Settings
from study.population.stack import Stack
from study.population.streams import Streams
from study.probes.batch import probe_batch
from study.probes.moments import moments_of
from study.probes.recorder import Recorder

DTYPES = {
    "32-true": torch.float32,
    "64-true": torch.float64,
    "bf16-mixed": torch.float32,
    "tf32": torch.float32,
}
"""The type of parameters and inputs for each `trainer.precision`."""
SAMPLE_SIZE = 1024


def replicas_of(config: Mapping[str, Any]) -> list[Replica]:
    """Every replica of a cell: its seeds at its learning rates, seed by seed."""
    return [Replica(seed, lr) for seed in config["seeds"] for lr in config["optimizer"]["lr"]]


def build_population(
    config: Mapping[str, Any],
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
    seeds = dict.fromkeys(replica.seed for replica in replicas)
    starts = starts or {}
    first = {seed: _first_network(config, data, seed, starts.get(seed)) for seed in seeds}
    device = data.train.inputs.device
    num_workers = workers(device, torch.get_num_threads())
    engine, alone = config["population"]["engine"], why_alone(first.values(), config["optimizer"])
    if alone or not groups:
        check_engine(engine, alone)
        groups = pack(
            replicas,
            first[replicas[0].seed],
            device,
            engine=engine,
            num_workers=num_workers,
            alone=alone,
        )
    settings = Settings.of(config)
    trained = Engine([_group(first, group, settings) for group in groups], num_workers=num_workers)
    recorder = _recorder(config, data, settings, first)
    return Population(trained, data, config, recorder, alone=alone)


def _recorder(
    config: Mapping[str, Any], data: Data, settings: Settings, first: Mapping[int, Network]
) -> Recorder | None:
    """What takes the probes that a configuration asks for; `first` are the seeds' networks."""
    num_examples = len(data.train)
    moments = moments_of(
        config["probes"],
        updates_per_epoch=num_examples // settings.batch_of(num_examples),
        num_epochs=config["trainer"]["max_epochs"],
    )
    if not moments:
        return None
    batch = probe_batch(data.val, config["probes"]["num_examples"])
    return Recorder(moments, batch, settings.task, first)


def _group(first: Mapping[int, Network], replicas: Sequence[Replica], settings: Settings) -> Group:
    """Replicas as one: a stack, or a plain network where there is but one."""
    if len(replicas) == 1:
        return Alone(copy.deepcopy(first[replicas[0].seed]), replicas[0], settings)
    return Stack([first[replica.seed] for replica in replicas], replicas, settings)


def _first_network(
    config: Mapping[str, Any], data: Data, seed: int, start: State | None
) -> Network:
    """The plain network of `seed` in the state `start`, or initialized."""
    dtype = DTYPES[config["trainer"]["precision"]]
    if start is None:
        return initial_network(config, data, seed).to(dtype)
    network = build_network(config, data.input_shape, data.num_classes).to(dtype)
    network.load_state_dict(start)
    return network


def initial_network(config: Mapping[str, Any], data: Data, seed: int) -> Network:
    """The plain network that every replica of `seed` starts from."""
    network = build_network(config, data.input_shape, data.num_classes)
    generator = Streams(config["streams"]).generator(seed, "initialization")
    sample = None
    if needs_sample(config["init"]):
        order = torch.randperm(len(data.train.labels), generator=generator)[:SAMPLE_SIZE]
        sample = data.train.inputs[order.to(data.train.inputs.device)].float().cpu()
    initialize(network, config["init"], config["activation"], generator, sample)
    return network


def check_network(
    config: Mapping[str, Any], input_shape: tuple[int, int, int], num_classes: int
) -> Network:
    """Builds and initializes a network on made-up inputs; raises `InputError` where that fails.

    And where the configuration asks for a task that its inputs cannot have, or for stacks of what
    cannot be stacked.
    """
    Settings.of(config)
    network = build_network(config, input_shape, num_classes)
    generator = torch.Generator().manual_seed(0)
    sample = None
    if needs_sample(config["init"]):
        sample = torch.empty(64, *input_shape).normal_(generator=generator)
    initialize(network, config["init"], config["activation"], generator, sample)
    if (engine := config["population"]["engine"]) == "stacked":
        check_engine(engine, why_alone([network], config["optimizer"]))
    return network
