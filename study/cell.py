"""One cell, trained: a configuration and an empty directory in, a recorded cell out."""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.configuration import RECIPE, Config, signature
from study.data import Data, prepare
from study.events import EpochCurves, open_writer, write_summary
from study.outputs.cell import clear_unfinished, write_cell, write_config
from study.outputs.provenance import code_and_machine
from study.outputs.results import ReplicaResult, choose_lr
from study.outputs.reuse import finished_replicas, lacks
from study.population import Population, Replica
from study.population.build import DTYPES, build_population, replicas_of
from study.pretraining.stage import StartingWeights, with_equal_budget
from study.references import task_record
from study.trainer import device_of, make_trainer

Tick = Callable[[int], None]


def data_of(config: Config) -> Data:
    """The cell's data on its device, in its precision."""
    dtype = DTYPES[config["trainer"]["precision"]]
    device = device_of(config["trainer"]["accelerator"])
    return prepare(config["data"], dtype=dtype, device=device)


def train_cell(
    config: Config, directory: Path, *, factors: Mapping[str, Any], threads: int, tick: Tick
) -> dict[str, Any]:
    """Trains every replica of a cell that no earlier record holds; returns its result.json.

    `directory` must be there and locked by us; what an unfinished attempt left in it is removed.
    `tick` is called with a number of replicas after an epoch of theirs.
    """
    torch.set_num_threads(threads)
    clear_unfinished(directory)
    write_config(directory, config)
    data = data_of(config)
    keep = config["outputs"]["weights"]
    family = signature(config, data.fingerprint, without_seeds=True)
    copied = finished_replicas(
        directory.parent, family, config["seeds"], with_weights=keep != "none"
    )
    with contextlib.ExitStack() as stack:
        writer = None
        if config["outputs"]["tensorboard"] != "none":
            writer = stack.enter_context(open_writer(directory))
        started = time.perf_counter()
        starts = StartingWeights(config, data, directory.parent, tick)
        results, packing = _train_missing(config, data, copied, starts, writer, tick)
        seconds = time.perf_counter() - started - starts.elapsed
        if writer is not None:
            write_summary(writer, results, config=config, factors=factors, data=data)
    return write_cell(
        directory,
        results,
        labels=data.test.labels.cpu().numpy(),
        input_shape=data.input_shape,
        normalization={name: value.cpu() for name, value in data.normalize.state_dict().items()},
        keep_weights=keep,
        header={
            "signature": signature(config, data.fingerprint),
            "family": family,
            "factors": dict(factors),
            **task_record(config, data),
            "wall_seconds": round(seconds, 3),
            **starts.record(),
            "provenance": _provenance(config, data, threads, packing),
        },
    )


def _train_missing(
    config: Config,
    data: Data,
    copied: Sequence[ReplicaResult],
    starts: StartingWeights,
    writer: Any,
    tick: Tick,
) -> tuple[list[ReplicaResult], list[int]]:
    """Copies of finished replicas, and the others trained; sorted by seed and learning rate.

    Also returns the sizes of the groups that were trained as one.

    A copied replica whose predictions or weights were not kept is trained again if its learning
    rate turns out to be the chosen one. TensorBoard's curves of each learning rate are drawn where
    all replicas train together.
    """
    results = {Replica(result.seed, result.lr): result for result in copied}
    everything = config["outputs"]["weights"] == "all"
    weights = config["outputs"]["weights"] != "none"
    wanted = [
        replica
        for replica in replicas_of(config)
        if replica not in results or (everything and results[replica].weights is None)
    ]
    parts = _parts(wanted, config["population"]["max_replicas"])
    live = writer if len(parts) == 1 and not copied else None
    packing: list[int] = []
    while True:
        for part in parts:
            trained, groups = _train(config, data, part, starts, live, tick)
            results |= trained
            packing += groups
        live = None
        chosen = choose_lr(list(results.values()))
        lacking = [
            replica
            for replica, result in results.items()
            if replica.lr == chosen and lacks(result, weights=weights)
        ]
        if not lacking:
            return [results[replica] for replica in sorted(results)], packing
        parts = _parts(lacking, config["population"]["max_replicas"])


def _parts(replicas: Sequence[Replica], limit: int | None) -> list[Sequence[Replica]]:
    """The replicas in parts of at most `limit`, trained one after the other."""
    size = limit or max(1, len(replicas))
    return [replicas[start : start + size] for start in range(0, len(replicas), size)]


def _train(
    config: Config,
    data: Data,
    replicas: Sequence[Replica],
    starts: StartingWeights,
    writer: Any,
    tick: Tick,
) -> tuple[dict[Replica, ReplicaResult], list[int]]:
    """Trains one population and reads the test set, once; also returns its groups' sizes."""
    config = with_equal_budget(config, data)
    seeds = dict.fromkeys(replica.seed for replica in replicas)
    curves = config["outputs"]["tensorboard"] == "replicas"
    with _interruptible():
        population = build_population(config, data, replicas, starts.of(seeds))
        population.tick = tick
        trainer = make_trainer(
            config,
            max_epochs=config["trainer"]["max_epochs"],
            callbacks=[EpochCurves(writer, replicas=curves)] if writer else [],
        )
        trainer.fit(population)
        trainer.test(population, verbose=False)
    engine = population.engine
    results = {
        replica: _result(population, index, replica)
        for index, replica in enumerate(engine.replicas)
    }
    return results, [len(group.replicas) for group in engine.groups]


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Passes Ctrl-C on: Lightning makes it an exit, and has later ones ignored."""
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None


def _result(population: Population, index: int, replica: Replica) -> ReplicaResult:
    """One replica's entry of result.json, its curve, predictions and weights."""
    progress, weights = population.progress[index], population.last_state(index)
    numbers: dict[str, Any] = {
        "seed": replica.seed,
        "lr": replica.lr,
        "status": "diverged" if progress.diverged() else "trained",
        "best_epoch": progress.best_epoch,
    }
    for prefix, when in (("", "best"), ("last_", "last")):
        for split, evaluation in population.evaluations[when].items():
            numbers[f"{prefix}{split}_loss"] = float(evaluation.loss[index])
            numbers[f"{prefix}{split}_error"] = float(evaluation.error[index])
    numbers["weights_sha256"] = weights_sha256(weights)
    predictions = population.evaluations["best"]["test"].predictions[index].cpu().numpy()
    result = ReplicaResult(replica.seed, replica.lr, numbers, progress.curve, predictions, weights)
    if (recorder := population.recorder) is None:
        return result
    return replace(result, probes=recorder.rows[replica], samples=recorder.samples[replica])


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of parameters and buffers: name, type, shape and bytes of each, by name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name].numpy())
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _provenance(config: Config, data: Data, threads: int, packing: list[int]) -> dict[str, Any]:
    device = device_of(config["trainer"]["accelerator"])
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return code_and_machine() | {
        "recipe": RECIPE,
        "data_fingerprint": data.fingerprint,
        "device": str(device),
        "gpu": gpu,
        "threads": threads,
        "engine": "stacked" if max(packing, default=1) > 1 else "sequential",
        "packing": packing,
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }
