"""What pretraining refuses before anything is trained."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from study.config.configuration import Config
from study.config.groups import PretrainingGroup
from study.data import IN_UNIT_INTERVAL
from study.errors import InputError
from study.networks import Autoencoder, Block, Network, pieces_per_unit
from study.training.pretraining.autoencoder import make_corruption
from study.training.pretraining.decoders import make_decoder
from study.training.pretraining.greedy import visible_units, where
from study.training.pretraining.rbm_training import hidden_units
from study.training.pretraining.settings import blocks_to_pretrain, layer_settings


def check_pretraining(config: Config, network: Network) -> None:
    """Raises `InputError` for a pretraining that this network or its inputs cannot have."""
    keys = config.pretraining
    if keys.name == "none":
        return
    if not network.is_chain:
        raise InputError(
            f"pretraining={keys.name} feeds each block with what comes out of the one before, "
            f"and model={config.model.name} has a forward of its own; use pretraining=none"
        )
    blocks = blocks_to_pretrain(config, network)
    layer_settings(keys, len(blocks))
    if keys.name == "rbm":
        _check_rbm(keys, blocks)
        if keys.visible == "bernoulli":
            _check_unit_interval(config, "bernoulli visible units", "pretraining.visible=gaussian")
    elif keys.name == "supervised":
        if isinstance(network, Autoencoder):
            raise InputError(
                "pretraining=supervised learns classes, and model=autoencoder has none; "
                "use pretraining=autoencoder, denoising_autoencoder or rbm"
            )
    else:
        make_corruption(keys.corruption, keys.corruption_level)
        for block in blocks:
            make_decoder(keys.decoder, block, lambda values: values.zero_())
        if keys.loss == "cross_entropy":
            _check_unit_interval(
                config, f"pretraining.loss={keys.loss}", "pretraining.loss=squared"
            )
            check_blocks(keys.loss, blocks)
    if isinstance(network, Autoencoder):
        _check_unrolled(config, blocks)


def _check_rbm(keys: PretrainingGroup, blocks: Sequence[Block]) -> None:
    hidden = [
        hidden_units(block, keys.hidden, mean_field=keys.mean_field, where=where(index))
        for index, block in enumerate(blocks)
    ]
    real = [
        kind == "linear" or visible_units(keys, blocks, index) == "gaussian"
        for index, kind in enumerate(hidden)
    ]
    if any(real) and not all(real) and not isinstance(keys.lr, list):
        rates = ",".join("0.001" if each else f"{keys.lr:g}" for each in real)
        raise InputError(
            f"pretraining.lr={keys.lr:g} is one rate for Bernoulli and for linear or Gaussian "
            f"units, which need a far smaller one; give one a layer, such as "
            f"pretraining.lr=[{rates}]"
        )


def _check_unrolled(config: Config, blocks: Sequence[Block]) -> None:
    """A pretrained layer's decoder has to be what the unrolled autoencoder makes of it."""
    keys = config.pretraining
    if any(pieces_per_unit(block.activation) > 1 for block in blocks):
        raise InputError(
            "model=autoencoder unrolls its pretrained layers, and a unit of activation=maxout has "
            "several weights an input; use another activation, or pretraining=none"
        )
    own = config.loss == "cross_entropy"
    if keys.name == "rbm":
        fits, remedy = keys.visible == "bernoulli", "pretraining.visible"
        wanted = "bernoulli" if own else "gaussian"
    else:
        fits, remedy = keys.loss == "cross_entropy", "pretraining.loss"
        wanted = "cross_entropy" if own else "squared"
    if fits != own:
        raise InputError(
            f"model=autoencoder with loss={config.loss} unrolls its pretrained layers, whose "
            f"decoders are for another output; use {remedy}={wanted}"
        )


def check_blocks(name: str, blocks: Sequence[Block]) -> None:
    """Refuses cross-entropy where a block feeds the next with values that can leave [0, 1].

    `blocks`: those to pretrain, in forward order. Needs no data, so it can go before training.
    """
    if name != "cross_entropy":
        return
    for layer, (block, _) in enumerate(pairwise(blocks), start=2):
        if not isinstance(block.activation, nn.Sigmoid):
            feeds, remedy = type(block.activation).__name__, "activation=sigmoid"
        elif block.output_is_normalized:
            feeds, remedy = "a norm after the activation", "norm.position=before"
        else:
            continue
        raise InputError(
            f"pretraining.loss=cross_entropy reconstructs values in [0, 1], but layer {layer} is "
            f"fed by {feeds}; use {remedy} or pretraining.loss=squared"
        )


def _check_unit_interval(config: Config, what: str, instead: str) -> None:
    normalize = config.data.normalize
    if normalize not in IN_UNIT_INTERVAL:
        raise InputError(
            f"pretraining={config.pretraining.name}: {what} takes inputs in [0, 1], which "
            f"data.normalize={normalize} does not give; use data.normalize=unit or binary, or "
            f"{instead}"
        )
