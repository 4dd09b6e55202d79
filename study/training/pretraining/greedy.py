"""Greedy layerwise pretraining: each layer on the outputs of those below, which stay as they are.

Hinton, Osindero & Teh 2006 (with RBMs); Bengio et al. 2007 (with autoencoders, and supervised).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from study.config.configuration import Config
from study.config.groups import PretrainingGroup
from study.data import Data
from study.data.batches import Streams, stream_seed
from study.networks import Autoencoder, Block, Network, weight_filler
from study.outputs.checkpoint import fitting
from study.training.engine import on_workers
from study.training.pretraining.autoencoder import LayerAutoencoder, make_corruption
from study.training.pretraining.decoders import TiedDecoder, make_decoder
from study.training.pretraining.gradient import SupervisedLayer, temporary_classifier
from study.training.pretraining.rbm_training import RbmSettings, RbmTrainee
from study.training.pretraining.settings import LayerSettings, blocks_to_pretrain, layer_settings
from study.training.pretraining.trainee import GeneratorFactory, Labelled, Trainee
from study.training.runs import EpochEnds, Ticks, TrainsRuns, go_on
from study.training.task import make_reconstruction

Row = dict[str, float]
"""An epoch's numbers by name: `epoch`, `loss` and the trainee's monitors."""


@dataclass(frozen=True)
class Layer:
    """One layer of one seed that is to be pretrained: `blocks[index]`, on its device.

    `blocks` are all that are pretrained; `inputs` are what the layer is fed, [N, ...].
    """

    config: Config
    blocks: Sequence[Block]
    index: int
    settings: LayerSettings
    generator: GeneratorFactory
    inputs: Tensor
    num_classes: int

    @property
    def block(self) -> Block:
        return self.blocks[self.index]

    def fill(self, values: Tensor) -> object:
        """Initializes a weight that stands beside the network while the layer is trained."""
        generator = self.generator("decoder", 0)
        config = self.config
        return weight_filler(config.init.level, config.activation.level, generator)(values)


@dataclass(frozen=True)
class LayerData:
    """What a layer of one seed is fed: all training inputs, some to measure on, validation.

    Each is (inputs [N, ...], labels [N]).
    """

    train: Labelled
    measured: Labelled
    val: Labelled

    def through(self, layer: Callable[[Tensor], Tensor]) -> "LayerData":
        """What the next layer is fed."""
        train, measured, val = (
            (layer(inputs), labels) for inputs, labels in (self.train, self.measured, self.val)
        )
        return LayerData(train, measured, val)


@dataclass(frozen=True)
class Watch:
    """Who is told of what happens while layers are trained.

    `report(layer, epoch, numbers)`: the mean over seeds of an epoch's monitors; `finished(layer,
    trainee, val)`: a layer of the first seed and what it is fed on validation; `tick`: how many
    epochs of a layer of one seed were trained. Layers and epochs count from 1.
    """

    report: Callable[[int, int, Row], None] = lambda layer, epoch, numbers: None
    finished: Callable[[int, Trainee, torch.Tensor], None] = lambda layer, trainee, val: None
    tick: Callable[[float], None] = lambda count: None


# The kinds of pretraining: what trains one layer of one seed.


def _autoencoder(layer: Layer) -> Trainee:
    keys = layer.config.pretraining
    corruption = make_corruption(keys.corruption, keys.corruption_level)
    return LayerAutoencoder(
        layer.block,
        make_decoder(keys.decoder, layer.block, layer.fill),
        reconstruction=make_reconstruction(keys.loss),
        corruption=corruption,
        optimizer=layer.settings.optimizer,
        lr=layer.settings.lr,
        batch_size=layer.settings.batch_size,
        generator=layer.generator,
    )


def _rbm(layer: Layer) -> Trainee:
    keys = layer.config.pretraining
    names = ("cd_steps", "persistent", "momentum", "final_momentum", "momentum_switch")
    settings = RbmSettings(
        lr=layer.settings.lr,
        batch_size=layer.settings.batch_size,
        weight_cost=keys.weight_cost,
        **{name: getattr(keys, name) for name in names},
    )
    return RbmTrainee(
        layer.block,
        layer.generator,
        settings,
        visible=visible_units(keys, layer.blocks, layer.index),
        hidden=keys.hidden,
        mean_field=keys.mean_field,
        where=where(layer.index),
    )


def visible_units(keys: PretrainingGroup, blocks: Sequence[Block], index: int) -> str:
    """Higher layers see probabilities as Bernoulli units, and anything else as Gaussian ones."""
    if not index:
        return str(keys.visible)
    below = blocks[index - 1]
    probabilities = isinstance(below.activation, nn.Sigmoid) and not below.output_is_normalized
    return "bernoulli" if probabilities else "gaussian"


def _supervised(layer: Layer) -> Trainee:
    return SupervisedLayer(
        layer.block,
        temporary_classifier(layer.block, layer.inputs, layer.num_classes, layer.fill),
        optimizer=layer.settings.optimizer,
        lr=layer.settings.lr,
        batch_size=layer.settings.batch_size,
        generator=layer.generator,
    )


def where(index: int) -> str:
    """How errors name a layer, counted from 0 here and from 1 there."""
    return f"layer {index + 1}"


KINDS: dict[str, Callable[[Layer], Trainee]] = {
    "autoencoder": _autoencoder,
    "denoising_autoencoder": _autoencoder,
    "rbm": _rbm,
    "supervised": _supervised,
}


# A stack of layers: one layer of every seed at a time, then what they came to is put together.


class Stretch:
    """The updates of an epoch after its `first` up to its `last`, of `per_epoch`."""

    def __init__(self, first: int, last: int, per_epoch: int) -> None:
        self.first, self.last, self.per_epoch = first, last, per_epoch

    def __len__(self) -> int:
        return self.last - self.first


class LayerPhase(TrainsRuns):
    """Trains one layer of every seed on the machine's workers, a `Stretch` per `training_step`.

    After `trainer.fit`, `curves` holds for each seed a row per epoch: `epoch` from 1, the running
    mean `loss`, and the trainee's monitors. `report` is called with each epoch and the mean of its
    rows over seeds.
    """

    def __init__(
        self,
        trainees: Mapping[int, Trainee],
        data: Mapping[int, LayerData],
        *,
        batch_size: int,
        num_workers: int,
        report: Callable[[int, Row], None],
    ) -> None:
        super().__init__()
        self.trainees, self.data, self.num_workers = trainees, data, num_workers
        self.report = report
        self.seeds = list(trainees)
        num_examples = len(data[self.seeds[0]].train[0])
        self.per_epoch = num_examples // min(batch_size, num_examples)
        self.curves: dict[int, list[Row]] = {seed: [] for seed in self.seeds}
        self._running: dict[int, Iterator[None]] = {}

    @property
    def num_trained(self) -> int:
        return len(self.seeds)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Lightning is told of none: an RBM has none, and each trainee steps its own."""
        return []

    def train_dataloader(self) -> "Stretches":
        return Stretches(self)

    def val_dataloader(self) -> Sequence[str]:
        return ["val"]

    def training_step(self, batch: Stretch, batch_idx: int) -> None:
        """The next updates of the layer of every seed."""
        epoch = self.current_epoch
        if not batch.first:
            self._running = {seed: self._epoch(seed, epoch) for seed in self.seeds}
        ends = batch.last == batch.per_epoch

        def train(seed: int) -> None:
            running = self._running[seed]
            for _ in running if ends else islice(running, len(batch)):
                pass

        with self.updating(len(batch)):
            on_workers(train, self.seeds, self.num_workers)
        self.epochs += ends

    def _epoch(self, seed: int, epoch: int) -> Iterator[None]:
        """An update for each item; at the end the epoch's row."""
        inputs, labels = self.data[seed].train
        loss = yield from self.trainees[seed].train_epoch(inputs, labels, epoch=epoch)
        self.curves[seed].append({"epoch": epoch + 1, "loss": loss})

    def validation_step(self, batch: str, batch_idx: int) -> None:
        """The monitors of every seed."""
        epoch = self.current_epoch

        def measure(seed: int) -> Row:
            data = self.data[seed]
            return self.trainees[seed].measure(data.measured, data.val, epoch=epoch)

        monitors = on_workers(measure, self.seeds, self.num_workers)
        for seed, row in zip(self.seeds, monitors, strict=True):
            self.curves[seed][-1] |= row
        self._report(epoch)

    def _report(self, epoch: int) -> None:
        rows = [self.curves[seed][epoch] for seed in self.seeds]
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        self.report(epoch + 1, means)

    def training_state(self) -> dict[str, Any]:
        """All that the layer has come to after as many epochs as its curves have."""
        return {
            "curves": {str(seed): rows for seed, rows in self.curves.items()},
            "trainees": {str(seed): each.state_dict() for seed, each in self.trainees.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `training_state` of the same seeds; reports its epochs."""
        for seed in self.seeds:
            self.trainees[seed].load_state_dict(state["trainees"][str(seed)])
            self.curves[seed] = list(state["curves"][str(seed)])
        self.epochs = len(self.curves[self.seeds[0]])
        self.updates = self.epochs * self.per_epoch
        for epoch in range(self.epochs):
            self._report(epoch)


class Stretches:
    """The stretches of the phase's next epoch, each as long as it wants by then."""

    def __init__(self, phase: LayerPhase) -> None:
        self.phase = phase

    def __iter__(self) -> Iterator[Stretch]:
        for first, last in self.phase.parts(self.phase.per_epoch):
            yield Stretch(first, last, self.phase.per_epoch)


def generators(config: Config, seed: int, index: int) -> GeneratorFactory:
    """The streams of one layer of one seed, pinned as the initialization is, of which it is part.

    Drawn on the CPU, so that they are the same on each device.
    """
    own = Streams(config.streams).seed(seed, "initialization")

    def generator(purpose: str, epoch: int) -> torch.Generator:
        name = f"pretraining layer {index + 1} {purpose}"
        return torch.Generator().manual_seed(stream_seed(own, name, epoch))

    return generator


@torch.no_grad()
def unroll(network: Autoencoder, trainees: Sequence[Trainee]) -> None:
    """Copies each trained layer's decoder into the layer that mirrors it.

    Hinton & Salakhutdinov 2006 unroll a stack of RBMs so: the encoder's weights transposed, with
    the visible biases. `trainees` are those of the first layers, in forward order, their blocks
    written back.
    """
    mirrored = [block.layer for block in network.hidden_blocks()][network.num_encoder_blocks :]
    layers = [*mirrored, network.output]
    for trainee, layer in zip(trainees, reversed(layers), strict=False):
        if isinstance(trainee, RbmTrainee):
            weight, bias = trainee.rbm.weight.T, trainee.visible_bias
        else:
            assert isinstance(trainee, LayerAutoencoder), "no other kind has a decoder"
            decoder = trainee.top
            if isinstance(decoder, TiedDecoder):
                weight, bias = decoder.layer.weight.T, decoder.bias
            else:
                assert isinstance(decoder, nn.Linear), "an autoencoder's layers are dense"
                weight, bias = decoder.weight, decoder.bias
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)


def pretrain(
    config: Config,
    data: Data,
    networks: Mapping[int, Network],
    *,
    trainer: Callable[[int, Sequence[lightning.Callback]], lightning.Trainer],
    num_workers: int,
    watch: Watch,
    earlier: Sequence[Mapping[str, Any]] = (),
    save: Callable[[Callable[[], list[Any]]], None] = lambda layers: None,
) -> dict[int, list[Row]]:
    """Pretrains `networks`, one a seed, on their device, in place.

    Returns for each seed a row per layer and epoch. `data` are normalized, `data.train` what the
    layers are trained on; labels are looked at by `supervised` alone. `trainer` makes a Trainer
    for a number of epochs, with callbacks.

    Goes on from `earlier`, the states of an earlier attempt's layers, the last of which may be
    unfinished; `UnfitCheckpoint` if one is not of such a layer. `save` is called after every epoch
    with what gives the layers' states by then.
    """
    keys = config.pretraining
    blocks = {seed: blocks_to_pretrain(config, network) for seed, network in networks.items()}
    depth = len(next(iter(blocks.values())))
    train, val = data.train, data.val
    # Measured on as many training examples as validation has, spread over the split.
    count = min(len(train), len(val))
    spread = torch.arange(count, device=train.labels.device) * len(train) // count
    measured = (train.inputs[spread], train.labels[spread])
    start = LayerData((train.inputs, train.labels), measured, (val.inputs, val.labels))
    layer_data = dict.fromkeys(networks, start)
    states: list[Mapping[str, Any]] = []
    rows: dict[int, list[Row]] = {seed: [] for seed in networks}
    trained: dict[int, list[Trainee]] = {seed: [] for seed in networks}
    for index, settings in enumerate(layer_settings(keys, depth)):
        trainees = {
            seed: KINDS[keys.name](
                Layer(
                    config,
                    blocks[seed],
                    index,
                    settings,
                    generators(config, seed, index),
                    layer_data[seed].train[0],
                    data.num_classes,
                )
            )
            for seed in networks
        }

        def report(epoch: int, row: Row, layer: int = index + 1) -> None:
            watch.report(layer, epoch, row)

        phase = LayerPhase(
            trainees,
            layer_data,
            batch_size=settings.batch_size,
            num_workers=num_workers,
            report=report,
        )
        if index < len(earlier):
            with fitting():
                phase.load_state(earlier[index])

        def after_epoch(phase: LayerPhase = phase) -> None:
            save(lambda: [*states, phase.training_state()])

        if phase.epochs < settings.epochs:
            fitted = trainer(settings.epochs, [EpochEnds(after_epoch), Ticks(watch.tick)])
            go_on(fitted, phase)
            fitted.fit(phase)
        states.append(phase.training_state())
        first = next(iter(networks))
        watch.finished(index + 1, trainees[first], layer_data[first].val[0])
        for seed, trainee in trainees.items():
            trainee.write_back()
            trained[seed].append(trainee)
            rows[seed] += [{"layer": index + 1, **row} for row in phase.curves[seed]]
            if index + 1 < depth:
                layer_data[seed] = layer_data[seed].through(trainee.hidden)
    for seed, network in networks.items():
        if isinstance(network, Autoencoder):
            unroll(network, trained[seed])
    return rows
