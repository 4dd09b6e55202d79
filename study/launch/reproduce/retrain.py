"""A saved cell, trained again in a directory of its own, as its record says it was trained."""

import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch

from study.config import own
from study.config.configuration import Config
from study.data import read_images
from study.data.device import DTYPES, device_of
from study.data.module import data_of
from study.errors import InputError
from study.files import write_json
from study.launch.cell import Tick, train_cell
from study.launch.reproduce.saved import Saved, pretraining_headers, replica_names
from study.networks import build_network
from study.outputs.cell import CONTENT
from study.outputs.results import sealed
from study.outputs.schema import RESULT_FILE, WEIGHTS_FILE
from study.training.build import Populations, pack, replicas_of, why_alone, workers
from study.training.pretraining.stage import StartingWeights, epochs_of, training_data
from study.training.settings import Replica
from study.training.trainer import check_precision


def retraining_config(saved: Saved, root: Path | None = None) -> Config:
    """The configuration to train with: device, threads and products of the record.

    Nothing is kept in passing. A device that this machine has not is the CPU instead. `root` is the
    data's directory where it is another one now. Raises `InputError` where the data are not those
    of the record.
    """
    own.register()
    accelerator = torch.device(saved.provenance.device).type
    try:
        device_of(accelerator)
    except InputError:
        accelerator = "cpu"
    changes = {
        "trainer.accelerator": accelerator,
        "trainer.threads": saved.provenance.threads,
        "population.products": saved.provenance.products.partition(" ")[0],
        "trainer.checkpoint_seconds": None,
        "outputs.tensorboard": "none",
    }
    if root:
        changes["data.root"] = str(root)
    if not (saved.directory / WEIGHTS_FILE).exists():
        changes["outputs.weights"] = "none"
    config = saved.config.changed(changes)
    check_precision(config.trainer.precision, device_of(config.trainer.accelerator))
    data, recorded = config.data, saved.provenance.data_fingerprint
    found = read_images(data.name, data.root, data.cache).fingerprint
    if found != recorded:
        raise InputError(
            f"the data {data.name} have the fingerprint {found[:8]}, and {saved.directory} was "
            f"trained on {recorded[:8]}: give the directory of those with --data DIR"
        )
    return config


def num_ticks(config: Config, saved: Saved) -> int:
    """How often `tick` will be called: the epochs of all replicas and of their pretraining."""
    data = data_of(config)
    network = build_network(config.network, data.input_shape, data.num_classes)
    whole = len(training_data(config, data).train)
    epochs, before = epochs_of(config, network, num_train=len(data.train), num_whole=whole)
    return len(saved.trained) * epochs + len(saved.seeds) * before


def populations_of(config: Config, saved: Saved) -> Populations:
    """The replicas to train side by side, in groups: the record's, or the stated rule's.

    The record of an earlier version names none, and the rule's are others than they were if a
    resume changed its keys, or if some replicas were trained in a second round, since the record
    that they were to be copied from had not kept all of them. `InputError` if the record names
    other replicas than it trained.
    """
    replicas = {
        name: Replica(entry.seed, entry.lr)
        for name, entry in zip(replica_names(saved.trained), saved.trained, strict=True)
    }
    if populations := saved.provenance.populations:
        groups = list(chain(*populations))
        is_whole = sorted(chain(*groups)) == sorted(replicas)
        if not (is_whole and all(populations) and all(groups)):
            raise InputError(
                f"{saved.directory / RESULT_FILE} cannot be used: its populations are not made "
                "of the replicas that it trained"
            )
        return [[[replicas[name] for name in group] for group in each] for each in populations]
    data, settings = data_of(config), config.population
    network = build_network(config.network, data.input_shape, data.num_classes)
    network.to(DTYPES[config.trainer.precision])
    device, trained = data.train.inputs.device, set(replicas.values())
    num_workers = workers(device, config.trainer.threads or torch.get_num_threads())
    alone = why_alone([network], config.optimizer.name)
    ordered = [each for each in replicas_of(config) if each in trained]
    most = settings.max_replicas or len(ordered)
    return [
        pack(
            ordered[start : start + most],
            network,
            device,
            engine=settings.engine,
            num_workers=num_workers,
            alone=alone,
        )
        for start in range(0, len(ordered), most)
    ]


def retrain(
    saved: Saved,
    config: Config,
    populations: Populations,
    study: Path,
    tick: Tick,
) -> Path:
    """Trains the cell in the empty directory `study`; returns the cell's directory there.

    Its copied replicas are given to it as it was given them, in a cell beside it, and the others
    are trained, packed as `populations` has them. Seeds that were pretrained at once, which shared
    the threads, are pretrained at once; where the record of that is gone, as the cell needs them.
    """
    if saved.copied:
        source = study / "copied"
        source.mkdir()
        for name in CONTENT:
            if (saved.directory / name).exists():
                shutil.copyfile(saved.directory / name, source / name)
        # A record is sound only if it has a replica at its chosen rate; which one, nobody asks.
        only = replace(saved.result, replicas=tuple(saved.copied), chosen_lr=saved.copied[0].lr)
        write_json(source / RESULT_FILE, sealed(only))
    headers = [
        each for each in pretraining_headers(saved).values() if {"seeds", "threads"} <= set(each)
    ]
    for num_threads, seeds in dict.fromkeys((each["threads"], each["seeds"]) for each in headers):
        torch.set_num_threads(int(num_threads))
        starts = StartingWeights(config, data_of(config), study, tick)
        starts.of([int(seed) for seed in seeds.split(",")])
    directory = study / saved.directory.name
    directory.mkdir()
    train_cell(
        config,
        directory,
        factors=saved.result.factors,
        threads=saved.provenance.threads,
        tick=tick,
        recorded=populations,
    )
    return directory
