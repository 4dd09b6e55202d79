"""One cell, trained: a configuration and an empty directory in, a recorded cell out."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from study.config.configuration import RECIPE, Config, hashed, level_versions
from study.data import Data
from study.data.device import device_of
from study.data.module import data_of
from study.launch.attempt import Attempt, needs_weights
from study.locks import Lost
from study.outputs.cell import clear_unfinished, write_cell, write_config
from study.outputs.checkpoint import CHECKPOINT, Checkpoints, UnfitCheckpoint, read_checkpoint
from study.outputs.metrics import PROBES
from study.outputs.provenance import code_and_machine
from study.outputs.results import Header, Provenance, References, Result, TrainedReplica, own_config
from study.outputs.reuse import finished_replicas
from study.outputs.schema import reader
from study.tensorboard.curves import rates_by_epoch
from study.tensorboard.loggers import make_loggers
from study.tensorboard.pretraining import watched_run
from study.tensorboard.summary import write_summary
from study.tensorboard.writer import open_writer
from study.training.build import Populations
from study.training.interpolation import pair_rows
from study.training.pretraining.stage import StartingWeights
from study.training.products import described
from study.training.references import task_record
from study.training.settings import Settings

Tick = Callable[[float], None]
OTHERWISE = "the cell starts over"
"""What happens where a checkpoint cannot be gone on from."""


def train_cell(
    config: Config,
    directory: Path,
    *,
    factors: Mapping[str, Any],
    threads: int,
    tick: Tick,
    recorded: Populations = (),
) -> Result:
    """Trains every replica of a cell that no earlier record holds; returns its result.json.

    `directory` must be there and owned by us. An unfinished attempt's last checkpoint is gone on
    from, and what else it left is removed. `tick` is called as replicas are trained, with how
    many epochs of one replica that was. `recorded` are the populations of a cell that is trained
    again. `Lost` as soon as another process has taken the directory over.
    """
    torch.set_num_threads(threads)
    data = data_of(config)
    try:
        attempt = _attempt(config, data, directory, threads, tick, recorded)
        results, seconds = _train(attempt, directory, factors=factors)
    except UnfitCheckpoint as unfit:
        Checkpoints(directory, "", None).put_aside(unfit, OTHERWISE)
        attempt = _attempt(config, data, directory, threads, tick, recorded)
        results, seconds = _train(attempt, directory, factors=factors)
    task = task_record(config, data)
    result = write_cell(
        directory,
        results,
        pairs=pair_rows(config, data, results),
        labels=data.test.labels.cpu().numpy(),
        input_shape=data.input_shape,
        normalization={name: value.cpu() for name, value in data.normalize.state_dict().items()},
        keep_weights=config.outputs.weights,
        header=Header(
            signature=config.signature(data.fingerprint),
            family=config.signature(data.fingerprint, without_seeds=True),
            factors=dict(factors),
            config=own_config(config.mapping),
            task=task["task"],
            num_train=len(data.train),
            num_val=len(data.val),
            num_test=len(data.test),
            updates_per_epoch=len(data.train)
            // Settings.from_config(config).batch_of(len(data.train)),
            references=reader(References)(task.get("references", {})),
            wall_seconds=round(seconds, 3),
            **attempt.starts.record(),
            provenance=_provenance(attempt),
        ),
    )
    with contextlib.suppress(Lost):
        # The record was ours: whoever has the directory since then finds the cell finished.
        attempt.checkpoints.remove()
    return result


def _attempt(
    config: Config, data: Data, directory: Path, threads: int, tick: Tick, recorded: Populations
) -> Attempt:
    """What is to be trained, from the checkpoint on if there is one; clears all else away.

    `UnfitCheckpoint` where it is of another version of the code.
    """
    identity = config.signature(data.fingerprint)
    seconds = config.trainer.checkpoint_seconds
    checkpoints = Checkpoints(directory, identity, seconds)
    checkpoint = read_checkpoint(checkpoints.path, identity, OTHERWISE)
    clear_unfinished(directory, (CHECKPOINT,) if checkpoint else ())
    family = config.signature(data.fingerprint, without_seeds=True)
    needed = needs_weights(config)
    attempt = Attempt(
        config,
        data,
        StartingWeights(config, data, directory.parent, tick, watched_run),
        copied=[]
        if checkpoint
        else finished_replicas(directory.parent, family, config.seeds, with_weights=needed),
        checkpoints=checkpoints,
        environment=_environment(config, threads),
        tick=tick,
        recorded=recorded,
    )
    if checkpoint is not None:
        attempt.resume(checkpoint)
    write_config(directory, config.mapping)
    return attempt


def _train(
    attempt: Attempt, directory: Path, *, factors: Mapping[str, Any]
) -> tuple[list[TrainedReplica], float]:
    """The results and the seconds that they took; the loggers and TensorBoard have them then.

    As the epochs end, where all replicas train together, and else when all are there. What an
    earlier attempt drew is drawn again.
    """
    config, are_live = attempt.config, attempt.is_whole
    drawn: set[str] = set()
    with (
        open_writer(directory)
        if config.has_runs and are_live
        else contextlib.nullcontext() as writer
    ):
        results, seconds = attempt.finish(writer), attempt.seconds
        if writer is not None:
            drawn = writer.written
    if not are_live:
        for logger in make_loggers(config, directory, None):
            for epoch, means in rates_by_epoch(results):
                logger.log_metrics(means, step=epoch)
            logger.save()
            logger.finalize("success")
    if config.has_runs:
        with open_writer(directory) as writer:
            writer.written |= drawn
            write_summary(writer, results, config=config, factors=factors, data=attempt.data)
    return results, seconds


def _environment(config: Config, threads: int) -> dict[str, Any]:
    """Where training takes place, as far as it can change last bits."""
    device = device_of(config.trainer.accelerator)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    code = code_and_machine()
    return {
        "git_commit": code["git_commit"],
        "git_diff_sha256": code["git_diff_sha256"],
        "torch": code["packages"]["torch"],
        "processor": code["processor"],
        "device": str(device),
        "gpu": gpu,
        "threads": threads,
    }


def _provenance(attempt: Attempt) -> Provenance:
    where = {name: attempt.environment[name] for name in ("device", "gpu", "threads")}
    provenance: Provenance = reader(Provenance)(
        code_and_machine()
        | where
        | {
            "recipe": RECIPE,
            "levels": level_versions(hashed(attempt.config.mapping)),
            "own_probes": PROBES.words(attempt.config.probes.own),
            "data_fingerprint": attempt.data.fingerprint,
            "engine": "stacked" if max(attempt.packing, default=1) > 1 else "sequential",
            "packing": attempt.packing,
            "alone": attempt.alone,
            "products": described(attempt.products or "torch"),
            "populations": attempt.populations,
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "resumed": attempt.resumed,
        }
    )
    return provenance
