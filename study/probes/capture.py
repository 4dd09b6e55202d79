"""One forward and one backward pass of K networks, and what passed through every hidden layer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from study.networks import BatchNorm, Block, Network, batch_statistics
from study.probes.signals import Distribution, unit_distribution
from study.probes.slopes import largest_slope, slope_of
from study.training.alone import laid_out
from study.training.stacking import StackedNetwork
from study.training.task import Task

Probed = Network | StackedNetwork


@dataclass(eq=False)
class Layer:
    """What a hidden layer of K networks did with N examples.

    It has U units of p pieces each (p = 1, but for maxout) at P positions (1, if it is dense):

    inputs           [K or 1, N, F], or images [K or 1, N, C, H, W] of a convolution
    outputs          [K, N, p U, P]: what the linear map returned
    preactivation    [K, N, p U, P]: what the activation function was given
    activation       [K, N, U, P]: what it returned
    slope            [K, N, U, P]: its derivative there
    largest_slope    [K]: the largest that the derivative can be
    gradient         [K, N, p U, P]: each example's loss, differentiated by the pre-activations
    weight           [K, p U, ...] as in the plain module
    weight_gradient  the same: the mean loss, differentiated by the weight
    bias, gamma, beta  [K, units of the parameter], None where there is none
    weight_before    as weight: what it was one update ago, where the recorder knows it
    inputs_before    [K, units] each: the `input_distribution` of the last moment, the same
    """

    block: Block
    inputs: Tensor
    outputs: Tensor
    preactivation: Tensor
    activation: Tensor
    slope: Tensor
    largest_slope: Tensor
    gradient: Tensor
    weight: Tensor
    weight_gradient: Tensor
    bias: Tensor | None
    gamma: Tensor | None
    beta: Tensor | None
    weight_before: Tensor | None = None
    inputs_before: Distribution | None = None

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution."""
        return self.inputs.dim() == 5

    @cached_property
    def input_distribution(self) -> Distribution:
        """Mean and standard deviation of each unit that feeds the layer: [K or 1, units] each."""
        flat = self.inputs.flatten(3) if self.convolves else self.inputs.unsqueeze(3)
        return unit_distribution(flat)

    @property
    def pieces(self) -> int:
        """Linear pieces of a unit."""
        return self.preactivation.shape[2] // self.activation.shape[2]

    @property
    def norm_scale(self) -> Tensor:
        """What a norm before the activation multiplies outputs by, [K, p U]; 1 without one.

        gamma / sqrt(var + eps): the statistics of a batch hardly depend on one example.
        """
        norm = self.block.norm
        if self.block.norm_after or not isinstance(norm, BatchNorm):
            return torch.ones_like(self.outputs[:, 0, :, 0])
        scale = (self.outputs.var((1, 3), correction=0) + norm.eps).rsqrt()
        return scale if self.gamma is None else scale * self.gamma


def hidden_blocks(network: Probed) -> list[Block]:
    """The blocks of a plain or a stacked network, in forward order."""
    return [block for block in network.blocks if isinstance(block, Block)]


def num_replicas(network: Probed) -> int:
    """How many networks it stands for."""
    return network.num_replicas if isinstance(network, StackedNetwork) else 1


def signal(network: Probed, x: Tensor) -> Tensor:
    """What flows between two layers as [K, N, U, P]; [1, N, U, P] if all replicas share it.

    Dense layers have one position, convolutions as many as an image has pixels.
    """
    if isinstance(network, StackedNetwork) and x.dim() == 4:
        x = x.unflatten(1, (network.num_replicas, -1)).transpose(0, 1)
    elif isinstance(network, Network):
        x = x.unsqueeze(0)
    return x.unsqueeze(3) if x.dim() == 3 else x.flatten(3)


def plain_parameter(network: Probed, name: str, tensor: Tensor) -> Tensor:
    """A parameter by its plain name, or its gradient, as [K, ...] of the plain shape."""
    if isinstance(network, StackedNetwork):
        return network.plain_view(name, tensor)
    return tensor.unsqueeze(0)


@contextmanager
def probe_mode(network: nn.Module) -> Iterator[None]:
    """Dropout and noise off; BatchNorm on the batch's statistics, its running averages untouched.

    Without autocast; a device's TF32 stays as training set it.
    """
    training = network.training
    device = next(network.parameters()).device.type
    network.eval()
    try:
        with batch_statistics(network), torch.autocast(device, enabled=False):
            yield
    finally:
        network.train(training)


def capture(network: Probed, inputs: Tensor, targets: Tensor, task: Task) -> list[Layer]:
    """The hidden layers of all K networks on N examples; the networks are left as they were.

    inputs: [N, C, H, W], in the networks' precision; targets: [N, ...], as the task compares
    outputs with. A gradient by a pre-activation is that of the example's own loss: the gradient
    of the batch's mean loss times N.
    """
    blocks = hidden_blocks(network)
    if not blocks:
        return []
    weights = [block.layer.weight for block in blocks]
    with probe_mode(network), torch.enable_grad(), _watching(blocks) as seen:
        outputs = network(laid_out(network, inputs)).to(inputs.dtype)
        count = num_replicas(network)
        repeated = targets.expand(count, *targets.shape).flatten(0, 1)
        loss = task.loss(outputs.flatten(0, -2), repeated).sum()
        pre = [seen[block].preactivation for block in blocks]
        gradients = torch.autograd.grad(loss, [*pre, *weights])
    num_examples, depth = len(targets), len(blocks)
    return [
        _layer(
            network, index, seen[block], gradients[index], gradients[depth + index] / num_examples
        )
        for index, block in enumerate(blocks)
    ]


@dataclass
class _Seen:
    """What hooks saw of a block."""

    inputs: Tensor
    outputs: Tensor
    preactivation: Tensor
    activation: Tensor


@contextmanager
def _watching(blocks: Sequence[Block]) -> Iterator[dict[Block, _Seen]]:
    """Within it the blocks write down what passes through them."""
    seen: dict[Block, _Seen] = {}
    with ExitStack() as hooks:
        for block in blocks:
            empty = torch.empty(0)
            seen[block] = record = _Seen(empty, empty, empty, empty)

            def multiply(
                _: nn.Module, args: tuple[Tensor], out: Tensor, record: _Seen = record
            ) -> None:
                record.inputs, record.outputs = args[0], out

            def activate(
                _: nn.Module, args: tuple[Tensor], out: Tensor, record: _Seen = record
            ) -> None:
                record.preactivation, record.activation = args[0], out

            hooks.callback(block.layer.register_forward_hook(multiply).remove)
            hooks.callback(block.activation.register_forward_hook(activate).remove)
        yield seen


def _layer(
    network: Probed, index: int, seen: _Seen, gradient: Tensor, weight_gradient: Tensor
) -> Layer:
    block, prefix = hidden_blocks(network)[index], f"blocks.{index}"
    count = num_replicas(network)

    def parameter(module: nn.Module, path: str) -> Tensor | None:
        own = getattr(module, path.rpartition(".")[2], None)
        return None if own is None else plain_parameter(network, f"{prefix}.{path}", own.detach())

    inputs = seen.inputs.detach()
    if isinstance(network, Network):
        inputs = inputs.unsqueeze(0)
    elif inputs.dim() == 4:
        inputs = inputs.unflatten(1, (-1, block.layer.weight.shape[1])).transpose(0, 1)
    weight = f"{prefix}.layer.weight"
    before = seen.preactivation.detach()
    return Layer(
        block=block,
        inputs=inputs,
        outputs=signal(network, seen.outputs.detach()),
        preactivation=signal(network, before),
        activation=signal(network, seen.activation.detach()),
        slope=signal(network, slope_of(block.activation, before)),
        largest_slope=largest_slope(block.activation, count).to(before),
        gradient=signal(network, gradient),
        weight=plain_parameter(network, weight, block.layer.weight.detach()),
        weight_gradient=plain_parameter(network, weight, weight_gradient),
        bias=parameter(block.layer, "layer.bias"),
        gamma=parameter(block.norm, "norm.weight"),
        beta=parameter(block.norm, "norm.bias"),
    )
