"""What a launch would cost, before it starts: time, memory and disk."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from study.cell import data_of
from study.launch import LaunchCell, status_of
from study.population import Settings
from study.population.build import DTYPES, check_network
from study.population.optimizers import make_optimizer
from study.progress import level_words

WARM_UP = 5
MEASURED_STEPS = 20


def describe(study: Path, cells: Sequence[LaunchCell], todo: Sequence[LaunchCell]) -> str:
    """The cells, what is done, and the estimates, as text."""
    lines = [f"{study}: {len(cells)} cells, {len(todo)} to train; nothing is written"]
    lines += [f"  {status_of(study, cell).status:9}{level_words(cell.planned)}" for cell in cells]
    if todo:
        step_seconds = {network: _step_seconds(cell) for network, cell in _networks(todo).items()}
        seconds = sum(_updates(cell) * step_seconds[_network(cell)] for cell in todo)
        lines += [
            f"time    about {_span(seconds)} on this machine, from {MEASURED_STEPS} steps of each "
            f"of {len(step_seconds)} networks",
            f"memory  about {max(_memory(cell) for cell in todo) / 1e9:.1f} GB at once",
            f"disk    about {sum(_disk(cell) for cell in todo) / 1e6:.0f} MB",
        ]
    return "\n".join(lines)


def _network(cell: LaunchCell) -> str:
    """What a step's time depends on."""
    config = cell.config
    parts = [config[group] for group in ("model", "activation", "norm", "optimizer")]
    return json.dumps([parts, config["batch_size"], config["data"]["name"]], sort_keys=True)


def _networks(cells: Sequence[LaunchCell]) -> dict[str, LaunchCell]:
    return {_network(cell): cell for cell in cells}


def _step_seconds(cell: LaunchCell) -> float:
    """Median seconds of an update of one replica, on its own data."""
    data = data_of(cell.config)
    settings = Settings.of(cell.config)
    network = check_network(cell.config, data.input_shape, data.num_classes)
    network.to(data.train.inputs.device, DTYPES[cell.config["trainer"]["precision"]])
    optimizer = make_optimizer(network, 1e-6, cell.config["optimizer"])
    size = settings.batch_of(len(data.train.labels))
    times = []
    for _ in range(WARM_UP + MEASURED_STEPS):
        started = time.perf_counter()
        indices = torch.randint(len(data.train.labels), (size,))
        outputs = network(data.train.inputs[indices])
        settings.loss(outputs, data.train.labels[indices]).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - started)
    return sorted(times[WARM_UP:])[MEASURED_STEPS // 2]


def _updates(cell: LaunchCell) -> float:
    """Updates of all replicas, evaluation counted as a third of an update an example."""
    data = data_of(cell.config)
    batch = Settings.of(cell.config).batch_of(len(data.train.labels))
    per_epoch = len(data.train.labels) // batch + len(data.val.labels) / batch / 3
    final = 2 * (len(data.train.labels) + len(data.val.labels) + len(data.test.labels)) / batch / 3
    replicas = len(cell.config["seeds"]) * len(cell.config["optimizer"]["lr"])
    return replicas * (per_epoch * cell.config["trainer"]["max_epochs"] + final)


def _network_bytes(cell: LaunchCell) -> int:
    data = data_of(cell.config)
    network: nn.Module = check_network(cell.config, data.input_shape, data.num_classes)
    width = DTYPES[cell.config["trainer"]["precision"]].itemsize
    return width * sum(value.numel() for value in network.state_dict().values())


def _memory(cell: LaunchCell) -> float:
    """Bytes of data, and of weights with gradients, two moments and the best state."""
    data = data_of(cell.config)
    inputs = sum(split.inputs.nbytes for split in (data.train, data.val, data.test))
    replicas = len(cell.config["seeds"]) * len(cell.config["optimizer"]["lr"])
    return 0.6e9 + inputs + 5 * replicas * _network_bytes(cell)


def _disk(cell: LaunchCell) -> float:
    """Bytes of weights, predictions, curves and events."""
    num_seeds, num_rates = len(cell.config["seeds"]), len(cell.config["optimizer"]["lr"])
    kept = {"none": 0, "chosen": num_seeds, "all": num_seeds * num_rates}
    curves = 120 * num_seeds * num_rates * (cell.config["trainer"]["max_epochs"] + 1)
    weights = kept[cell.config["outputs"]["weights"]] * _network_bytes(cell)
    return weights + curves + 5_000 * num_seeds + 60_000


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
