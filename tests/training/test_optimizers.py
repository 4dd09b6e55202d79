"""Optimizers against their formulas, and decay on weights alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import InputError
from study.networks import build_network
from study.training.optimizers import OPTIMIZERS, make_optimizer, parameter_groups
from tests import tiny

LR = 0.05
STEPS = 6
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.1}
RMSPROP = {"name": "rmsprop", "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1}
ADAM = {"name": "adam", "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}
State = dict[str, Tensor]


def sgd(w: Tensor, g: Tensor, state: State, step: int, config: dict[str, Any]) -> Tensor:
    """SGD: v <- momentum v + g; w <- w - lr v, with Nesterov w - lr (g + momentum v)."""
    g = g + config["weight_decay"] * w
    state["v"] = config["momentum"] * state.get("v", torch.zeros_like(w)) + g
    return w - LR * (g + config["momentum"] * state["v"] if config["nesterov"] else state["v"])


def rmsprop(w: Tensor, g: Tensor, state: State, step: int, config: dict[str, Any]) -> Tensor:
    """RMSprop: r <- alpha r + (1 - alpha) g^2; b <- momentum b + g / (sqrt(r) + eps).

    Then w <- w - lr b.
    """
    g = g + config["weight_decay"] * w
    zero = torch.zeros_like(w)
    state["r"] = config["alpha"] * state.get("r", zero) + (1 - config["alpha"]) * g**2
    scaled = g / (state["r"].sqrt() + config["eps"])
    state["b"] = config["momentum"] * state.get("b", zero) + scaled
    return w - LR * state["b"]


def adam(w: Tensor, g: Tensor, state: State, step: int, config: dict[str, Any]) -> Tensor:
    """Kingma & Ba 2015, algorithm 1, of a gradient with the decay in it."""
    return _adam_step(w, g + config["weight_decay"] * w, state, step, config)


def adamw(w: Tensor, g: Tensor, state: State, step: int, config: dict[str, Any]) -> Tensor:
    """Loshchilov & Hutter 2019, algorithm 2: the weights shrink beside the step."""
    return _adam_step(w * (1 - LR * config["weight_decay"]), g, state, step, config)


def _adam_step(w: Tensor, g: Tensor, state: State, step: int, config: dict[str, Any]) -> Tensor:
    beta1, beta2 = config["beta1"], config["beta2"]
    state["m"] = beta1 * state.get("m", torch.zeros_like(w)) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", torch.zeros_like(w)) + (1 - beta2) * g**2
    m, v = state["m"] / (1 - beta1**step), state["v"] / (1 - beta2**step)
    return w - LR * m / (v.sqrt() + config["eps"])


CASES: list[tuple[dict[str, Any], Callable[..., Tensor]]] = [
    (SGD, sgd),
    (SGD | {"momentum": 0.0}, sgd),
    (SGD | {"nesterov": True}, sgd),
    (RMSPROP, rmsprop),
    (RMSPROP | {"momentum": 0.0}, rmsprop),
    (ADAM, adam),
    (ADAM | {"name": "adamw"}, adamw),
]


def problem() -> tuple[nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = nn.Linear(4, 3).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    inputs = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    return network, inputs, torch.randn(8, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("config", "formula"), CASES)
def test_several_steps_equal_the_formula(
    config: dict[str, Any], formula: Callable[..., Tensor]
) -> None:
    network, inputs, targets = problem()
    values = [parameter.detach().clone() for parameter in network.parameters()]
    decays = [config, config | {"weight_decay": 0.0}]
    states: list[State] = [{}, {}]
    groups = parameter_groups(network, weight_decay=config["weight_decay"])
    optimizer = make_optimizer(groups, LR, config)
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        functional.mse_loss(network(inputs), targets).backward()
        optimizer.step()
        leaves = [value.requires_grad_() for value in values]
        loss = functional.mse_loss(functional.linear(inputs, *leaves), targets)
        gradients = torch.autograd.grad(loss, leaves)
        values = [
            formula(value.detach(), gradient, state, step, decay)
            for value, gradient, state, decay in zip(values, gradients, states, decays, strict=True)
        ]
    for parameter, value in zip(network.parameters(), values, strict=True):
        torch.testing.assert_close(parameter.detach(), value, rtol=1e-12, atol=1e-13)


def every_kind_of_parameter(model: str) -> nn.Module:
    config = tiny.config("activation=prelu", "norm=batch", "norm.position=after", model=model)
    return build_network(config.network, (1, 16, 16), 3).double()


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_weights_alone_decay(model: str) -> None:
    network = every_kind_of_parameter(model)
    decaying, others = parameter_groups(network, weight_decay=0.3)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(p)] for p in decaying["params"]} == {
        name for name in names.values() if name.endswith(("layer.weight", "output.weight"))
    }
    assert decaying["weight_decay"] == 0.3
    assert others["weight_decay"] == 0.0
    assert len(decaying["params"]) + len(others["params"]) == len(names)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_gradients_only_weights_shrink(name: str) -> None:
    network = every_kind_of_parameter("mlp")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    optimizer = tiny.config(f"optimizer={name}", "optimizer.weight_decay=0.1").optimizer
    groups = parameter_groups(network, weight_decay=optimizer.weight_decay)
    make_optimizer(groups, LR, optimizer.level).step()
    for key, parameter in network.named_parameters():
        value = float(parameter.detach().flatten()[0])
        assert value < 1 if key.endswith(("layer.weight", "output.weight")) else value == 1


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(InputError, match="lion"):
        make_optimizer([], LR, SGD | {"name": "lion"})


def test_where_nothing_decays_all_parameters_are_one_group() -> None:
    network = every_kind_of_parameter("cnn")
    (all_of_them,) = parameter_groups(network, weight_decay=0.0)
    assert all_of_them["params"] == list(network.parameters())
