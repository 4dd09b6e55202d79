"""Stacked networks: each replica's outputs, state and divergence are its own."""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.data import Split
from study.networks import MLP, BatchNorm, Block, Dropout, Network, Stochastic
from study.training import Group, Replica, Stack
from study.training.build import initial_network
from study.training.stacking import (
    StackedNetwork,
    StackedStochastic,
    is_mappable,
    stacked,
    unstackable,
)
from tests import combinations, tiny
from tests.combinations import NORMS, assert_close, batch_split, both, config_of, data

MODELS = {name: keys for name, keys in combinations.MODELS.items() if name != "resnet"}
"""Those that are stacked."""

KINDS = [
    (model, norm, activation)
    for (model, norm), activation in zip(
        itertools.product(MODELS, range(len(NORMS))),
        itertools.cycle(combinations.ACTIVATIONS),
    )
] + [(model, norm, name) for model in MODELS for norm in (0, 3) for name in ("prelu", "maxout")]


def networks_of(model: str, norm: int, activation: str, *, num: int = 3) -> list[Network]:
    """Plain networks of different seeds whose every parameter and buffer is random."""
    case = {"model": model, "norm": norm, "activation": activation}
    config = config_of(combinations.PLAIN | case)
    networks = [initial_network(config, data(), seed).double() for seed in range(num)]
    generator = torch.Generator().manual_seed(0)
    for network in networks:
        for value in network.state_dict().values():
            value.uniform_(0.2, 1.0, generator=generator)
    return networks


def in_mode(network: nn.Module, *, training: bool) -> None:
    """Sets a network's mode; its dropout and noise stay off."""
    network.train(training)
    for module in network.modules():
        if isinstance(module, Stochastic | StackedStochastic):
            module.eval()


@pytest.mark.parametrize("num_images", [1, 7])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("model", "norm", "activation"), KINDS)
def test_outputs_and_buffers_are_those_of_the_plain_networks(
    model: str, norm: int, activation: str, training: bool, num_images: int
) -> None:
    networks = networks_of(model, norm, activation)
    together = StackedNetwork(networks)
    for network in (together, *networks):
        in_mode(network, training=training)
    images = data().val.inputs[: 3 * num_images]
    own = images.unflatten(0, (3, num_images))
    for given in (own[0], own):
        outputs = together(given)
        assert outputs.shape == (3, num_images, networks[0].output.out_features)
        for index, network in enumerate(networks):
            alone = network(given if given.dim() == 4 else given[index])
            assert_close(outputs[index], alone, index)
    for index, network in enumerate(networks):
        for name, value in network.state_dict().items():
            assert_close(together.snapshot(index)[name], value, name)


@pytest.mark.parametrize(("model", "norm", "activation"), KINDS)
def test_a_snapshot_is_the_plain_networks_state_bit_for_bit(
    model: str, norm: int, activation: str
) -> None:
    networks = networks_of(model, norm, activation)
    together = StackedNetwork(networks)
    for index, network in enumerate(networks):
        snapshot, state = together.snapshot(index), network.state_dict()
        assert list(snapshot) == list(state)
        for name, value in state.items():
            assert snapshot[name].is_contiguous()
            assert snapshot[name].dtype == value.dtype
            assert torch.equal(snapshot[name], value)
        networks[0].load_state_dict(snapshot, strict=True)


@pytest.mark.parametrize(("model", "norm", "activation"), KINDS)
def test_what_is_restored_is_in_its_place_and_no_other(
    model: str, norm: int, activation: str
) -> None:
    networks = networks_of(model, norm, activation, num=4)
    together = StackedNetwork(networks[:3])
    before = [together.snapshot(index) for index in range(3)]
    kept = copy.deepcopy(before)
    together.restore(1, networks[3].state_dict())
    for expected, states in ((kept, before), (kept[:1], [together.snapshot(0)]),
                             (kept[2:], [together.snapshot(2)]),
                             ([networks[3].state_dict()], [together.snapshot(1)])):  # fmt: skip
        for first, second in zip(expected, states, strict=True):
            assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stack_may_hold_one_replica() -> None:
    for model in MODELS:
        (network,) = networks_of(model, 1, "maxout", num=1)
        images = data().val.inputs[:5]
        outputs = StackedNetwork([network]).eval()(images)
        assert_close(outputs[0], network.eval()(images), model)


def test_logistic_regression_stacks() -> None:
    config = config_of(combinations.PLAIN).changed({"model.widths": []})
    networks = [initial_network(config, data(), seed).double() for seed in range(2)]
    images = data().val.inputs[:6]
    together = StackedNetwork(networks)
    for given in (images[:3], images.unflatten(0, (2, 3))):
        for index, network in enumerate(networks):
            alone = network(given if given.dim() == 4 else given[index])
            assert_close(together(given)[index], alone, index)


class OtherNorm(BatchNorm):
    """A subclass may compute anything."""


class Centred(nn.Module):
    """Without weights, and yet each number depends on the others of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class OwnDropout(Dropout):
    """Drops in its own way, not by `draw`."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class SkipBlock(Block):
    """A block that adds what it is fed."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Residual(MLP):
    """An MLP that adds what each block is fed from the second on."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[0](x)
        for block in self.blocks[1:]:
            x = x + block(x)
        return self.output(x)


class Weighted(MLP):
    """An MLP with a weight that no block has."""

    def __init__(self, *sizes: int, **keys: Any) -> None:
        super().__init__(*sizes, **keys)
        self.scale = nn.Parameter(torch.ones(1))


class Called(MLP):
    """An MLP with a call of its own around its forward."""

    def __call__(self, x: Tensor) -> Any:
        return 2 * super().__call__(x)


def frozen(network: Network) -> None:
    network.blocks[0].requires_grad_(False)


def shared(network: Network) -> None:
    first, second = network.hidden_blocks()
    second.layer = first.layer


def hooked(network: Network) -> None:
    network.blocks[1].register_forward_hook(lambda _, inputs, out: out + inputs[0])


def replaced(network: Network) -> None:
    network.blocks[1].forward = torch.zeros_like


def scaled(network: Network) -> None:
    network.output.weight.register_hook(lambda gradient: 2 * gradient)


def spectral(network: Network) -> None:
    nn.utils.spectral_norm(list(network.hidden_blocks())[1].layer)


def changed(change: Callable[[Network], None]) -> Network:
    """A network that was changed after it was made, its class left as it is."""
    network = MLP(6, 3, widths=[6, 6])
    change(network)
    return network


def blocks_with(**parts: nn.Module) -> Network:
    """A network whose second block has these parts in place of its own."""
    network = MLP(50, 3, widths=[6, 6])
    for name, part in parts.items():
        setattr(network.blocks[1], name, part)
    return network


def test_what_is_made_of_the_projects_own_parts_can_be_stacked() -> None:
    for model, norm, activation in KINDS:
        assert unstackable(networks_of(model, norm, activation, num=1)[0]) is None


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Residual(50, 3, widths=[6, 6]), "Residual has a forward of its own"),
        (Weighted(50, 3, widths=[6]), "Weighted has weights beside its blocks: scale"),
        (nn.Linear(50, 3), "Linear has a forward of its own"),
        (changed(frozen), "blocks.0.layer.weight of MLP is not trained"),
        (changed(shared), "MLP uses a weight twice"),
        (changed(hooked), "Block has hooks, or a call of its own"),
        (changed(replaced), "Block has hooks, or a call of its own"),
        (changed(scaled), "output.weight of MLP has a hook on its gradient"),
        (changed(spectral), "has hooks, or a call of its own"),
        (Called(50, 3, widths=[6]), "Called has hooks, or a call of its own"),
        (Network([SkipBlock(nn.Linear(50, 50), flattens=True)], nn.Linear(50, 3)), "SkipBlock has"),
        (blocks_with(norm=nn.GroupNorm(1, 6)), "GroupNorm has no stacked form"),
        (blocks_with(norm=nn.LayerNorm(6, elementwise_affine=False)), "LayerNorm has no stacked"),
        (blocks_with(norm=OtherNorm(6)), "OtherNorm has no stacked form"),
        (blocks_with(activation=Centred()), "Centred has no stacked form"),
        (blocks_with(activation=nn.Softmax(1)), "Softmax has no stacked form"),
        (blocks_with(activation=nn.RReLU()), "RReLU has no stacked form"),
        (blocks_with(dropout=nn.Dropout(1e-9)), "Dropout has no stacked form"),
        (blocks_with(activation=nn.PReLU(6)), "PReLU has no stacked form"),
        (blocks_with(dropout=OwnDropout(0.5)), "OwnDropout has no stacked form"),
        (blocks_with(layer=nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))), "Linear has"),
        (Network([Block(nn.Linear(5, 6))], nn.Linear(60, 3)), "images that are not flattened"),
        (Network([Block(nn.Conv2d(2, 4, 3, groups=2))], nn.Linear(36, 3)), "Conv2d has no stacked"),
        (
            Network([Block(nn.Conv2d(2, 4, 3, padding_mode="circular"))], nn.Linear(36, 3)),
            "Conv2d has no stacked form",
        ),
    ],
)  # fmt: skip
def test_what_a_stack_would_compute_otherwise_has_a_reason_to_train_alone(
    network: nn.Module, reason: str
) -> None:
    assert reason in str(unstackable(network))


@pytest.mark.parametrize("part", [OtherNorm(2), nn.GroupNorm(1, 2), nn.Softmax(1)])
def test_no_stacked_form_is_made_up(part: nn.Module) -> None:
    with pytest.raises(AssertionError, match="has no stacked form"):
        stacked(part, 3)


class Gate(nn.Module):
    """A part of one's own: a weight for each feature, and what may keep it from a general form."""

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.weight, self.what = nn.Parameter(torch.ones(4)), what
        if what == "buffer":
            self.register_buffer("mean", torch.zeros(4))
        if what == "child":
            self.child = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.what == "branch" and x.sum() > 0:
            return x
        if self.what == "draw":
            return x + torch.rand_like(x)
        return x * self.weight.view(-1, *[1] * (x.dim() - 2))


@pytest.mark.parametrize("what", ["", "buffer", "child", "branch", "draw"])
def test_a_part_of_ones_own_has_a_general_form_where_it_is_that_of_each(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.training.stacking.is_own", lambda kind: kind is Gate)
    network = blocks_with(norm=Gate(what))
    assert is_mappable(Gate(what)) == (not what)
    if not what:
        gate = Gate()
        gate.weight = nn.Parameter(torch.rand(6))
        network.blocks[1].norm = gate
        assert unstackable(network) is None
        networks = [copy.deepcopy(network) for _ in range(3)]
        for each in networks:
            nn.init.normal_(each.get_parameter("blocks.1.norm.weight"))
        images = torch.randn(5, 2, 5, 5)
        stack = StackedNetwork(networks)
        for index, each in enumerate(networks):
            torch.testing.assert_close(stack(images)[index], each(images))
        stack(images).sum().backward()
        grad = stack.get_parameter("blocks.1.norm.weight").grad
        networks[1](images).sum().backward()
        assert grad is not None
        torch.testing.assert_close(grad[1], networks[1].get_parameter("blocks.1.norm.weight").grad)
    else:
        assert "Gate has no stacked form (stacked= of its decorator)" in str(unstackable(network))


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2, "padding": 1}, {"padding": 0}])
def test_a_convolution_keeps_its_stride_and_dilation(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    networks = [
        Network([Block(nn.Conv2d(2, 4, 3, **options))], nn.LazyLinear(3)).double() for _ in range(2)
    ]
    images = data().val.inputs[:4]
    expected = [network(images) for network in networks]
    assert unstackable(networks[0]) is None
    for index, outputs in enumerate(StackedNetwork(networks)(images)):
        assert_close(outputs, expected[index], options)


# An autoencoder's loss is summed over pixels: at these rates it diverges by itself.
CLASSIFIERS = [name for name, keys in MODELS.items() if keys["name"] != "autoencoder"]
POISONED = [
    (*kind, optimizer, poison)
    for kind, optimizer, poison in zip(
        itertools.product(CLASSIFIERS, (0, 1, 7), ("relu", "prelu", "maxout")),
        itertools.cycle(combinations.OPTIMIZERS),
        itertools.cycle((math.nan, math.inf, math.nan)),
    )
]


@pytest.mark.parametrize(("model", "norm", "activation", "optimizer", "poison"), POISONED)
def test_a_diverged_replica_leaves_the_others_of_its_stack_alone(
    model: str, norm: int, activation: str, optimizer: str, poison: float
) -> None:
    case = {"model": model, "norm": norm, "activation": activation, "optimizer": optimizer}
    config = config_of(combinations.PLAIN | case | {"inputs": "both"})
    low, high = combinations.OPTIMIZERS[optimizer]["lr"]
    sound = [Replica(0, low), Replica(2, high), Replica(1, high)]
    without = combinations.stack_of(config, sound)
    among = combinations.stack_of(config, [Replica(1, low), *sound, Replica(0, high)])
    dead = [among.replicas.index(replica) for replica in (Replica(1, low), Replica(0, high))]
    for index in dead:
        state = among.snapshot(index)
        among.restore(index, {name: torch.full_like(state[name], poison) for name in state})
    assert_the_others_are_alike(among, without, dead)


def test_a_rate_that_diverges_leaves_the_others_of_its_stack_alone() -> None:
    config = config_of(combinations.PLAIN)
    sound = [Replica(0, 0.01), Replica(1, 0.01)]
    without = combinations.stack_of(config, sound)
    among = combinations.stack_of(config, [*sound, Replica(0, 1e300), Replica(1, 1e300)])
    assert_the_others_are_alike(among, without, [2, 3])


def assert_the_others_are_alike(among: Stack, without: Stack, dead: Sequence[int]) -> None:
    """Trains both stacks: whatever is not `dead` in one is in the other, and finite."""
    alive = [index for index in range(len(among.replicas)) if index not in dead]
    assert [among.replicas[index] for index in alive] == without.replicas
    for step in range(12):
        sums, expected = (
            tiny.train_epoch(stack, batch_split(step), epoch=step, factors=[1.0])
            for stack in (among, without)
        )
        assert_close(sums.loss[alive], expected.loss, step, rtol=1e-9)
        assert torch.equal(sums.error[alive], expected.error)
    assert not bool(sums.loss[dead].isfinite().any())
    for place, index in enumerate(alive):
        state = among.snapshot(index)
        for name, value in without.snapshot(place).items():
            assert bool(value.isfinite().all())
            assert_close(state[name], value, (index, name), rtol=1e-9)
    together, expected_evaluation = among.evaluate(data().val), without.evaluate(data().val)
    assert_close(together.loss[alive], expected_evaluation.loss, "loss", rtol=1e-9)
    assert torch.equal(together.predictions[alive], expected_evaluation.predictions)
    assert together.error[dead].tolist() == [1.0] * len(dead)


@pytest.mark.parametrize("norm", [0, 1, 7])
@pytest.mark.parametrize("activation", combinations.ACTIVATIONS)
def test_bf16_gives_the_plain_modules_loss_but_for_its_rounding(activation: str, norm: int) -> None:
    models = list(MODELS)
    model = models[(combinations.ACTIVATIONS.index(activation) + norm) % len(models)]
    config = config_of(
        combinations.PLAIN | {"activation": activation, "norm": norm, "model": model}
    )
    stack, alones = both(config, [Replica(0, 0.01), Replica(1, 0.01)])
    split = batch_split(0)
    single = Split(split.inputs.float(), split.labels)
    groups: list[Group] = [stack, *alones]
    for group in groups:
        group.network.float()
        group.start()
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        sums = tiny.train_epoch(stack, single, epoch=0, factors=[1.0])
        for index, alone in enumerate(alones):
            own = tiny.train_epoch(alone, single, epoch=0, factors=[1.0])
            assert_close(sums.loss[index], own.loss[0], index, rtol=0.03)
            state = stack.snapshot(index)
            for name, value in alone.network.state_dict().items():
                assert state[name].dtype == value.dtype == torch.float32
                assert_close(state[name], value, (index, name), rtol=0.03, atol=0.01)
