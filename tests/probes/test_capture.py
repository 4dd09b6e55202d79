"""What is captured of a layer, against plain autograd, one example and one replica at a time."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.networks import CNN, MLP, Network, batch_statistics, initialize
from study.outputs.metrics import PROBES
from study.probes.capture import capture, hidden_blocks
from study.probes.measure import measure, measured
from study.probes.recorder import watching_units
from study.training.stacking import StackedNetwork
from study.training.task import Task, make_task
from tests import tiny

SHAPE, CLASSES, COUNT = (2, 6, 6), 4, 12
CASES: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("mlp relu", {"widths": [7, 5]}, "relu", "none"),
    ("mlp sigmoid, norm before", {"widths": [7, 7]}, "sigmoid", "batch"),
    ("mlp tanh, norm after", {"widths": [6, 5]}, "tanh", {"name": "batch", "position": "after"}),
    ("mlp maxout", {"widths": [6, 5]}, {"name": "maxout", "pieces": 3}, "batch"),
    ("mlp prelu, dropout", {"widths": [6, 5], "dropout": 0.5}, "prelu", "none"),
    ("mlp identity", {"widths": [6]}, "identity", "none"),
    ("cnn relu", {"channels": [[3, 4], [5]], "head": [6]}, "relu", "none"),
    ("cnn silu, norm before", {"channels": [[3], [4]], "head": [5]}, "silu", "batch"),
    ("cnn maxout", {"channels": [[3], [4]], "kernel_size": 1}, "maxout", "none"),
    ("cnn prelu", {"channels": [[3], [4]]}, "prelu", {"name": "batch", "position": "after"}),
]
case = pytest.mark.parametrize(
    ("model", "activation", "norm"),
    [pytest.param(*rest, id=name) for name, *rest in CASES],
)


def task(loss: str = "cross_entropy") -> Task:
    return make_task(tiny.config(f"loss={loss}"))


def network(seed: int, model: dict[str, Any], activation: Any, norm: Any) -> Network:
    """In float64, with a bias, gamma and beta of its own in every unit, training."""
    made: Network
    if "widths" in model:
        made = MLP(
            SHAPE[0] * SHAPE[1] * SHAPE[2], CLASSES, activation=activation, norm=norm, **model
        )
    else:
        made = CNN(SHAPE, CLASSES, activation=activation, norm=norm, **model)
    made = made.double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        scale = 0.5 if parameter.dim() > 1 else 0.1
        offset = 1.0 if parameter.dim() == 1 and parameter.min() == 1 else 0.0
        with torch.no_grad():
            parameter.normal_(generator=generator).mul_(scale).add_(offset)
    return made.train()


def examples(count: int = COUNT) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    inputs = torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, CLASSES, (count,), generator=generator)


class Watched(nn.Module):
    """A module whose inputs and outputs are kept, with their gradients."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        self.input = x
        self.output = self.module(x)
        if self.input.requires_grad:
            self.input.retain_grad()
        return self.output


def by_hand(made: Network, inputs: Tensor, labels: Tensor) -> list[dict[str, Tensor]]:
    """Inputs, pre-activations, activations and gradients, from backward() on the mean loss."""
    made = made.eval()
    layers = []
    for block in made.hidden_blocks():
        block.activation = Watched(block.activation)
    with batch_statistics(made):
        loss = nn.functional.cross_entropy(made(inputs), labels)
    loss.backward()
    for block in made.hidden_blocks():
        watched = block.activation
        assert isinstance(watched, Watched)
        assert watched.input.grad is not None
        assert block.layer.weight.grad is not None
        layers.append(
            {
                "preactivation": watched.input.detach(),
                "activation": watched.output.detach(),
                "gradient": watched.input.grad * len(inputs),
                "weight_gradient": block.layer.weight.grad,
            }
        )
    return layers


def as_signal(x: Tensor) -> Tensor:
    return x.reshape(1, *x.shape[:2], -1)


def close(first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-11)


@case
def test_a_plain_network_is_captured_as_autograd_sees_it(
    model: dict[str, Any], activation: Any, norm: Any
) -> None:
    inputs, labels = examples()
    layers = capture(network(0, model, activation, norm), inputs, labels, task())
    expected = by_hand(network(0, model, activation, norm), inputs, labels)
    assert len(layers) == len(expected)
    for layer, hand in zip(layers, expected, strict=True):
        for name in ("preactivation", "activation", "gradient"):
            close(getattr(layer, name), as_signal(hand[name]))
        close(layer.weight_gradient[0], hand["weight_gradient"])


@case
def test_a_stack_is_measured_as_its_replicas_are_alone(
    model: dict[str, Any], activation: Any, norm: Any
) -> None:
    inputs, labels = examples()
    plain = [network(seed, model, activation, norm) for seed in range(3)]
    stack = capture(StackedNetwork(plain), inputs, labels, task())
    for replica, made in enumerate(plain):
        for layer, alone in zip(stack, capture(made, inputs, labels, task()), strict=True):
            for each in (layer, alone):
                each.weight_before = each.weight * 1.1 + 0.01
            stacked, expected = measure(layer, thorough=True), measure(alone, thorough=True)
            assert stacked.keys() == expected.keys()
            for name, number in expected.items():
                close(stacked[name][replica], number[0])
            for both, one in zip(layer.input_distribution, alone.input_distribution, strict=True):
                close(both.expand(3, -1)[replica], one[0])


def test_every_probe_is_measured_somewhere() -> None:
    inputs, labels = examples()
    layer = capture(network(0, {"widths": [5, 5]}, "relu", "batch"), inputs, labels, task())[1]
    when = {name: probe.when for name, probe in PROBES.items()}
    assert measure(layer).keys() == {name for name, each in when.items() if each == "every"}
    layer.weight_before, layer.inputs_before = layer.weight + 1, layer.input_distribution
    # The last moment's takes more than the probe batch.
    numbers = measure(layer, thorough=True)
    assert numbers.keys() == {name for name, each in when.items() if each != "last"}


@case
def test_a_network_is_left_as_it_was(model: dict[str, Any], activation: Any, norm: Any) -> None:
    inputs, labels = examples()
    for made in (
        network(0, model, activation, norm),
        StackedNetwork([network(seed, model, activation, norm) for seed in (0, 1)]).train(),
    ):
        state = {name: value.clone() for name, value in made.state_dict().items()}
        capture(made, inputs, labels, task())
        assert made.training
        assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())
        assert all(parameter.grad is None for parameter in made.parameters())
        hooks = [m for m in made.modules() if m._forward_hooks or m._forward_pre_hooks]
        assert not hooks


def test_each_gradient_is_that_of_the_examples_own_loss() -> None:
    """Without a norm an example alone has the gradient that it has in the batch."""
    inputs, labels = examples()
    made = network(0, {"widths": [5, 4]}, "tanh", "none")
    together = capture(made, inputs, labels, task())
    for index in range(COUNT):
        alone = capture(made, inputs[index : index + 1], labels[index : index + 1], task())
        for both, one in zip(together, alone, strict=True):
            close(both.gradient[:, index : index + 1], one.gradient)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_the_gradient_follows_the_loss(loss: str) -> None:
    inputs, labels = examples()
    made = network(0, {"widths": [5]}, "identity", "none")
    layer = capture(made, inputs, labels, task(loss))[0]
    outputs = made.eval()(inputs).detach().requires_grad_()
    task(loss).loss(outputs, labels).sum().backward()
    assert outputs.grad is not None
    close(layer.gradient[0, :, :, 0], outputs.grad @ made.output.weight)


def test_a_layer_jacobian_is_that_of_autograd() -> None:
    """Of a dense layer with a norm before its activation, whose statistics are held."""
    inputs, labels = examples(400)
    made = network(0, {"widths": [6, 5]}, "tanh", "batch")
    layer = capture(made, inputs, labels, task())[1]
    number = measure(layer, thorough=True)["jacobian_singular_value"]
    mean, var = layer.outputs.mean((1, 3))[0], layer.outputs.var((1, 3), correction=0)[0]
    block = list(made.hidden_blocks())[1]

    def activations(x: Tensor) -> Tensor:
        normalized = (block.layer(x) - mean) / torch.sqrt(var + 1e-5)
        return block.activation(normalized * block.norm.weight + block.norm.bias)

    expected = []
    for index in range(8):
        jacobian = torch.autograd.functional.jacobian(activations, layer.inputs[0, index])
        expected.append(torch.linalg.svdvals(jacobian).mean())
    close(number[0], torch.stack(expected).mean())


def test_units_of_a_constant_network_are_one() -> None:
    inputs, labels = examples()
    made = network(0, {"widths": [5, 5]}, "relu", "batch")
    initialize(made, {"name": "constant", "value": 0.1}, {"name": "relu"}, torch.Generator())
    assert measured(made, inputs, labels, task())["distinct_units"] == [1, 1]


def test_a_network_without_hidden_layers_has_no_probes() -> None:
    inputs, labels = examples()
    assert measured(network(0, {"widths": []}, "relu", "none"), inputs, labels, task()) == {}


class SquaredReLU(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.relu() ** 2


def test_no_share_of_a_slope_without_bound_is_measured() -> None:
    made = network(0, {"widths": [6, 5]}, "relu", "none")
    for block in hidden_blocks(made):
        block.activation = SquaredReLU()
    images, targets = examples()
    numbers = measured(made, images, targets, task())
    shares = {name for name, probe in PROBES.items() if probe.lacking}
    for name, values in numbers.items():
        assert all(math.isnan(value) == (name in shares) for value in values), name
    with watching_units([made]) as watched, torch.no_grad():
        made(images)
    assert all(block.dead_fraction().isnan().all() for block in watched[0])
