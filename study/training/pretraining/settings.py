"""The keys of the group `pretraining`, spelled out layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.config.configuration import Config, level_defaults
from study.config.groups import PretrainingGroup
from study.errors import InputError, shown
from study.networks import Autoencoder, Block, Network

PER_LAYER = ("epochs", "lr", "batch_size", "optimizer")
"""The keys that take a list with one value a layer."""


@dataclass(frozen=True)
class LayerSettings:
    """How one layer is pretrained; `optimizer` is empty where the kind has none of torch's."""

    epochs: int
    lr: float
    batch_size: int
    optimizer: Mapping[str, Any]


def blocks_to_pretrain(config: Config, network: Network) -> list[Block]:
    """The blocks that the configuration has pretrained, in forward order.

    Of an autoencoder's blocks those of its encoder can be. Raises `InputError` where the network
    has fewer than `pretraining.layers`.
    """
    blocks = list(network.hidden_blocks())
    if isinstance(network, Autoencoder):
        blocks = blocks[: network.num_encoder_blocks]
    layers = config.pretraining.layers
    if isinstance(layers, str):  # all
        layers = len(blocks)
    if not blocks or layers > len(blocks):
        name = config.pretraining.name
        raise InputError(
            f"pretraining.layers={layers} with pretraining={name}: the network has "
            f"{len(blocks)} hidden layers to pretrain; give at most that many, or all"
        )
    return blocks[:layers]


def layer_settings(pretraining: PretrainingGroup, num_layers: int) -> list[LayerSettings]:
    """The settings of each layer; raises `InputError` for a list that has not one value for each.

    An optimizer's keys are those of its file, but for its momentum and decay.
    """
    columns = {}
    for name in PER_LAYER:
        value = getattr(pretraining, name)
        values = value if isinstance(value, list) else [value] * num_layers
        if len(values) != num_layers:
            raise InputError(
                f"pretraining.{name}={shown(value)} has {len(values)} values for {num_layers} "
                "layers; give one for each, or one for all"
            )
        columns[name] = values
    own = {"momentum": pretraining.momentum, "weight_decay": pretraining.weight_decay}
    defaults = {name: level_defaults("optimizer", name) for name in columns["optimizer"] if name}
    if own["momentum"] and defaults and not any("momentum" in keys for keys in defaults.values()):
        raise InputError(
            f"pretraining.momentum={pretraining.momentum} with pretraining.optimizer="
            f"{shown(pretraining.optimizer)}, which has none; use sgd or rmsprop"
        )
    optimizers: dict[str, dict[str, Any]] = {"": {}}
    for name, keys in defaults.items():
        taken = {"nesterov": False, **own}
        optimizers[name] = keys | {key: taken[key] for key in keys if key in taken}
    rows = zip(*(columns[name] for name in PER_LAYER), strict=True)
    return [
        LayerSettings(epochs, lr, batch, optimizers[name or ""]) for epochs, lr, batch, name in rows
    ]


def num_updates(pretraining: PretrainingGroup, num_layers: int, num_examples: int) -> int:
    """Updates of each seed's network, over all its layers."""
    return sum(
        layer.epochs * (num_examples // min(layer.batch_size, num_examples))
        for layer in layer_settings(pretraining, num_layers)
    )


def num_epochs(pretraining: PretrainingGroup, num_layers: int) -> int:
    """Epochs of each seed's network, over all its layers."""
    return sum(layer.epochs for layer in layer_settings(pretraining, num_layers))
