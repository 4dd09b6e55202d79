"""Greedy layerwise pretraining: each layer on the outputs of those below, which stay as they are.

Hinton, Osindero & Teh 2006 (with RBMs); Bengio et al. 2007 (with autoencoders, and supervised).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import torch

from study.data import Data, Split
from study.networks import Autoencoder, Network
from study.outputs.checkpoint import fitting
from study.population.streams import Streams, stream_seed
from study.pretraining.kinds import KINDS, Layer
from study.pretraining.phase import Fed, LayerPhase, Row
from study.pretraining.settings import blocks_to_pretrain, layer_settings
from study.pretraining.trainee import GeneratorFactory, Trainee
from study.pretraining.unroll import unroll


@dataclass(frozen=True)
class Watch:
    """Who is told of what happens while layers are trained.

    `report(layer, epoch, numbers)`: the mean over seeds of an epoch's monitors; `finished(layer,
    trainee, val)`: a layer of the first seed and what it is fed on validation; `tick(1)`: an epoch
    of a layer of one seed. Layers and epochs count from 1.
    """

    report: Callable[[int, int, Row], None] = lambda layer, epoch, numbers: None
    finished: Callable[[int, Trainee, torch.Tensor], None] = lambda layer, trainee, val: None
    tick: Callable[[int], None] = lambda count: None


class Course:
    """How far a pretraining is: the state of each layer so far, as `LayerPhase` gives it.

    Starts from the `layers` of an earlier attempt, the last of which may be unfinished. `save` is
    called after every epoch with what gives the layers by then.
    """

    def __init__(
        self,
        layers: Sequence[Mapping[str, Any]] = (),
        save: Callable[[Callable[[], list[Any]]], None] = lambda layers: None,
    ) -> None:
        self._earlier, self._save = list(layers), save
        self._passed: list[Mapping[str, Any]] = []

    def follow(self, phase: LayerPhase, index: int) -> None:
        """Has the phase of layer `index` go on from its state, and saved while it trains.

        `UnfitCheckpoint` if the state is not one of such a phase.
        """
        if index < len(self._earlier):
            with fitting():
                phase.take_up(self._earlier[index])
        phase.after_epoch = lambda: self._save(lambda: [*self._passed, phase.training_state()])

    def passed(self, phase: LayerPhase) -> None:
        """The phase is at its end."""
        self._passed.append(phase.training_state())


def pretrain(
    config: Mapping[str, Any],
    data: Data,
    networks: Mapping[int, Network],
    *,
    trainer: Callable[[int], lightning.Trainer],
    num_workers: int,
    watch: Watch,
    course: Course | None = None,
) -> dict[int, list[Row]]:
    """Pretrains `networks`, one a seed, on their device, in place.

    Returns for each seed a row per layer and epoch. `data` are normalized, `data.train` what the
    layers are trained on; labels are looked at by `supervised` alone. `trainer` makes a Trainer
    for a number of epochs. `course` says from where to go on, and is told how far it is.
    """
    course = course or Course()
    keys = config["pretraining"]
    blocks = {seed: blocks_to_pretrain(config, network) for seed, network in networks.items()}
    depth = len(next(iter(blocks.values())))
    start = Fed(_labelled(data.train), _measured(data), _labelled(data.val))
    fed = dict.fromkeys(networks, start)
    rows: dict[int, list[Row]] = {seed: [] for seed in networks}
    trained: dict[int, list[Trainee]] = {seed: [] for seed in networks}
    for index, settings in enumerate(layer_settings(keys, depth)):
        trainees = {
            seed: KINDS[keys["name"]](
                Layer(
                    config,
                    blocks[seed],
                    index,
                    settings,
                    generators(config, seed, index),
                    fed[seed].train[0],
                    data.num_classes,
                )
            )
            for seed in networks
        }

        def report(epoch: int, row: Row, layer: int = index + 1) -> None:
            watch.report(layer, epoch, row)

        phase = LayerPhase(trainees, fed, num_workers=num_workers, report=report, tick=watch.tick)
        course.follow(phase, index)
        if left := settings.epochs - phase.epochs_done:
            trainer(left).fit(phase)
        course.passed(phase)
        first = next(iter(networks))
        watch.finished(index + 1, trainees[first], fed[first].val[0])
        for seed, trainee in trainees.items():
            trainee.write_back()
            trained[seed].append(trainee)
            rows[seed] += [{"layer": index + 1, **row} for row in phase.curves[seed]]
            if index + 1 < depth:
                fed[seed] = fed[seed].through(trainee.hidden)
    for seed, network in networks.items():
        if isinstance(network, Autoencoder):
            unroll(network, trained[seed])
    return rows


def _labelled(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return split.inputs, split.labels


def _measured(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Training examples to measure on, spread over the split: as many as validation has."""
    total = len(data.train)
    count = min(total, len(data.val))
    indices = torch.arange(count, device=data.train.labels.device) * total // count
    return data.train.inputs[indices], data.train.labels[indices]


def generators(config: Mapping[str, Any], seed: int, index: int) -> GeneratorFactory:
    """The streams of one layer of one seed, pinned as the initialization is, of which it is part.

    Drawn on the CPU, so that they are the same on each device.
    """
    own = Streams(config["streams"]).seed(seed, "initialization")

    def generator(purpose: str, epoch: int) -> torch.Generator:
        name = f"pretraining layer {index + 1} {purpose}"
        return torch.Generator().manual_seed(stream_seed(own, name, epoch))

    return generator
