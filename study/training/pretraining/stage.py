"""Pretraining as a stage of a cell: the weights that its seeds start from, trained once, kept."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from study.config.configuration import Config
from study.data import Data, prepare
from study.data.device import DTYPES
from study.networks import Network, build_network
from study.outputs import results
from study.outputs.checkpoint import Checkpoint, Checkpoints
from study.outputs.provenance import code_and_machine
from study.training.build import initial_network, workers
from study.training.pretraining.cache import (
    Pretrained,
    Result,
    State,
    cache_directory,
    kept,
    pretrained,
    pretraining_signature,
)
from study.training.pretraining.greedy import Watch, pretrain
from study.training.pretraining.settings import blocks_to_pretrain, num_epochs, num_updates
from study.training.trainer import make_trainer

_log = logging.getLogger(__name__)


def is_pretrained(config: Config) -> bool:
    """Whether the networks of a configuration start from pretrained weights."""
    keys = config.pretraining
    return keys.name != "none" and not keys.equal_budget


def epochs_of(
    config: Config, network: Network, *, num_train: int, num_whole: int
) -> tuple[int, int]:
    """Epochs of training of each replica, and of pretraining of each seed.

    With `pretraining.equal_budget` training has as many epochs more as hold the updates that
    pretraining would have had, rounded up. `num_train` images are trained on, and `num_whole` are
    pretrained on where no labels are needed.
    """
    keys, epochs = config.pretraining, config.trainer.max_epochs
    if keys.name == "none":
        return epochs, 0
    num_layers = len(blocks_to_pretrain(config, network))
    if not keys.equal_budget:
        return epochs, num_epochs(keys, num_layers)
    examples = num_train if keys.name == "supervised" else num_whole
    updates = num_updates(keys, num_layers, examples)
    per_epoch = num_train // min(config.batch_size, num_train)
    return epochs + math.ceil(updates / per_epoch), 0


def with_equal_budget(config: Config, data: Data) -> Config:
    """The configuration with the epochs that `epochs_of` gives it."""
    if not config.pretraining.equal_budget:
        return config
    network = build_network(config.network, data.input_shape, data.num_classes)
    whole = len(training_data(config, data).train)
    epochs, _ = epochs_of(config, network, num_train=len(data.train), num_whole=whole)
    return config.changed({"trainer.max_epochs": epochs})


def training_data(config: Config, data: Data) -> Data:
    """What layers are pretrained on: the whole training split where no labels are needed."""
    if config.pretraining.name == "supervised" or config.data.train_size is None:
        return data
    dtype = DTYPES[config.trainer.precision]
    whole = replace(config.data, train_size=None)
    return prepare(whole, dtype=dtype, device=data.train.inputs.device)


WatchRun = Callable[
    [Path, tuple[int, int, int], Callable[[float], None]], AbstractContextManager[Watch]
]
"""Makes of a run's directory, the shape of an image and `tick` who is told of a pretraining."""


class StartingWeights:
    """The weights that a cell's seeds start from, where they are pretrained.

    `study` is the directory whose cells share them. `elapsed` is the time that this process spent
    on them.
    """

    def __init__(
        self,
        config: Config,
        data: Data,
        study: Path,
        tick: Callable[[float], None],
        watch: WatchRun | None = None,
    ) -> None:
        self.config, self.data, self.study, self.tick = config, data, study, tick
        self._watch = watch
        self.elapsed = 0.0
        self._found: dict[int, Pretrained] = {}

    def of(self, seeds: Iterable[int]) -> dict[int, State]:
        """The state of each seed's plain network; empty where nothing is pretrained."""
        if not is_pretrained(self.config):
            return {}
        started = time.perf_counter()
        if lacking := [seed for seed in seeds if seed not in self._found]:
            found = pretrained(self._directory, self._signature, lacking, self._train)
            self._found |= found
            for seed, one in found.items():
                if not one.is_finite:
                    _log.warning("the pretraining of seed %s diverged: lower pretraining.lr", seed)
        self.elapsed += time.perf_counter() - started
        return {seed: self._found[seed].state for seed in seeds}

    @property
    def _signature(self) -> str:
        return pretraining_signature(self.config, self.data.fingerprint)

    @property
    def _directory(self) -> Path:
        kind = self.config.pretraining.name
        return cache_directory(self.study, kind, self._signature)

    def record(self) -> dict[str, Any]:
        """What a cell's record says of them: seconds of all seeds, updates of each, and hashes.

        Of all its seeds, copied ones too, as far as their weights are kept.
        """
        found = dict(self._found)
        if is_pretrained(self.config):
            for seed in self.config.seeds:
                one = found.get(seed) or kept(self._directory, self._signature, seed)
                found |= {seed: one} if one else {}
        numbers: dict[str, Any] = {
            "pretraining_seconds": round(sum(one.seconds for one in found.values()), 3),
            "pretraining_updates": max((one.updates for one in found.values()), default=0),
        }
        if found:
            numbers["pretraining"] = results.Pretraining(
                self._signature,
                {str(seed): found[seed].header["sha256"] for seed in sorted(found)},
                {str(seed): found[seed].weights_sha256 for seed in sorted(found)},
            )
        return numbers

    def _train(self, seeds: list[int], checkpoint: Checkpoint | None) -> Result:
        """Pretrains those seeds together, on the data's device, from the checkpoint on."""
        config, data = self.config, training_data(self.config, self.data)
        dtype, device = DTYPES[config.trainer.precision], data.train.inputs.device
        networks = {
            seed: initial_network(config, self.data, seed).to(device=device, dtype=dtype)
            for seed in seeds
        }
        earlier = checkpoint.state["seconds"] if checkpoint else 0.0
        # Where each part was made that an attempt went on from.
        resumed = [*checkpoint.record["resumed"], checkpoint.record["made"]] if checkpoint else []
        record = {"seeds": seeds, "made": self._made, "resumed": resumed}
        every = config.trainer.checkpoint_seconds
        checkpoints = Checkpoints(self._directory, self._signature, every)
        started = time.perf_counter()

        def save(layers: Callable[[], list[Any]]) -> None:
            spent = earlier + time.perf_counter() - started
            checkpoints.offer(lambda: (record, {"layers": layers(), "seconds": spent}))

        with self._watching(seeds) as watch:
            rows = pretrain(
                config,
                data,
                networks,
                trainer=lambda epochs, callbacks: make_trainer(
                    config, max_epochs=epochs, callbacks=callbacks
                ),
                num_workers=workers(device, torch.get_num_threads()),
                watch=watch,
                earlier=checkpoint.state["layers"] if checkpoint else (),
                save=save,
            )
        states = {
            seed: {name: value.cpu() for name, value in network.state_dict().items()}
            for seed, network in networks.items()
        }
        depth = len(blocks_to_pretrain(config, networks[seeds[0]]))
        made = self._made | {"seeds": ",".join(map(str, seeds))}
        if resumed:
            made["resumed"] = json.dumps(resumed)
        updates = num_updates(config.pretraining, depth, len(data.train))
        return Result(states, rows, updates, made, earlier)

    @property
    def _made(self) -> dict[str, str]:
        """Where pretraining takes place, as far as it can change last bits."""
        return {
            "device": str(self.data.train.inputs.device),
            "threads": str(torch.get_num_threads()),
            "torch": str(code_and_machine()["packages"]["torch"]),
        }

    def _watching(self, seeds: list[int]) -> AbstractContextManager[Watch]:
        if self._watch is None or not self.config.has_runs:
            return nullcontext(Watch(tick=self.tick))
        run = self._directory / f"seeds={'-'.join(map(str, seeds[:8]))}"
        return self._watch(run, self.data.input_shape, self.tick)
