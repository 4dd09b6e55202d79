"""An autoencoder's decoder, set to what its encoder's layers were pretrained with.

Hinton & Salakhutdinov 2006 unroll a stack of RBMs so: the encoder's weights transposed, with the
visible biases.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.networks import Autoencoder
from study.pretraining.autoencoder import LayerAutoencoder
from study.pretraining.decoders import TiedDecoder
from study.pretraining.rbm_training import RbmTrainee
from study.pretraining.trainee import Trainee


@torch.no_grad()
def unroll(network: Autoencoder, trainees: Sequence[Trainee]) -> None:
    """Copies each trained layer's decoder into the layer that mirrors it.

    `trainees` are those of the first layers, in forward order, their blocks written back.
    """
    mirrored = [block.layer for block in network.hidden_blocks()][network.num_encoder_blocks :]
    layers = [*mirrored, network.output]
    for trainee, layer in zip(trainees, reversed(layers), strict=False):
        weight, bias = _decoder(trainee)
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)


def _decoder(trainee: Trainee) -> tuple[Tensor, Tensor]:
    """The weight [inputs, units] and bias [inputs] that lead from a layer's code to its inputs."""
    if isinstance(trainee, RbmTrainee):
        return trainee.rbm.weight.T, trainee.visible_bias
    assert isinstance(trainee, LayerAutoencoder), "no other kind has a decoder"
    decoder = trainee.top
    if isinstance(decoder, TiedDecoder):
        return decoder.layer.weight.T, decoder.bias
    assert isinstance(decoder, torch.nn.Linear), "an autoencoder's layers are dense"
    return decoder.weight, decoder.bias
