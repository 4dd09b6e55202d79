"""A plan made into cells with an identity, and those cells trained, whatever happens to one."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from study.config import own
from study.config.configuration import directory_name, flatten, named_levels, with_fingerprint
from study.config.labels import cell_words
from study.config.level_source import check_unchanged
from study.config.sweep import Cell
from study.data import read_images, split_indices
from study.data.device import device_of
from study.data.split import subset_indices
from study.errors import InputError
from study.launch.cell import Tick, train_cell
from study.launch.memory import CellMemory
from study.launch.progress import SweepProgress
from study.launch.sharing import Sharing
from study.networks import needs_sample
from study.outputs.failures import Failure, Outcome, all_alike
from study.outputs.metrics import PROBES
from study.outputs.results import Result
from study.probes.recorder import check_steps
from study.tensorboard.loggers import check_loggers
from study.training.build import check_network
from study.training.pretraining.cache import cache_directory, pretraining_signature, weights_path
from study.training.pretraining.checks import check_pretraining
from study.training.pretraining.stage import epochs_of, is_pretrained
from study.training.trainer import check_precision


def identify(cells: Sequence[Cell]) -> list[Cell]:
    """Gives each planned cell its signature and directory, so that mistakes show here.

    Reads the data's fingerprint, splits them, and checks one network a cell: its names, shapes
    and rules, and that its replicas fit into memory. What then raises `InputError`, before
    anything is written, names the cell if there are several. What depends on the data themselves
    (an `init=lsuv` that finds no variance) is left to training, where one cell stops no other.
    """
    own.register()
    launched = []
    for cell, label in zip(cells, cell_words([cell.factors for cell in cells]), strict=True):
        try:
            launched.append(_identified(cell, label))
        except InputError as error:
            raise InputError(f"{label}: {error}" if len(cells) > 1 else str(error)) from None
    return launched


def _identified(cell: Cell, label: str) -> Cell:
    config, data = cell.config, cell.config.data
    for key, name in (("data.name", data.name), *named_levels(dict(flatten(config.mapping)))):
        check_unchanged(key, name)
    device = device_of(config.trainer.accelerator)
    check_precision(config.trainer.precision, device)
    check_loggers(config)
    shape, num_classes, sizes, fingerprint = _checked_data(
        *(data.name, data.root, data.val_size, data.train_size),
        *(data.test_size, data.split_seed, data.cache),
    )
    if data.crop > min(shape[1:]):
        side = min(shape[1:])
        raise InputError(f"data.crop={data.crop} is above the side of the images, {side} pixels")
    num_whole, num_train, num_val = sizes
    try:
        memory = CellMemory(config, shape, num_classes)
        memory.check(device)
        memory.check_probing(device)
        # One that looks at the data to begin is built by one that does not.
        measures = needs_sample(config.init.level)
        unmeasured = config.changed({"init.name": "orthogonal"}) if measures else config
        check_network(unmeasured, shape, num_classes)
        check_pretraining(config, memory.network)
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the network cannot be built: {reason}") from None
    memory.check_pretraining(device, num_whole + 2 * num_val)
    epochs, pretraining_epochs = epochs_of(
        config, memory.network, num_train=num_train, num_whole=num_whole
    )
    PROBES.own()  # whose names may be taken
    check_steps(config.probes, last=num_train // min(config.batch_size, num_train) * epochs)
    weights: tuple[Path, ...] = ()
    if is_pretrained(config):
        digest = pretraining_signature(config, fingerprint)
        cache = cache_directory(Path(), config.pretraining.name, digest)
        weights = tuple(weights_path(cache, seed) for seed in config.seeds)
    digest = config.signature(fingerprint)
    return replace(
        cell,
        factors=with_fingerprint(cell.factors, config.mapping, fingerprint),
        label=label,
        directory=directory_name(cell.choices, digest),
        signature=digest,
        family=config.signature(fingerprint, without_seeds=True),
        network_bytes=memory.network_bytes,
        epochs=epochs,
        pretraining_epochs=pretraining_epochs,
        pretraining=weights,
    )


@functools.lru_cache(maxsize=64)
def _checked_data(
    name: str,
    root: str | None,
    val_size: float,
    train_size: Any,
    test_size: Any,
    seed: int,
    cache: str | None,
) -> tuple[tuple[int, int, int], int, tuple[int, int, int], str]:
    """What a data set whose sizes can be had is: image shape, number of classes, fingerprint.

    And before the last the sizes of the training split, of what is trained on, of validation.
    """
    images = read_images(name, root, cache)
    whole, subset, val = split_indices(
        images.train_labels, val_size=val_size, train_size=train_size, split_seed=seed
    )
    subset_indices(images.test_labels, test_size, split_seed=seed)
    channels, height, width = images.train_images.shape[1:]
    sizes = len(whole), len(subset), len(val)
    return (channels, height, width), len(images.classes), sizes, images.fingerprint


def run(
    study: Path,
    cells: Sequence[Cell],
    *,
    threads: int,
    max_failures: int,
    progress: SweepProgress | None = None,
) -> Outcome:
    """Trains the cells that are not finished, in turn; returns those that failed.

    Any number of processes may run the same cells: each cell is trained by one of them. One that
    another process owns is passed over and looked at again, until it is finished or its owner dead;
    one that another process has failed at meanwhile counts as failed here as well. Stops early when
    `max_failures` cells failed, none succeeded, and all with the same error.
    """
    if progress is None:
        total = sum(cell.replica_epochs for cell in cells)
        bar = all(cell.config.trainer.enable_progress_bar for cell in cells)
        progress = SweepProgress(len(cells), total, bar=bar)

    def train(cell: Cell, directory: Path, tick: Tick) -> Result:
        own = cell.config.trainer.threads or threads
        return train_cell(cell.config, directory, factors=cell.factors, threads=own, tick=tick)

    failures: list[Failure] = []
    done, num_left = 0, len(cells)
    with progress:
        for failure in Sharing(study, progress, train).each(cells):
            done += failure is None
            failures += [failure] if failure else []
            num_left -= 1
            if num_left and not done and all_alike(failures, max_failures):
                first = f"first {max_failures} cells all" if max_failures > 1 else "first cell"
                progress.say(f"stopped: the {first} failed alike")
                return Outcome(failures, num_left)
    return Outcome(failures)
