"""The memory that a cell needs, and whether this machine has it."""

import math
import os
from collections.abc import Callable

import torch

from study.config.configuration import Config
from study.config.labels import counted
from study.data import Data
from study.errors import InputError
from study.networks import build_network
from study.training.build import DTYPES, pack, replicas_of, why_alone, workers
from study.training.pretraining.settings import blocks_to_pretrain
from study.training.pretraining.stage import is_pretrained, training_data

PROCESS_BYTES = 0.6e9
"""The program itself, before any data: PyTorch and Lightning."""

TRAINING_COPIES = 5
"""Of each replica in training: weights, gradients, two moments and the best epoch's state."""

KEPT_COPIES = 2
"""Of each replica that was trained, until the cell is written: its last and best epoch's state.

With outputs.weights=none the last alone.
"""

PROBING_COPIES = 8
"""Of each layer's outputs, while probes are taken: with what comes after them, and gradients."""


def num_replicas(config: Config) -> int:
    """The replicas of a cell: its seeds times its learning rates."""
    return len(config.seeds) * len(config.optimizer.lr)


def at_once(config: Config) -> int:
    """The replicas that are in training at once."""
    return min(num_replicas(config), config.population.max_replicas or num_replicas(config))


def _copies(config: Config, together: int, replicas: int, device: str) -> int:
    """Networks in a device's memory when the last of `replicas` end, which train `together`.

    The weights of all of them are then on the CPU.
    """
    if device == "cuda":
        return TRAINING_COPIES * together
    kept = 1 if config.outputs.weights == "none" else KEPT_COPIES
    return (TRAINING_COPIES + 1) * together + kept * (replicas - together)


def network_bytes(config: Config, input_shape: tuple[int, int, int], num_classes: int) -> int:
    """Bytes of one network's parameters and buffers; none of them is allocated."""
    with torch.device("meta"):
        network = build_network(config.network, input_shape, num_classes)
    width = DTYPES[config.trainer.precision].itemsize
    return width * sum(value.numel() for value in network.state_dict().values())


def seeds_at_once(config: Config) -> int:
    """The seeds whose replicas are in training at once, and which are pretrained together."""
    return min(len(config.seeds), math.ceil(at_once(config) / len(config.optimizer.lr)))


def pretraining_bytes(
    config: Config,
    input_shape: tuple[int, int, int],
    num_classes: int,
    num_examples: int,
) -> int:
    """Bytes of what the layers above the first are fed while they are pretrained.

    Of each seed for `num_examples`, and of one once more, as it moves up a layer.
    """
    if not is_pretrained(config):
        return 0
    with torch.device("meta"):
        network = build_network(config.network, input_shape, num_classes).eval()
        fed, largest = torch.empty(1, *input_shape), 0
        for block in blocks_to_pretrain(config, network)[:-1]:
            fed = block(fed)
            largest = max(largest, fed.numel())
    width = DTYPES[config.trainer.precision].itemsize
    return width * largest * num_examples * (seeds_at_once(config) + 1)


def probing_bytes(
    config: Config,
    device: torch.device,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> int:
    """Bytes of what passes through the layers of all replicas that are probed at once."""
    if config.probes.name == "none":
        return 0
    numbers: list[int] = []
    with torch.device("meta"):
        network = build_network(config.network, input_shape, num_classes).eval()
    alone = why_alone([network], config.optimizer.name)
    with torch.device("meta"):
        for block in network.hidden_blocks():
            block.layer.register_forward_hook(lambda _, __, out: numbers.append(out.numel()))
        network(torch.empty(1, *input_shape))
    threads = config.trainer.threads or torch.get_num_threads()
    side_by_side = workers(device, threads)
    groups = pack(
        replicas_of(config)[: at_once(config)],
        network,
        device,
        engine=config.population.engine,
        num_workers=side_by_side,
        alone=alone,
    )
    together = sum(sorted(map(len, groups))[-side_by_side:])
    width = DTYPES[config.trainer.precision].itemsize
    return PROBING_COPIES * width * sum(numbers) * config.probes.num_examples * together


def cell_bytes(config: Config, data: Data) -> float:
    """Bytes of a cell: program, data, and the larger of its training and its pretraining."""
    whole = training_data(config, data) if is_pretrained(config) else data
    splits = {id(split): split for split in (data.train, data.val, data.test, whole.train)}
    inputs = sum(split.inputs.nbytes for split in splits.values())
    copies = _copies(config, at_once(config), num_replicas(config), "cpu")
    size = network_bytes(config, data.input_shape, data.num_classes)
    num_examples = len(whole.train) + 2 * len(data.val)
    fed = pretraining_bytes(config, data.input_shape, data.num_classes, num_examples)
    device = data.train.inputs.device
    probed = probing_bytes(config, device, data.input_shape, data.num_classes)
    return PROCESS_BYTES + inputs + max(copies * size + probed, fed)


def machine_bytes(device: torch.device) -> int | None:
    """Memory of the GPU, or of the machine; None where it cannot be asked for."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_memory(
    config: Config,
    device: torch.device,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> None:
    """Raises `InputError` where the replicas of a cell cannot be in memory at once.

    The data are not counted.
    """
    size = network_bytes(config, input_shape, num_classes)
    total = machine_bytes(device)
    if total is None:
        return
    room = (total - PROCESS_BYTES) / size
    replicas = num_replicas(config)

    def fits(together: int, replicas: int) -> bool:
        return _copies(config, together, replicas, device.type) <= room

    if fits(at_once(config), replicas):
        return
    fitting = [number for number in range(1, replicas) if fits(number, replicas)]
    in_all = [number for number in range(1, replicas) if fits(1, number)]
    if fitting:
        advice = f"set population.max_replicas={fitting[-1]}"
    elif in_all:
        advice = f"at most {in_all[-1]} fit, with population.max_replicas=1: take fewer seeds"
    else:
        advice = "not even one fits"
    needed = size * _copies(config, at_once(config), replicas, device.type)
    raise InputError(
        f"{counted(at_once(config), 'replica')} at once, {size / 1e6:.0f} MB of weights each, need "
        f"about {needed / 1e9:.1f} GB, and this machine has {total / 1e9:.1f}: {advice}"
    )


def check_pretraining_memory(
    config: Config,
    device: torch.device,
    input_shape: tuple[int, int, int],
    num_classes: int,
    num_examples: int,
) -> None:
    """Raises `InputError` where what the layers are fed for `num_examples` does not fit."""
    seeds, rates = seeds_at_once(config), len(config.optimizer.lr)

    def advice(share: float) -> str:
        fit = int((seeds + 1) * share) - 1
        return f"set population.max_replicas={fit * rates}" if fit > 0 else "not even one fits"

    who = counted(seeds, "seed")
    what = f"pretraining {who} at once keeps the layers' outputs for {num_examples} images"
    needed = pretraining_bytes(config, input_shape, num_classes, num_examples)
    _check_fits(what, needed, device, advice)


def check_probing_memory(
    config: Config,
    device: torch.device,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> None:
    """Raises `InputError` where what is probed at once does not fit."""

    def advice(share: float) -> str:
        fit = int(config.probes.num_examples * share)
        return f"set probes.num_examples={fit}" if fit > 1 else "set probes=none"

    needed = probing_bytes(config, device, input_shape, num_classes)
    if needed:
        what = f"probing all replicas at once on {config.probes.num_examples} images"
        _check_fits(what, needed, device, advice)


def _check_fits(
    what: str, needed: float, device: torch.device, advice: Callable[[float], str]
) -> None:
    """`InputError` where so many bytes are not free; `advice` is told the share that is."""
    total = machine_bytes(device)
    if total is None or needed <= total - PROCESS_BYTES:
        return
    raise InputError(
        f"{what} needs about {needed / 1e9:.1f} GB, and this machine has {total / 1e9:.1f}: "
        f"{advice((total - PROCESS_BYTES) / needed)}"
    )
