"""The memory that a cell needs, and whether this machine has it."""

import contextlib
import math
import os
from collections.abc import Callable

import torch

from study.config.configuration import Config
from study.config.labels import counted
from study.data import Data
from study.data.device import DTYPES
from study.errors import InputError
from study.networks import build_network
from study.training.build import pack, replicas_of, why_alone, workers
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


def at_once(config: Config) -> int:
    """The replicas that are in training at once."""
    return min(config.num_replicas, config.population.max_replicas or config.num_replicas)


def _copies(config: Config, together: int, replicas: int, device: str) -> int:
    """Networks in a device's memory when the last of `replicas` end, which train `together`.

    The weights of all of them are then on the CPU.
    """
    if device == "cuda":
        return TRAINING_COPIES * together
    kept = 1 if config.outputs.weights == "none" else KEPT_COPIES
    return (TRAINING_COPIES + 1) * together + kept * (replicas - together)


def machine_bytes(device: torch.device) -> int | None:
    """Memory of the GPU, or of the machine; None where it cannot be asked for."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


class CellMemory:
    """What a cell needs of memory, told from one `network` that takes none (on `meta`).

    `InputError` for a network that cannot be built; checks raise it where something does not fit.
    """

    def __init__(self, config: Config, input_shape: tuple[int, int, int], num_classes: int) -> None:
        self.config, self.input_shape = config, input_shape
        with torch.device("meta"):
            self.network = build_network(config.network, input_shape, num_classes).eval()
        self._width = DTYPES[config.trainer.precision].itemsize

    @property
    def network_bytes(self) -> int:
        """Bytes of one network's parameters and buffers."""
        return self._width * sum(value.numel() for value in self.network.state_dict().values())

    @property
    def seeds_at_once(self) -> int:
        """The seeds whose replicas are in training at once, and which are pretrained together."""
        rates = len(self.config.optimizer.lr)
        return min(len(self.config.seeds), math.ceil(at_once(self.config) / rates))

    def pretraining_bytes(self, num_examples: int) -> int:
        """Bytes of what the layers above the first are fed while they are pretrained.

        Of each seed for `num_examples`, and of one once more, as it moves up a layer.
        """
        if not is_pretrained(self.config):
            return 0
        with torch.device("meta"):
            fed, largest = torch.empty(1, *self.input_shape), 0
            for block in blocks_to_pretrain(self.config, self.network)[:-1]:
                fed = block(fed)
                largest = max(largest, fed.numel())
        return self._width * largest * num_examples * (self.seeds_at_once + 1)

    def probing_bytes(self, device: torch.device) -> int:
        """Bytes of what passes through the layers of all replicas that are probed at once."""
        config = self.config
        if config.probes.name == "none":
            return 0
        numbers: list[int] = []
        with torch.device("meta"), contextlib.ExitStack() as stack:
            for block in self.network.hidden_blocks():
                count = block.layer.register_forward_hook(
                    lambda _, __, out: numbers.append(out.numel())
                )
                stack.callback(count.remove)
            self.network(torch.empty(1, *self.input_shape))
        side_by_side = workers(device, config.trainer.threads or torch.get_num_threads())
        groups = pack(
            replicas_of(config)[: at_once(config)],
            self.network,
            device,
            engine=config.population.engine,
            num_workers=side_by_side,
            alone=why_alone([self.network], config.optimizer.name),
        )
        together = sum(sorted(map(len, groups))[-side_by_side:])
        images = config.probes.num_examples
        return PROBING_COPIES * self._width * sum(numbers) * images * together

    def check(self, device: torch.device) -> None:
        """The replicas must be in memory at once; the data are not counted."""
        config, size, total = self.config, self.network_bytes, machine_bytes(device)
        if total is None:
            return
        room = (total - PROCESS_BYTES) / size

        def fits(together: int, replicas: int) -> bool:
            return _copies(config, together, replicas, device.type) <= room

        replicas = config.num_replicas
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
            f"{counted(at_once(config), 'replica')} at once, {size / 1e6:.0f} MB of weights each, "
            f"need about {needed / 1e9:.1f} GB, and this machine has {total / 1e9:.1f}: {advice}"
        )

    def check_pretraining(self, device: torch.device, num_examples: int) -> None:
        """What the layers are fed for `num_examples` must fit."""
        seeds, rates = self.seeds_at_once, len(self.config.optimizer.lr)

        def advice(share: float) -> str:
            fit = int((seeds + 1) * share) - 1
            return f"set population.max_replicas={fit * rates}" if fit > 0 else "not even one fits"

        who = counted(seeds, "seed")
        what = f"pretraining {who} at once keeps the layers' outputs for {num_examples} images"
        _check_fits(what, self.pretraining_bytes(num_examples), device, advice)

    def check_probing(self, device: torch.device) -> None:
        """What is probed at once must fit."""
        images = self.config.probes.num_examples

        def advice(share: float) -> str:
            fit = int(images * share)
            return f"set probes.num_examples={fit}" if fit > 1 else "set probes=none"

        what = f"probing all replicas at once on {images} images"
        _check_fits(what, self.probing_bytes(device), device, advice)


def _check_fits(
    what: str, needed: float, device: torch.device, advice: Callable[[float], str]
) -> None:
    """`InputError` where so many bytes are not free; `advice` is told the share that is."""
    total = machine_bytes(device)
    if total is None or not needed or needed <= total - PROCESS_BYTES:
        return
    raise InputError(
        f"{what} needs about {needed / 1e9:.1f} GB, and this machine has {total / 1e9:.1f}: "
        f"{advice((total - PROCESS_BYTES) / needed)}"
    )


def cell_bytes(config: Config, data: Data) -> float:
    """Bytes of a cell: program, data, and the larger of its training and its pretraining."""
    whole = training_data(config, data) if is_pretrained(config) else data
    splits = {id(split): split for split in (data.train, data.val, data.test, whole.train)}
    inputs = sum(split.inputs.nbytes for split in splits.values())
    memory = CellMemory(config, data.input_shape, data.num_classes)
    copies = _copies(config, at_once(config), config.num_replicas, "cpu")
    fed = memory.pretraining_bytes(len(whole.train) + 2 * len(data.val))
    probed = memory.probing_bytes(data.train.inputs.device)
    return PROCESS_BYTES + inputs + max(copies * memory.network_bytes + probed, fed)
