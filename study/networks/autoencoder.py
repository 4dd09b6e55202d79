"""The deep autoencoder."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from study.keys import parse_one
from study.networks.network import Block, BlockMaker, Network


class Autoencoder(Network):
    """A deep autoencoder: dense blocks down to a linear code, the same widths back up, an output.

    As Hinton & Salakhutdinov 2006, with `in_features`-1000-500-250-30 and its mirror image. Takes
    [N, C, H, W] with C H W = in_features, or [N, in_features]; returns [N, in_features]: the
    reconstruction, or its logits where cross-entropy is minimized. The block of the code is its
    linear layer alone, without activation, norm and dropout. The first `num_encoder_blocks` blocks
    are the encoder.

    >>> Autoencoder(784, widths=[], code=30).output
    Linear(in_features=30, out_features=784, bias=True)
    """

    def __init__(
        self,
        in_features: int,
        *,
        widths: Sequence[int] = (1000, 500, 250),
        code: int = 30,
        dropout: float = 0.0,
        activation: Mapping[str, Any] | str = "relu",
        norm: Mapping[str, Any] | str = "none",
    ) -> None:
        make = BlockMaker(activation, norm, dropout)
        down = [in_features, *parse_one("model.widths", widths)]
        up = [parse_one("model.code", code), *reversed(down[1:])]
        encoder = make.dense_blocks(down)
        linear = Block(nn.Linear(down[-1], up[0]), flattens=not encoder)
        decoder = make.dense_blocks(up, flattens=False)
        super().__init__([*encoder, linear, *decoder], nn.Linear(up[-1], in_features))
        self.num_encoder_blocks = len(encoder) + 1
