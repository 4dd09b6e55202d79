"""The multilayer perceptron."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from study.keys import parse_one
from study.networks.network import BlockMaker, Network


class MLP(Network):
    """A multilayer perceptron: one dense block per width, then the output layer.

    Takes [N, C, H, W] with C H W = in_features, or [N, in_features]; returns [N, num_classes].
    No widths at all is logistic (softmax) regression.

    >>> MLP(784, 10, widths=[]).output
    Linear(in_features=784, out_features=10, bias=True)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        widths: Sequence[int] = (128, 128, 128),
        dropout: float = 0.0,
        activation: Mapping[str, Any] | str = "relu",
        norm: Mapping[str, Any] | str = "none",
    ) -> None:
        make = BlockMaker(activation, norm, dropout)
        sizes = [in_features, *parse_one("model.widths", widths)]
        super().__init__(make.dense_blocks(sizes), nn.Linear(sizes[-1], num_classes))
