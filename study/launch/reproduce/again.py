"""A saved cell, trained again in a directory of its own, as its record says it was trained."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch

from study.config.configuration import Config
from study.data import read_images
from study.errors import InputError
from study.files import write_json
from study.launch.cell import data_of, train_cell
from study.launch.reproduce.pretrainings import together
from study.launch.reproduce.saved import Saved, names
from study.networks import build_network
from study.outputs.cell import CONTENT
from study.outputs.results import sealed
from study.training.build import DTYPES, Populations, pack, replicas_of, why_alone, workers
from study.training.pretraining.stage import StartingWeights, epochs_of, training_data
from study.training.settings import Replica
from study.training.trainer import check_precision, device_of

Tick = Callable[[int], None]


def config_again(saved: Saved, root: Path | None = None) -> Config:
    """The configuration to train with: the device and threads of the record, nothing in passing.

    A device that this machine has not is the CPU instead. `root` is the data's directory where it
    is another one now. Raises `InputError` where the data are not those of the record.
    """
    changes = {
        "trainer.accelerator": _accelerator(saved.provenance.device),
        "trainer.threads": saved.provenance.threads,
        "trainer.checkpoint_seconds": None,
        "outputs.tensorboard": "none",
    }
    if root:
        changes["data.root"] = str(root)
    if not (saved.directory / "weights.safetensors").exists():
        changes["outputs.weights"] = "none"
    config = saved.config.changed(changes)
    check_precision(config.trainer.precision, device_of(config.trainer.accelerator))
    _check_data(saved, config)
    return config


def _accelerator(device: str) -> str:
    kind = torch.device(device).type
    try:
        device_of(kind)
    except InputError:
        return "cpu"
    return kind


def _check_data(saved: Saved, config: Config) -> None:
    data = config.data
    found = read_images(data.name, data.root, data.cache).fingerprint
    recorded = saved.provenance.data_fingerprint
    if found != recorded:
        raise InputError(
            f"the data {data.name} have the fingerprint {found[:8]}, and {saved.directory} was "
            f"trained on {recorded[:8]}: give the directory of those with --data DIR"
        )


def num_ticks(config: Config, saved: Saved) -> int:
    """How often `tick` will be called: the epochs of all replicas and of their pretraining."""
    data = data_of(config)
    network = build_network(config.network, data.input_shape, data.num_classes)
    whole = len(training_data(config, data).train)
    epochs, before = epochs_of(config, network, num_train=len(data.train), num_whole=whole)
    seeds = {replica.seed for replica in saved.trained}
    return len(saved.trained) * epochs + len(seeds) * before


def populations_again(config: Config, saved: Saved) -> Populations:
    """The replicas to train side by side, in groups: the record's, or the stated rule's.

    The record of an earlier version names none, and the rule's are others than they were if a
    resume changed its keys, or if some replicas were trained in a second round, since the record
    that they were to be copied from had not kept all of them.
    """
    return _recorded(saved) or _by_rule(config, saved)


def _recorded(saved: Saved) -> Populations:
    """The trained replicas as the record has them together; `InputError` if it has others."""
    populations = saved.provenance.populations
    replicas = {
        name: Replica(entry.seed, entry.lr)
        for name, entry in zip(names(saved.trained), saved.trained, strict=True)
    }
    groups = [group for population in populations for group in population]
    if populations and not (
        all(populations) and all(groups) and sorted(chain(*groups)) == sorted(replicas)
    ):
        raise InputError(
            f"{saved.directory / 'result.json'} cannot be used: its populations are not made of "
            "the replicas that it trained"
        )
    return [[[replicas[name] for name in group] for group in each] for each in populations]


def _by_rule(config: Config, saved: Saved) -> Populations:
    data = data_of(config)
    network = build_network(config.network, data.input_shape, data.num_classes)
    network.to(DTYPES[config.trainer.precision])
    device, settings = data.train.inputs.device, config.population
    trained = {(replica.seed, replica.lr) for replica in saved.trained}
    replicas = [each for each in replicas_of(config) if (each.seed, each.lr) in trained]
    most = settings.max_replicas or len(replicas)
    num_workers = workers(device, config.trainer.threads or torch.get_num_threads())
    alone = why_alone([network], config.optimizer.name)
    return [
        pack(
            replicas[start : start + most],
            network,
            device,
            engine=settings.engine,
            num_workers=num_workers,
            alone=alone,
        )
        for start in range(0, len(replicas), most)
    ]


def train_again(
    saved: Saved, config: Config, populations: Populations, study: Path, tick: Tick
) -> Path:
    """Trains the cell in the empty directory `study`; returns the cell's directory there.

    Its copied replicas are given to it as it was given them, and the others are trained, packed as
    `populations` has them. Seeds that were pretrained together are pretrained together.
    """
    if saved.copied:
        _lend(saved, study)
    for threads, seeds in together(saved):
        torch.set_num_threads(threads)
        StartingWeights(config, data_of(config), study, tick).of(seeds)
    directory = study / saved.directory.name
    directory.mkdir()
    factors = saved.result.factors
    threads = saved.provenance.threads
    train_cell(config, directory, factors=factors, threads=threads, tick=tick, again=populations)
    return directory


def _lend(saved: Saved, study: Path) -> None:
    """Puts a cell with the copied replicas alone beside the one to train."""
    lender = study / "copied"
    lender.mkdir()
    for name in CONTENT:
        if (saved.directory / name).exists():
            shutil.copyfile(saved.directory / name, lender / name)
    # A record is sound only if it has a replica at its chosen rate; which one, nobody asks here.
    lent = replace(saved.result, replicas=tuple(saved.copied), chosen_lr=saved.copied[0].lr)
    write_json(lender / "result.json", sealed(lent))
