"""What a launch would cost, before it starts: time, memory and disk."""

import json
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from study.config.labels import counted, span
from study.config.sweep import Cell
from study.data import Data, Split
from study.data.batches import Run, Streams
from study.data.module import data_of
from study.launch.attempt import needs_weights
from study.launch.memory import at_once, cell_bytes
from study.outputs.results import TrainedReplica
from study.outputs.reuse import finished_replicas
from study.training import Replica, Settings
from study.training.build import build_population, replicas_of
from study.training.engine import Engine
from study.training.pretraining.stage import training_data

WARM_UP = 3
MEASURED_UPDATES = 10

DEPENDS_ON = (
    *("data", "model", "activation", "norm", "optimizer", "loss", "batch_size", "input_noise"),
    *("population", "seeds", "trainer"),
)
"""The groups and keys that the time of an update depends on."""


def describe(
    study: Path,
    cells: Sequence[Cell],
    statuses: Sequence[str],
    todo: Sequence[Cell],
    *,
    threads: int,
) -> str:
    """The cells, each one's status, and the estimates on `threads` threads, as text.

    Replicas that a launch copies from other cells of the study cost nothing.
    """
    count = counted(len(cells), "cell")
    lines = [f"{study}: {count}, {len(todo)} to train; nothing is written"]
    left = {cell.directory: _left_to_train(study, cell) for cell in todo}
    for cell, status in zip(cells, statuses, strict=True):
        whole = cell.config.num_replicas
        copied = whole - len(left.get(cell.directory, range(whole)))
        note = f"; {copied} of {counted(whole, 'replica')} copied" if copied else ""
        lines.append(f"  {status:9}{cell.label}{note}")
    if todo:
        needed = [(cell, found) for cell in todo if (found := left[cell.directory])]
        populations = {_population(cell): cell for cell, _ in needed}
        seconds = {key: update_seconds(cell, threads) for key, cell in populations.items()}
        total = sum(
            _updates(cell, len(replicas)) * seconds[_population(cell)] for cell, replicas in needed
        )
        for cell, seeds in _pretrainings(study, needed):
            # An update of one layer counts as one of the whole network.
            num_examples = len(training_data(cell.config, data_of(cell.config)).train)
            per_epoch = num_examples / Settings.from_config(cell.config).batch_of(num_examples)
            updates = len(seeds) * cell.pretraining_epochs * per_epoch
            total += updates * seconds[_population(cell)]
        memory = max(cell_bytes(cell.config, data_of(cell.config)) for cell in todo)
        lines += [
            f"time    about {span(total)} on this machine, from {MEASURED_UPDATES} updates of "
            f"each of {counted(len(seconds), 'kind')} of population",
            f"memory  about {memory / 1e9:.1f} GB at once",
            f"disk    about {sum(_disk(cell) for cell in todo) / 1e6:.0f} MB",
        ]
    return "\n".join(lines)


def _left_to_train(study: Path, cell: Cell) -> list[Replica]:
    """The replicas of a cell that other cells of the study do not hold with what is to be kept.

    Which of those are needed with their predictions shows when the learning rate is chosen.
    """
    config = cell.config
    found: list[TrainedReplica] = []
    if study.is_dir():
        family, keeps = cell.family, needs_weights(config)
        found = finished_replicas(study, family, config.seeds, with_weights=keeps)
    every = config.outputs.weights == "all"
    copied = {(each.seed, each.lr) for each in found if not (every and each.lacks_weights)}
    return [each for each in replicas_of(config) if (each.seed, each.lr) not in copied]


def _population(cell: Cell) -> str:
    """What the time of an update depends on; neither epochs nor how weights are drawn."""
    same_length = cell.config.changed({"trainer.max_epochs": 0}).mapping
    return json.dumps([same_length[key] for key in DEPENDS_ON])


def update_seconds(cell: Cell, threads: int) -> float:
    """Seconds of one update of one replica, with all that trains at the same time.

    Trains as many groups of the cell's own population as train side by side, on the study's
    threads and in the cell's precision, with its noise and augmentation, at learning rate 0.
    """
    data = data_of(cell.config)
    device = data.train.inputs.device
    before = torch.get_num_threads()
    torch.set_num_threads(cell.config.trainer.threads or threads)
    try:
        # What Lightning's precision plugin surrounds a training step with.
        mixed = torch.autocast(device.type, dtype=torch.bfloat16)
        with mixed if cell.config.trainer.precision == "bf16-mixed" else nullcontext():
            replicas = replicas_of(cell.config)[: at_once(cell.config)]
            whole = build_population(cell.config, data, replicas).to(device).engine
            num_workers = whole.num_workers  # One group for each.
            engine = Engine(whole.groups[:num_workers], num_workers=num_workers)
            engine.start()
            _train(engine, cell, data, WARM_UP)
            _wait(device)
            started = time.perf_counter()
            updates = _train(engine, cell, data, MEASURED_UPDATES)
            _wait(device)
            return (time.perf_counter() - started) / (updates * len(engine.replicas))
    finally:
        torch.set_num_threads(before)


def _train(engine: Engine, cell: Cell, data: Data, num_updates: int) -> int:
    """At least `num_updates` updates of every replica, in epochs; returns how many they were."""
    batch = Settings.from_config(cell.config).batch_of(len(data.train))
    num_examples = min(len(data.train), num_updates * batch)
    split = Split(data.train.inputs[:num_examples], data.train.labels[:num_examples])
    per_epoch = num_examples // batch
    epochs = math.ceil(num_updates / per_epoch)
    for epoch in range(epochs):
        run = Run.of_epoch(
            split,
            [replica.seed for replica in engine.replicas],
            Streams(cell.config.streams),
            epoch=epoch,
            batch_size=batch,
        )
        engine.train(run, [0.0] * per_epoch)
    return epochs * per_epoch


def _wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _updates(cell: Cell, num_trained: int) -> float:
    """Updates of so many replicas, evaluation counted as a third of an update an example."""
    data = data_of(cell.config)
    batch = Settings.from_config(cell.config).batch_of(len(data.train.labels))
    per_epoch = len(data.train.labels) // batch + len(data.val.labels) / batch / 3
    final = 2 * (len(data.train.labels) + len(data.val.labels) + len(data.test.labels)) / batch / 3
    return num_trained * (per_epoch * cell.epochs + final)


def _pretrainings(
    study: Path, needed: Sequence[tuple[Cell, Sequence[Replica]]]
) -> list[tuple[Cell, set[int]]]:
    """A cell for each pretraining that is to be done, and its seeds; several may share one.

    Seeds whose replicas are copied need none, nor those whose weights the study has.
    """
    cells: dict[Path, Cell] = {}
    seeds: dict[Path, set[int]] = {}
    for cell, replicas in needed:
        trained = {replica.seed for replica in replicas}
        for seed, path in zip(cell.config.seeds, cell.pretraining, strict=False):
            if seed in trained and not (study / path).exists():
                cells[path.parent] = cell
                seeds.setdefault(path.parent, set()).add(seed)
    return [(cell, seeds[place]) for place, cell in cells.items()]


def _disk(cell: Cell) -> float:
    """Bytes of weights, predictions, curves and events."""
    num_seeds, num_rates = len(cell.config.seeds), len(cell.config.optimizer.lr)
    best_and_last = 2 * num_seeds
    kept = {"none": 0, "chosen": best_and_last, "all": best_and_last * num_rates}
    curves = 120 * num_seeds * num_rates * (cell.epochs + 1)
    weights = kept[cell.config.outputs.weights] * cell.network_bytes
    return weights + curves + 5_000 * num_seeds + 60_000
