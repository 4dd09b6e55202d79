"""Units that start equal: they stay equal to the last bit, or the record says what parted them."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.config.configuration import Config
from study.config.groups import DataGroup
from study.data import Data, prepare
from study.data.device import DTYPES
from study.networks import CNN, MLP, Arguments, Block, Network, initialize
from study.training import Alone, Engine, Replica, Settings
from study.training.build import build_population, replicas_of
from study.training.symmetry import Symmetry
from tests import tiny

CONSTANT: Arguments = {"name": "constant", "value": 0.01, "bias": 0.0}
GRID = [Replica(0, 0.05), Replica(0, 0.2)]
UNEVEN = [Replica(0, 0.05), Replica(1, 0.2)]
"""In a stack of the first the replicas of a seed share its batches; in one of these none does."""


def trained(config: Config, data: Data, replicas: Sequence[Replica], *, epochs: int = 1) -> Engine:
    """The replicas after some epochs, without a Trainer around them."""
    engine = build_population(config, data, replicas).engine
    engine.start()
    updates = len(data.train.labels) // config.batch_size
    for epoch in range(epochs):
        tiny.train_epoch(engine, data.train, epoch=epoch, factors=[1.0] * updates)
    return engine


def config_of(*overrides: str, **keys: Any) -> Config:
    """A small cell whose weights are all one constant; `keys` replace keys of the model."""
    config = tiny.config("init=constant", "init.value=0.01", "population.engine=auto", *overrides)
    return tiny.changed(config, model=keys)


def block(network: Network, index: int) -> Block:
    return list(network.hidden_blocks())[index]


def num_different(rows: Tensor) -> int:
    return len({row.numpy().tobytes() for row in rows.flatten(1)})


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_equal_units_of_every_width_stay_equal(precision: str, norm: str) -> None:
    config = config_of(f"trainer.precision={precision}", f"norm={norm}", "activation=tanh")
    data = tiny.data(num_train=48, dtype=DTYPES[precision])
    for width in range(1, 131):
        network = MLP(256, 3, widths=[width], activation="tanh", norm=norm)
        initialize(network, CONSTANT, {"name": "tanh"}, torch.Generator())
        group = Alone(network.to(DTYPES[precision]), GRID[0], Settings.from_config(config))
        group.start()
        tiny.train_epoch(group, data.train, epoch=0, factors=[1.0] * 3)
        assert num_different(block(network, 0).layer.weight.detach()) == 1, width
        assert num_different(network.output.weight.detach().T) == 1, width
        assert network.output.weight.unique().numel() > 1, "it learned"


@pytest.mark.parametrize("replicas", [GRID, UNEVEN], ids=["shared inputs", "own inputs"])
@pytest.mark.parametrize("width", [41, 64, 130])
def test_replicas_whose_units_start_equal_are_in_no_stack(
    width: int, replicas: list[Replica]
) -> None:
    config = config_of("trainer.precision=32-true", widths=[width])
    engine = trained(config, tiny.data(dtype=torch.float32), replicas)
    assert [len(group.replicas) for group in engine.groups] == [1] * len(replicas)
    for index in range(len(replicas)):
        assert num_different(engine.snapshot(index)["blocks.0.layer.weight"]) == 1


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("mlp", {"widths": [37, 53, 11]}),
        ("cnn", {"channels": [[7, 5], [6]], "head": [9]}),
        ("cnn", {"channels": [[5]], "head": [], "pool": "average"}),
    ],
)
@pytest.mark.parametrize("activation", ["relu", "prelu", "sigmoid", "maxout"])
@pytest.mark.parametrize(
    "norm", [(), ("norm=batch",), ("norm=batch", "norm.position=after", "norm.evaluation=batch")]
)
def test_equal_units_of_every_layer_stay_equal(
    norm: tuple[str, ...], activation: str, model: str, keys: dict[str, Any]
) -> None:
    """Pieces of maxout too: the tie of equal pieces is decided by no last bit."""
    overrides = (f"activation={activation}", "trainer.precision=32-true", "optimizer=adam")
    config = tiny.config("init=constant", "init.value=0.03", *overrides, *norm, model=model)
    config = tiny.changed(config, model=keys)
    data = tiny.data(dtype=torch.float32)
    engine = trained(config, data, replicas_of(config), epochs=2)
    state = engine.snapshot(0)
    hidden = [name for name in state if name.startswith("blocks") and state[name].dim() > 0]
    assert hidden
    for name in hidden:
        assert num_different(state[name].unsqueeze(1)) == 1 or state[name].numel() == 1, name


def test_the_engine_decides_nothing_but_last_bits_where_units_start_equal() -> None:
    """One hidden layer of 64: a stack's rounding would leave two distinct units, and learn more."""
    ends = {}
    data = prepare(DataGroup("mnist", train_size=2000))
    for engine in ("auto", "sequential"):
        config = config_of("trainer.precision=32-true", f"population.engine={engine}", widths=[64])
        config = config.changed({"batch_size": 128})
        run = trained(config, data, [Replica(0, 0.1), Replica(1, 0.1)], epochs=4)
        ends[engine] = [run.snapshot(index) for index in range(2)]
    for first, second in zip(*ends.values(), strict=True):
        assert num_different(first["blocks.0.layer.weight"]) == 1
        assert tiny.equal(first, second)


def test_units_are_equal_by_what_they_are_fed_and_by_what_reads_them() -> None:
    network = MLP(256, 3, widths=[6, 4], activation="tanh").double()
    with torch.no_grad():
        layer = block(network, 0).layer
        assert layer.bias is not None
        weight, reader = layer.weight, block(network, 1).layer.weight
        layer.bias.zero_()
        weight[3], weight[5] = weight[0], weight[1]
        reader[:, 3] = reader[:, 0]
    symmetry = Symmetry.from_network(network)
    ((number, units),) = symmetry._layers
    assert number == 1
    assert units.first.tolist() == [0, 1, 2, 0, 4, 5], "what reads units 1 and 5 tells them apart"


def test_random_weights_and_units_behind_random_draws_are_free() -> None:
    assert not Symmetry.from_network(MLP(256, 3, widths=[9, 9]))
    noisy: Arguments = {"name": "batch", "noise": 0.5}
    for keys, network in (
        ("dropout", MLP(256, 3, widths=[9], dropout=0.5)),
        ("noise", MLP(256, 3, widths=[9], norm=noisy)),
    ):
        nn.init.zeros_(block(network, 0).layer.weight)
        assert not Symmetry.from_network(network), keys


def test_held_units_train_as_the_plain_network_does_but_for_rounding() -> None:
    # Not of maxout, whose plain network lets rounding say which of equal pieces is the largest.
    config = config_of("optimizer.momentum=0.9", "activation=tanh", widths=[12, 7])
    data = tiny.data()
    engine = trained(config, data, replicas_of(config))
    population = build_population(config, data, replicas_of(config))
    (group,) = population.engine.groups
    assert isinstance(group, Alone)
    group.symmetry = Symmetry(())
    group.start()
    tiny.train_epoch(group, data.train, epoch=0, factors=[1.0] * 4)
    for name, value in engine.snapshot(0).items():
        torch.testing.assert_close(value, group.snapshot(0)[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "overrides",
    [
        ("pretraining=autoencoder",),
        ("pretraining=autoencoder", "pretraining.decoder=untied"),
        ("pretraining=denoising_autoencoder",),
        ("pretraining=supervised",),
    ],
)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_pretraining_keeps_equal_units_equal(model: str, overrides: tuple[str, ...]) -> None:
    from tests.training.pretraining import test_greedy

    kind = overrides[0].partition("=")[2]
    size = ("model.widths=[37,21]",) if model == "mlp" else ("model.channels=[[7]]",)
    config = test_greedy.config(
        kind, *overrides[1:], "init=constant", "init.value=0.03", *size, model=model
    )
    networks, _ = test_greedy.pretrained(config)
    for network in networks.values():
        assert num_different(block(network, 0).layer.weight.detach()) == 1


class Rounded(MLP):
    """A forward of its own, which nobody can hold, rounded otherwise in the last columns."""

    uneven = 1e-9

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.blocks[0](x)
        return self.output(hidden + self.uneven * hidden * (torch.arange(hidden.shape[1]) > 4))


class Uneven(Rounded):
    """A network that itself tells its units apart."""

    uneven = 0.5


def constant(network: Network) -> Network:
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)
    return network


@pytest.mark.parametrize(("kind", "broken"), [(Rounded, 1), (Uneven, None)])
def test_a_symmetry_that_rounding_breaks_is_noticed(kind: type[MLP], broken: int | None) -> None:
    network = constant(kind(256, 3, widths=[7], activation="tanh")).double()
    symmetry = Symmetry.from_network(network)
    symmetry.start()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    data = tiny.data().train
    for _ in range(5):
        nn.functional.cross_entropy(network(data.inputs), data.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        symmetry.after_update()
    assert num_different(block(network, 0).layer.weight.detach()) > 1
    assert symmetry.broken == broken


def test_a_broken_symmetry_is_in_the_training_state_and_comes_back_with_it() -> None:
    config = config_of()
    groups = [
        build_population(config, tiny.data(), replicas_of(config)).engine.groups[0]
        for _ in range(2)
    ]
    for group in groups:
        group.start()
    assert isinstance(groups[0], Alone)
    groups[0].symmetry.broken = 2
    groups[1].restore_training([groups[0].training_state(0)])
    assert groups[1].broken_symmetry(0) == 2


def test_a_convolution_reads_channels_and_a_dense_layer_their_pixels() -> None:
    network = CNN((1, 8, 8), 3, channels=[[4], [3]], head=[5])
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    with torch.no_grad():
        block(network, 2).layer.weight[0, 0] = 0.2
    found = {layer: units.first.tolist() for layer, units in Symmetry.from_network(network)._layers}
    assert found == {1: [0] * 4, 2: [0, 1, 1], 3: [0, 1, 1, 1, 1]}


class Masked(nn.Linear):
    """A reader that reads some of its inputs otherwise than by their weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * (torch.arange(x.shape[1]) > 2))


class SkipBlock(Block):
    """A block that adds what it is fed."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def test_units_whose_reader_is_unknown_are_watched_and_not_held() -> None:
    masked = MLP(256, 3, widths=[5, 5])
    block(masked, 1).layer = Masked(5, 5)
    skipping = MLP(256, 3, widths=[5, 5])
    skipping.blocks[1] = SkipBlock(nn.Linear(5, 5))
    grouped = constant(CNN((1, 8, 8), 3, channels=[[4], [4]], head=[]))
    block(grouped, 1).layer = nn.Conv2d(4, 4, 3, padding=1, groups=2)
    assert not next(units for _, units in Symmetry.from_network(grouped)._layers).held
    for network in (masked, skipping):
        held = {
            layer: units.held for layer, units in Symmetry.from_network(constant(network))._layers
        }
        assert held == {1: False, 2: type(block(network, 1)) is Block and network is not masked}
    whole = constant(MLP(256, 3, widths=[5, 5]))
    assert all(units.held for _, units in Symmetry.from_network(whole)._layers)
    assert not any(units.held for _, units in Symmetry.from_network(whole, hold=False)._layers)


def test_blocks_whose_parts_are_unknown_are_watched_and_not_held() -> None:
    network = constant(MLP(256, 3, widths=[5, 5]))
    block(network, 1).activation = nn.Softmax(1)
    held = {layer: units.held for layer, units in Symmetry.from_network(network)._layers}
    assert held == {1: True, 2: False}
    assert all(isinstance(block, Block) for block in network.blocks)
