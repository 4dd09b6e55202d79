"""The kinds of pretraining: what trains one layer of one seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from study.networks import Block, weight_filler
from study.population.reconstruction import make_reconstruction
from study.pretraining.autoencoder import LayerAutoencoder
from study.pretraining.corruption import make_corruption
from study.pretraining.decoders import make_decoder
from study.pretraining.rbm_training import RbmSettings, RbmTrainee
from study.pretraining.settings import LayerSettings
from study.pretraining.supervised import SupervisedLayer, temporary_classifier
from study.pretraining.trainee import GeneratorFactory, Trainee


@dataclass(frozen=True)
class Layer:
    """One layer of one seed that is to be pretrained: `blocks[index]`, on its device.

    `blocks` are all that are pretrained; `inputs` are what the layer is fed, [N, ...].
    """

    config: Mapping[str, Any]
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
        return weight_filler(self.config["init"], self.config["activation"], generator)(values)


def _autoencoder(layer: Layer) -> Trainee:
    keys = layer.config["pretraining"]
    corruption = make_corruption(keys.get("corruption", "none"), keys.get("corruption_level", 0.0))
    return LayerAutoencoder(
        layer.block,
        make_decoder(keys["decoder"], layer.block, layer.fill),
        reconstruction=make_reconstruction(keys["loss"]),
        corruption=corruption,
        optimizer=layer.settings.optimizer,
        lr=layer.settings.lr,
        batch_size=layer.settings.batch_size,
        generator=layer.generator,
    )


def _rbm(layer: Layer) -> Trainee:
    keys = layer.config["pretraining"]
    names = ("cd_steps", "persistent", "momentum", "final_momentum", "momentum_switch")
    settings = RbmSettings(
        lr=layer.settings.lr,
        batch_size=layer.settings.batch_size,
        weight_cost=keys["weight_cost"],
        **{name: keys[name] for name in names},
    )
    return RbmTrainee(
        layer.block,
        layer.generator,
        settings,
        visible=visible_units(keys, layer.blocks, layer.index),
        hidden=keys["hidden"],
        mean_field=keys["mean_field"],
        where=where(layer.index),
    )


def visible_units(keys: Mapping[str, Any], blocks: Sequence[Block], index: int) -> str:
    """Higher layers see probabilities as Bernoulli units, and anything else as Gaussian ones."""
    if not index:
        return str(keys["visible"])
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
