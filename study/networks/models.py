"""From a configuration to a network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import InputError, unknown
from study.networks.network import Block, BlockMaker, Network
from study.networks.registry import Arguments, keywords, only_keys, split_level

# The multilayer perceptron.


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
        sizes = [in_features, *widths]
        super().__init__(make.dense_blocks(sizes), nn.Linear(sizes[-1], num_classes))


# The convolutional network.


POOLS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
POOLINGS = (nn.Identity, nn.MaxPool2d, nn.AvgPool2d)
"""What pools each channel by itself."""


class CNN(Network):
    """A convolutional network: stages of convolutions, each ended by 2x2 pooling, a dense head.

    `channels` has one inner list per stage: `[[32, 32], [64]]` is two convolutions, pooling, one
    convolution, pooling. Convolutions have an odd `kernel_size` and keep the image's size;
    pooling halves it, rounding down. Then one dense block per entry of `head`, then the output.
    Takes [N, C, H, W] of `input_shape` (C, H, W); returns [N, num_classes].
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        channels: Sequence[Sequence[int]] = ((16,), (32,), (32,)),
        kernel_size: int = 3,
        pool: str = "max",
        head: Sequence[int] = (64,),
        dropout: float = 0.0,
        activation: Mapping[str, Any] | str = "relu",
        norm: Mapping[str, Any] | str = "none",
    ) -> None:
        make = BlockMaker(activation, norm, dropout)
        if kernel_size % 2 == 0:
            raise InputError(
                f"model.kernel_size is {kernel_size}; it must be odd, so that padding keeps the "
                "image's size"
            )
        if pool not in POOLS:
            raise unknown("model.pool", pool, POOLS)
        height, width = _pooled_size(input_shape, len(channels))
        blocks, fed = [], input_shape[0]
        for stage in channels:
            for index, units in enumerate(stage, start=1):
                pooling = POOLS[pool](2) if index == len(stage) else None
                blocks.append(make.convolution(fed, units, kernel_size, pooling))
                fed = units
        sizes = [fed * height * width, *head]
        dense = make.dense_blocks(sizes)
        super().__init__([*blocks, *dense], nn.Linear(sizes[-1], num_classes))


def _pooled_size(input_shape: tuple[int, int, int], num_poolings: int) -> tuple[int, int]:
    """Height and width after halving `num_poolings` times."""
    _, height, width = input_shape
    left = min(height, width) >> num_poolings
    if left < 1:
        most = min(height, width).bit_length() - 1
        raise InputError(
            f"model.channels has {num_poolings} inner lists, each ended by 2x2 pooling, but an "
            f"image of {height}x{width} can be halved {most} times; use at most {most} inner lists"
        )
    return height >> num_poolings, width >> num_poolings


# The residual network.


class ResNet(Network):
    """A small residual network for images: a convolution, then stages of residual blocks.

    As He et al. 2016 (arXiv 1512.03385, section 4.2) have for CIFAR: `channels` has one inner list
    per stage, with the channels of each residual block of two 3x3 convolutions, whose output is
    added to what it is fed (by shortcut A: no weights, channels that are new are fed 0). The
    activation of a convolution stands before the sum, and between two stages 2x2 average pooling
    halves the image. Each channel's mean goes to the output. Takes [N, C, H, W] of `input_shape`
    (C, H, W); returns [N, num_classes].
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        channels: Sequence[Sequence[int]] = ((16,), (32,), (64,)),
        dropout: float = 0.0,
        activation: Mapping[str, Any] | str = "relu",
        norm: Mapping[str, Any] | str = "none",
    ) -> None:
        make = BlockMaker(activation, norm, dropout)
        _pooled_size(input_shape, len(channels) - 1)
        fed = channels[0][0]
        blocks = [make.convolution(input_shape[0], fed, 3)]
        for stage in channels:
            for units in stage:
                blocks += [make.convolution(fed, units, 3), make.convolution(units, units, 3)]
                fed = units
        super().__init__(blocks, nn.Linear(fed, num_classes))
        self.stages = [len(stage) for stage in channels]

    def forward(self, x: Tensor) -> Tensor:
        blocks = iter(self.blocks)
        x = next(blocks)(x)
        for stage, num_blocks in enumerate(self.stages):
            if stage:
                x = functional.avg_pool2d(x, 2)
            for _ in range(num_blocks):
                out = next(blocks)(x)
                out = next(blocks)(out)
                x = out + _with_channels(x, out.shape[1])
        return self.output(x.mean((2, 3)))


def _with_channels(x: Tensor, channels: int) -> Tensor:
    """The first so many channels of [N, C, H, W], with zeros where it has fewer."""
    more = channels - x.shape[1]
    return functional.pad(x, (0, 0, 0, 0, 0, more)) if more > 0 else x[:, :channels]


# The deep autoencoder.


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
        down = [in_features, *widths]
        up = [code, *reversed(down[1:])]
        encoder = make.dense_blocks(down)
        linear = Block(nn.Linear(down[-1], up[0]), flattens=not encoder)
        decoder = make.dense_blocks(up, flattens=False)
        super().__init__([*encoder, linear, *decoder], nn.Linear(up[-1], in_features))
        self.num_encoder_blocks = len(encoder) + 1


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
    "resnet": (ResNet, ResNet),
    "autoencoder": (build_autoencoder, Autoencoder),
}
"""Name -> (what builds it from an input shape, the class whose keywords are its keys)."""


def build_network(
    config: Mapping[str, Arguments | str], input_shape: tuple[int, int, int], num_classes: int
) -> Network:
    """The network of `config["model"]`, `config["activation"]` and `config["norm"]`.

    For images (C, H, W) and `num_classes` scores (an autoencoder: C H W outputs). The global random
    generator is left as it was; the weights are torch's defaults until `initialize` sets them.
    Raises InputError for an unknown name or key, or an image too small for the poolings.
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
