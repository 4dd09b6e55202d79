"""The layers of a network as numbers: all that a prediction needs of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from study.networks import BatchNorm, Block, Network, pieces_per_unit

POOLS: dict[type[nn.Module], str] = {nn.MaxPool2d: "max", nn.AvgPool2d: "average"}


@dataclass(frozen=True)
class LayerShape:
    """A weight layer and the block around it.

    `inputs` are channels or features, `rows` the rows of the weight: units times pieces. `side`
    is height and width of a convolution's images, (1, 1) for a dense layer. `norm` and `pool` are
    None where there is none. `is_linear`: no activation function, as in an autoencoder's code.
    `fed_by_activation`: what it is given comes from one, with nothing that rescales in between.
    """

    inputs: int
    rows: int
    units: int
    kernel: int = 1
    side: tuple[int, int] = (1, 1)
    has_bias: bool = True
    norm: str | None = None
    eps: float = 0.0
    pool: str | None = None
    is_linear: bool = False
    convolves: bool = False
    fed_by_activation: bool = False

    @property
    def fan_in(self) -> int:
        return self.inputs * self.kernel**2

    @property
    def fan_out(self) -> int:
        return self.rows * self.kernel**2

    @property
    def num_positions(self) -> int:
        return self.side[0] * self.side[1]

    @property
    def num_taps(self) -> float:
        """Taps of the kernel that lie inside the image, averaged over positions; 1 if dense.

        A tap that is o pixels off the centre lies inside at side - |o| of the positions of an axis.
        """
        reach = self.kernel // 2
        taps = 1.0
        for side in self.side:
            inside = (max(0, side - abs(offset)) for offset in range(-reach, reach + 1))
            taps *= sum(inside) / side
        return taps

    @property
    def kept_share(self) -> float:
        """Positions after 2x2 pooling over those before it: 1/4, or less if a side is odd."""
        height, width = self.side
        return (height // 2) * (width // 2) / self.num_positions if self.pool else 1.0


def hidden_layers(network: Network, input_shape: tuple[int, int, int]) -> Iterator[LayerShape]:
    """The hidden layers in forward order."""
    side, fed_by_activation = input_shape[1:], False
    for block in network.hidden_blocks():
        layer, norm = block.layer, block.norm if isinstance(block.norm, BatchNorm) else None
        rows, inputs = layer.weight.shape[:2]
        convolves = isinstance(layer, nn.Conv2d)
        shape = LayerShape(
            inputs=inputs,
            rows=rows,
            units=rows // pieces_per_unit(block.activation),
            kernel=layer.weight.shape[-1] if convolves else 1,
            side=side if convolves else (1, 1),
            has_bias=layer.bias is not None,
            norm=norm.position if norm else None,
            eps=norm.eps if norm else 0.0,
            pool=POOLS.get(type(block.pool)),
            is_linear=isinstance(block.activation, nn.Identity),
            convolves=convolves,
            fed_by_activation=fed_by_activation,
        )
        yield shape
        side = (side[0] // 2, side[1] // 2) if shape.pool else side
        fed_by_activation = not (block.output_is_normalized or shape.is_linear)


def output_layer(network: Network, hidden: list[LayerShape]) -> LayerShape:
    """The linear output layer, behind these hidden ones."""
    last = hidden[-1] if hidden else None
    fed = last is not None and last.norm != "after" and not last.is_linear
    rows, inputs = network.output.weight.shape
    return LayerShape(inputs, rows, rows, fed_by_activation=fed, is_linear=True)


def not_in_theory(network: Network) -> Iterator[str]:
    """What a prediction from the shapes of a network takes no notice of, in words."""
    norms = (block.norm for block in network.hidden_blocks())
    others = (norm for norm in norms if not isinstance(norm, nn.Identity | BatchNorm))
    for name in dict.fromkeys(type(norm).__name__ for norm in others):
        yield f"predicted as if there were no {name}"
    forwards: dict[type[nn.Module], bool] = {
        type(network): type(network).forward is Network.forward
    }
    forwards |= {type(block): type(block).forward is Block.forward for block in network.blocks}
    for kind, is_plain in forwards.items():
        if not is_plain:
            yield f"predicted as if {kind.__name__} had no forward of its own"
