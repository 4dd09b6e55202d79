"""A stack against the plain modules: every step, every level, every kind of module."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.config.configuration import Config
from study.data import Split
from study.networks import ACTIVATIONS, MODELS, NORMS
from study.training import Alone, Group, Replica, Stack, State
from study.training.build import build_population
from study.training.optimizers import OPTIMIZERS, Groups, elementwise, learning_rate_factors
from study.training.stacking import StackedLinear
from tests import combinations, tiny
from tests.combinations import (
    NUM_STATES,
    PLAIN,
    Case,
    assert_close,
    batch_split,
    both,
    config_of,
    data,
)
from tests.laws.test_alone_by_reason import residual
from tests.training.test_alone import hand_batches
from tests.training.test_stacking import Residual

Gradients = dict[str, Tensor]


def name_of(case: Case) -> str:
    return " - ".join(str(value) for value in case.values())


class Gradient:
    """Keeps the gradients of a network's parameters as they are accumulated, by name."""

    def __init__(self, network: nn.Module) -> None:
        self.of: Gradients = {}
        for name, parameter in network.named_parameters():
            parameter.register_post_accumulate_grad_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[[Tensor], None]:
        def keep(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self.of[name] = parameter.grad.clone()

        return keep


class Twins:
    """A stack and the same replicas as plain modules, which can be given the stack's state."""

    def __init__(self, config: Config, replicas: Sequence[Replica]) -> None:
        self.schedule = config.schedule.level
        self.stack, self.alones = both(config, replicas)
        self.of_stack = Gradient(self.stack.network)
        self.of_alones = [Gradient(alone.network) for alone in self.alones]
        names = {id(value): name for name, value in self.stack.network.named_parameters()}
        self.parts = [
            (names[id(whole)], part, first, last) for whole, part, first, last in self.stack.slices
        ]

    def share(self) -> None:
        """Gives every plain replica the weights and the optimizer's state of the stacked one."""
        for index, alone in enumerate(self.alones):
            alone.restore(0, self.stack.snapshot(index))
            own = dict(alone.network.named_parameters())
            for name, part, first, last in self.parts:
                if first <= index < last and part in self.stack.optimizer.state:
                    alone.optimizer.state[own[name]] = {
                        key: self.plain_form(name, value[index - first], own[name].shape)
                        if value.dim()
                        else value.clone()
                        for key, value in self.stack.optimizer.state[part].items()
                        if value is not None
                    }

    def plain_form(self, name: str, value: Tensor, shape: torch.Size) -> Tensor:
        """A copy of one replica's part of a stacked tensor, as the plain network would have it."""
        module = self.stack.network.get_submodule(name.rpartition(".")[0])
        transposed = isinstance(module, StackedLinear) and name.endswith("weight")
        value = value.reshape(shape[1], shape[0]).t() if transposed else value.reshape(shape)
        return value.clone(memory_format=torch.contiguous_format)

    def step(self, step: int) -> None:
        """Update `step` of the stack and of each plain replica, from a shared state."""
        self.share()
        split, factors = batch_split(step), factor(self.schedule, step)
        sums = tiny.train_epoch(self.stack, split, epoch=step, factors=factors)
        for index, alone in enumerate(self.alones):
            own = tiny.train_epoch(alone, split, epoch=step, factors=factors)
            state = alone.network.state_dict()
            self.compare(index, self.of_alones[index].of, state, (step, index))
            for first, second in ((sums.loss, own.loss), (sums.first_loss, own.first_loss)):
                assert_close(first[index], second[0], (step, index, "loss"))
            assert_close(sums.error[index], own.error[0], (step, index, "error"))

    def compare(self, index: int, gradients: Gradients, state: State, where: object) -> None:
        """The stack's gradients, parameters where those are not tiny, and buffers."""
        stacked = {
            name: self.plain_form(name, whole.view(len(self.alones), -1)[index], own.shape)
            for name, own in gradients.items()
            for whole in [self.of_stack.of[name]]
        }
        assert_close(flat(stacked), flat(gradients), (where, "gradients"))
        large = flat(gradients).abs() > 1e-8
        after = self.stack.snapshot(index)
        values = [flat({name: each[name] for name in gradients}) for each in (after, state)]
        assert_close(values[0][large], values[1][large], (where, "parameters"))
        for name in state.keys() - gradients.keys():
            assert_close(after[name], state[name], (where, name))


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in tensors.values()])


def factor(schedule: Mapping[str, Any], step: int) -> list[float]:
    """The learning-rate factor of an epoch of one update."""
    return learning_rate_factors(schedule, epoch=step, num_epochs=NUM_STATES, updates_per_epoch=1)


def assert_same_evaluation(stack: Stack, alones: Sequence[Alone], split: Split) -> None:
    together = stack.evaluate(split)
    for index, alone in enumerate(alones):
        own = alone.evaluate(split)
        assert_close(together.loss[index], own.loss[0], index)
        assert_close(together.error[index], own.error[0], index)
        assert torch.equal(together.predictions[index], own.predictions[0])


def test_the_cases_have_every_pair_of_levels() -> None:
    covered = set().union(*map(combinations.pairs_of, combinations.cases()))
    assert set(combinations.all_pairs()) <= covered


@pytest.mark.parametrize("case", combinations.cases(), ids=name_of)
def test_a_step_from_a_shared_state_is_that_of_the_plain_module(case: Case) -> None:
    check_steps(config_of(case), combinations.replicas_of(case))


def check_steps(config: Config, replicas: Sequence[Replica]) -> None:
    """Every step of a stack is that of its replicas alone, or they are not stacked at all."""
    if reason := combinations.alone_for(config):
        groups = build_population(config, data(), replicas).engine.groups
        assert [len(group.replicas) for group in groups] == [1] * len(replicas), reason
        return
    twins = Twins(config, replicas)
    for step in range(NUM_STATES):
        twins.step(step)
    twins.share()
    assert_same_evaluation(twins.stack, twins.alones, data().val)


class Scaled(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019): an added norm with weights, and no stacked form."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, x.shape[1:]) * self.weight


def sign(groups: Groups, lr: float, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """An added optimizer that works element by element, and says so."""
    return torch.optim.Rprop(groups, lr=lr)


@pytest.mark.parametrize(
    ("group", "registry", "added", "stacks"),
    [
        ("activation", ACTIVATIONS, lambda: nn.Softsign(), True),
        ("activation", ACTIVATIONS, lambda: nn.Softmax(1), False),
        ("norm", NORMS, Scaled, False),
        ("model", MODELS, (residual, Residual), False),
        ("optimizer", OPTIMIZERS, elementwise(sign), True),
        ("optimizer", OPTIMIZERS, lambda *given: sign(*given), False),
    ],
)
def test_a_level_that_is_added_is_stacked_as_alone_or_alone(
    monkeypatch: pytest.MonkeyPatch, group: str, registry: Any, added: Any, stacks: bool
) -> None:
    monkeypatch.setitem(registry, "added", added)
    listed = [{"name": name} for name in registry if name != "added"]
    assert combinations.others(group, registry, listed) == {"added": {"name": "added"}}
    config = config_of(PLAIN).changed({f"{group}.name": "added"})
    assert (combinations.alone_for(config) is None) == stacks
    check_steps(config, combinations.replicas_of(PLAIN))


TRAJECTORIES = [
    PLAIN | {"activation": activation, "norm": norm, "model": model, "inputs": inputs}
    for row, activation in enumerate(combinations.ACTIVATIONS)
    for norm, model, inputs in [
        (0, list(combinations.MODELS)[row % 4], "both"),
        (row % (len(combinations.NORMS) - 1) + 1, list(combinations.MODELS)[row // 4 % 4], "plain"),
    ]
]


@pytest.mark.parametrize("case", TRAJECTORIES, ids=name_of)
def test_a_trajectory_of_sgd_is_that_of_the_plain_module(case: Case) -> None:
    replicas = [Replica(0, 0.01), Replica(1, 0.01), Replica(1, 0.005)]
    stack, alones = both(config_of(case), replicas)
    for step in range(NUM_STATES):
        groups: list[Group] = [stack, *alones]
        for group in groups:
            tiny.train_epoch(group, batch_split(step), epoch=step, factors=[1.0])
    for index, alone in enumerate(alones):
        state = stack.snapshot(index)
        for name, value in alone.network.state_dict().items():
            assert_close(state[name], value, (index, name), rtol=1e-9, atol=1e-11)


def test_an_epoch_of_many_updates_is_that_of_the_plain_module() -> None:
    config = config_of(PLAIN | {"model": "cnn", "norm": 1, "inputs": "both"})
    stack, alones = both(config, [Replica(3, 0.01), Replica(1, 0.02), Replica(1, 0.01)])
    factors = [1.0, 0.5, 0.25, 0.5, 1.0, 0.0]
    for epoch in range(3):
        sums = tiny.train_epoch(stack, data().train, epoch=epoch, factors=factors)
        for index, alone in enumerate(alones):
            own = tiny.train_epoch(alone, data().train, epoch=epoch, factors=factors)
            assert_close(sums.loss[index], own.loss[0], (epoch, index))
            assert_close(sums.first_loss[index], own.first_loss[0], (epoch, index))
            assert sums.error[index] == own.error[0]


@pytest.mark.parametrize("pinned", ["order", "noise", "dropout", "augmentation"])
def test_a_pinned_stream_is_the_plain_modules(pinned: str) -> None:
    config = config_of(PLAIN | {"model": "mlp dropout", "inputs": "both"})
    config = config.changed({f"streams.{pinned}": 11})
    twins = Twins(config, [Replica(seed, 0.01) for seed in (4, 2, 0)])
    for step in range(5):
        twins.step(step)


TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def torch_optimizer(network: nn.Module, lr: float, keys: Mapping[str, Any]) -> Any:
    """Torch's optimizer as its documentation would have one write it, decay on weights alone."""
    named = dict(network.named_parameters())
    decaying = {name for name in named if name.endswith(("layer.weight", "output.weight"))}
    groups = [
        {"params": [named[name] for name in named if name in decaying]}
        | {"weight_decay": keys["weight_decay"]},
        {"params": [named[name] for name in named if name not in decaying], "weight_decay": 0.0},
    ]
    own = {key: keys[key] for key in ("momentum", "nesterov", "alpha", "eps") if key in keys}
    own |= {"betas": (keys["beta1"], keys["beta2"])} if "beta1" in keys else {}
    return TORCH[keys["name"]](groups, lr=lr, **own)


def hand_step(
    network: nn.Module, optimizer: Any, config: Config, replica: Replica, step: int
) -> None:
    """One update as a hand-written loop does it."""
    network.train()
    ((inputs, labels),) = hand_batches(config, batch_split(step), replica.seed, step, network)
    for group in optimizer.param_groups:
        group["lr"] = replica.lr * factor(config.schedule.level, step)[0]
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(inputs), labels).backward()
    optimizer.step()


@pytest.mark.parametrize("model", ["mlp dropout", "cnn"])
@pytest.mark.parametrize("optimizer", combinations.OPTIMIZERS)
def test_a_step_is_that_of_torchs_own_optimizer_on_a_plain_module(
    optimizer: str, model: str
) -> None:
    case = PLAIN | {"optimizer": optimizer, "model": model, "activation": "prelu", "norm": 1}
    config = config_of(case | {"inputs": "both", "schedule": "cosine"})
    twins = Twins(config, combinations.replicas_of(case))
    for step in range(NUM_STATES):
        twins.share()
        plain = []
        for alone in twins.alones:
            network = copy.deepcopy(alone.network)
            torchs = torch_optimizer(network, alone.replicas[0].lr, config.optimizer.level)
            pairs = zip(network.parameters(), alone.network.parameters(), strict=True)
            for parameter, own in pairs:
                torchs.state[parameter] = copy.deepcopy(alone.optimizer.state.get(own, {}))
            hand_step(network, torchs, config, alone.replicas[0], step)
            plain.append(network)
        twins.step(step)
        for index, network in enumerate(plain):
            gradients = {name: value.grad for name, value in network.named_parameters()}
            twins.compare(index, gradients, network.state_dict(), (step, index))  # type: ignore[arg-type]
