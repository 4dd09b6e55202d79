"""Every kind of layer autoencoder against a plain loop over its formulas."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from study.training.pretraining.autoencoder import LayerAutoencoder
from tests.pretrained_layers import BATCH, autoencoder, first_block, images, streams, train

CASES: dict[str, dict[str, Any]] = {
    "dense": {"kind": "mlp", "activation": "sigmoid", "loss": "cross_entropy"},
    "masking": {"kind": "mlp", "activation": "tanh", "corruption": ("masking", 0.4)},
    "gaussian": {"kind": "mlp", "activation": "softplus", "corruption": ("gaussian", 0.5),
                 "loss": "cross_entropy", "decoder": "untied"},
    "maxout": {"kind": "mlp", "activation": "maxout", "decoder": "untied"},
    "norm": {"kind": "mlp", "activation": "sigmoid", "norm": BATCH, "loss": "cross_entropy"},
    "norm after": {"kind": "mlp", "activation": "prelu", "norm": BATCH | {"position": "after"},
                   "corruption": ("masking", 0.2), "decoder": "untied"},
    "convolution": {"kind": "cnn", "activation": "sigmoid", "loss": "cross_entropy"},
    "convolution masking": {"kind": "cnn", "activation": "tanh", "corruption": ("masking", 0.4),
                            "decoder": "untied", "norm": BATCH},
    "convolution maxout": {"kind": "cnn", "activation": "maxout", "decoder": "untied"},
}  # fmt: skip

ACTIVATIONS: dict[str, Callable[[Tensor, dict[str, Tensor]], Tensor]] = {
    "sigmoid": lambda x, _: 1 / (1 + (-x).exp()),
    "tanh": lambda x, _: x.tanh(),
    "softplus": lambda x, _: (1 + x.exp()).log(),
    "prelu": lambda x, state: torch.where(x > 0, x, state["activation.weight"] * x),
    "maxout": lambda x, _: torch.maximum(*x.chunk(2, dim=1)),
}


def normalized(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """BatchNorm on the batch's statistics, which go into the running averages."""
    axes = [0, *range(2, x.ndim)]
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    count = x.numel() / x.shape[1]
    with torch.no_grad():
        state["norm.running_mean"].mul_(0.7).add_(0.3 * mean.flatten())
        state["norm.running_var"].mul_(0.7).add_(0.3 * var.flatten() * count / (count - 1))
    shape = (1, -1, *[1] * (x.ndim - 2))
    gamma, beta = state["norm.weight"].view(shape), state["norm.bias"].view(shape)
    return (x - mean) / (var + 1e-5).sqrt() * gamma + beta


def decoded_by_hand(case: dict[str, Any], state: dict[str, Tensor], x: Tensor) -> Tensor:
    weight, bias = state["layer.weight"], state.get("layer.bias")
    act = ACTIVATIONS[case["activation"]]
    dense = case["kind"] == "mlp"
    z = functional.linear(x, weight, bias) if dense else functional.conv2d(x, weight, bias, 1, 1)
    norm = case.get("norm", {})
    z = normalized(z, state) if norm and "position" not in norm else z
    code = act(z, state)
    code = normalized(code, state) if "position" in norm else code
    if dense:
        back = state.get("top.weight", weight.T)
        return code @ back.T + state["top.bias"]
    back = state.get("top.weight", weight)
    return functional.conv_transpose2d(code, back, state["top.bias"], padding=1)


def loss_by_hand(case: dict[str, Any], outputs: Tensor, target: Tensor) -> Tensor:
    if case.get("loss") == "cross_entropy":
        p = 1 / (1 + (-outputs).exp())
        return -(target * p.log() + (1 - target) * (1 - p).log()).sum() / len(target)
    return (outputs - target).square().sum() / len(target)


def corrupted_by_hand(case: dict[str, Any], x: Tensor, generator: torch.Generator) -> Tensor:
    kind, level = case.get("corruption", ("none", 0))
    if kind == "masking":
        return torch.where(torch.rand(x.shape, generator=generator) < level, 0.0, x)
    if kind == "gaussian":
        return x + level * torch.randn(x.shape, generator=generator).double()
    return x


def by_hand(case: dict[str, Any], start: dict[str, Tensor], inputs: Tensor) -> list[float]:
    """Two epochs of SGD with momentum on `start`, in place; each epoch's mean loss."""
    x = inputs.flatten(1) if case["kind"] == "mlp" else inputs
    leaves = {name: value for name, value in start.items() if "running" not in name}
    velocity = {name: torch.zeros_like(value) for name, value in leaves.items()}
    curve = []
    for epoch in range(2):
        order = torch.randperm(len(x), generator=streams("order", epoch))
        noise, total = streams("corruption", epoch), []
        for first in range(0, len(x) - 7, 8):
            clean = x[order[first : first + 8]]
            for value in leaves.values():
                value.requires_grad_()
            outputs = decoded_by_hand(case, start, corrupted_by_hand(case, clean, noise))
            loss = loss_by_hand(case, outputs, clean)
            gradients = torch.autograd.grad(loss, list(leaves.values()))
            for (name, value), gradient in zip(leaves.items(), gradients, strict=True):
                decay = 0.01 if name in ("layer.weight", "top.weight") else 0.0
                value.requires_grad_(False)
                velocity[name] = 0.9 * velocity[name] + gradient + decay * value
                value -= 0.01 * velocity[name]
            total.append(float(loss.detach()))
        curve.append(sum(total) / len(total))
    return curve


def state_by_hand(trainee: LayerAutoencoder) -> dict[str, Tensor]:
    state = dict(trainee.block.state_dict())
    top = {k: v for k, v in trainee.top.state_dict().items() if not k.startswith("layer.")}
    state |= {f"top.{name}": value for name, value in top.items()}
    return {name: value.clone() for name, value in state.items()}


@pytest.mark.parametrize("name", CASES)
def test_training_is_a_hand_written_loop(name: str) -> None:
    case = CASES[name]
    own = {key: case[key] for key in ("activation", "norm") if key in case}
    rest = {key: case[key] for key in ("decoder", "loss", "corruption") if key in case}
    trainee = autoencoder(first_block(case["kind"], **own), **rest)
    state = state_by_hand(trainee)
    before = copy.deepcopy(state)
    curve = by_hand(case, state, images())
    assert train(trainee, images(), range(2)) == pytest.approx(curve, rel=1e-11)
    after = state_by_hand(trainee)
    assert after.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(after[key], value, rtol=1e-10, atol=1e-12, msg=key)
        assert not torch.equal(value, before[key]), key
    assert trainee.updates == 2 * 3
