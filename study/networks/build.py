"""From a configuration to a network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from study.networks.autoencoder import Autoencoder
from study.networks.cnn import CNN
from study.networks.level_keys import keywords, only_keys, split_level
from study.networks.mlp import MLP
from study.networks.network import Network

GROUPS = ("activation", "norm")


def build_mlp(input_shape: tuple[int, int, int], num_classes: int, **keys: Any) -> Network:
    """An MLP for images of (C, H, W)."""
    channels, height, width = input_shape
    return MLP(channels * height * width, num_classes, **keys)


def build_autoencoder(input_shape: tuple[int, int, int], num_classes: int, **keys: Any) -> Network:
    """An autoencoder of images of (C, H, W): the number of classes means nothing to it."""
    channels, height, width = input_shape
    return Autoencoder(channels * height * width, **keys)


MODELS: dict[str, tuple[Callable[..., Network], type[Network]]] = {
    "mlp": (build_mlp, MLP),
    "cnn": (CNN, CNN),
    "autoencoder": (build_autoencoder, Autoencoder),
}
"""Name -> (what builds it from an input shape, the class whose keywords are its keys)."""


def build_network(
    config: Mapping[str, Any], input_shape: tuple[int, int, int], num_classes: int
) -> Network:
    """The network of `config["model"]`, `config["activation"]` and `config["norm"]`.

    For images (C, H, W) and `num_classes` scores (an autoencoder: C H W outputs). The global random
    generator is left as it was; the weights are torch's defaults until `initialize` sets them.
    Raises InputError for an unknown name or key, a value out of range, or an image too small for
    the poolings.
    """
    name, keys = split_level("model", config["model"], MODELS)
    build, network_class = MODELS[name]
    own = [key for key in keywords(network_class) if key not in GROUPS]
    only_keys(f"model {name}", keys, own)
    with torch.random.fork_rng(devices=[]):
        return build(
            input_shape,
            num_classes,
            activation=config["activation"],
            norm=config["norm"],
            **keys,
        )
