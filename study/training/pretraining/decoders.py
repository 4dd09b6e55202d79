"""Decoders: from a layer's code, before any pooling, back to what the layer was fed.

Convolutions here move by one pixel and are padded so that a code has the image's height and width;
a transposed convolution with the same padding therefore returns the image's size, odd or even.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import InputError, unknown
from study.networks import Block, pieces_per_unit

DECODERS = ("tied", "untied")

Fill = Callable[[Tensor], object]
"""Fills a float32 tensor on the CPU in place: [out, in] or [out, in, height, width]."""

Untied = nn.Linear | nn.ConvTranspose2d
LayerT = TypeVar("LayerT", nn.Linear, nn.ConvTranspose2d)


class TiedDecoder(nn.Module):
    """The transpose of the encoder's linear map, and a bias of its own that starts at 0.

    Takes [N, units] or [N, channels, H, W]; returns [N, inputs] or [N, in_channels, H, W]: h W + b
    for a dense layer's weight W [units, inputs], a transposed convolution with the same weight for
    a convolution. `layer` is the encoder's own: its weight gets the gradients of both uses.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.weight.shape[1]))

    def forward(self, code: Tensor) -> Tensor:
        if isinstance(self.layer, nn.Linear):
            return functional.linear(code, self.layer.weight.T, self.bias)
        return functional.conv_transpose2d(
            code, self.layer.weight, self.bias, padding=_padding(self.layer)
        )


def make_decoder(name: str, block: Block, fill: Fill) -> nn.Module:
    """The decoder of `pretraining.decoder` for a block: see `TiedDecoder` and `untied`.

    `fill` initializes the weight of an untied one. Raises InputError for an unknown name, or tied
    weights with maxout, where a unit has several rows of weights.
    """
    if name not in DECODERS:
        raise unknown("pretraining.decoder", name, DECODERS)
    if name == "untied":
        return untied(block, fill)
    if pieces_per_unit(block.activation) > 1:
        raise InputError(
            "pretraining.decoder=tied needs one weight per input and unit, but activation=maxout "
            "has several; use pretraining.decoder=untied"
        )
    return TiedDecoder(block.layer)


def untied(block: Block, fill: Fill) -> Untied:
    """A linear map of its own from a block's units to its inputs, with a bias that starts at 0.

    `fill` sees its weight as that of a layer which maps the units to the inputs, [inputs, units]
    or [in_channels, channels, height, width], so fans are the decoder's own.
    """
    layer = block.layer
    units = layer.weight.shape[0] // pieces_per_unit(block.activation)
    values = torch.empty(layer.weight.shape[1], units, *layer.weight.shape[2:])
    fill(values)
    if isinstance(layer, nn.Linear):
        return filled(nn.Linear(units, layer.in_features, device="meta"), values, layer.weight)
    height, width = layer.kernel_size
    decoder = nn.ConvTranspose2d(
        units, layer.in_channels, (height, width), padding=_padding(layer), device="meta"
    )
    return filled(decoder, values.transpose(0, 1), layer.weight)


def filled(layer: LayerT, weight: Tensor, like: Tensor) -> LayerT:
    """The layer with this weight and bias 0, of the device and type of `like`.

    Layers that are made on the device "meta" draw nothing from torch's global generator.
    """
    layer = layer.to_empty(device=like.device).to(like.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    """Zeros at each side; a convolution that a transposed one cannot undo is a mistake here."""
    assert layer.stride == (1, 1)
    assert not isinstance(layer.padding, str)
    height, width = layer.padding
    return height, width
