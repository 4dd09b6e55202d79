"""Greedy pretraining of whole networks: layer after layer, seed beside seed."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from study.config.configuration import Config
from study.errors import InputError
from study.networks import Autoencoder, Network
from study.training.build import initial_network
from study.training.pretraining.autoencoder import LayerAutoencoder
from study.training.pretraining.checks import check_pretraining
from study.training.pretraining.greedy import KINDS, Row, Watch, generators, pretrain
from study.training.pretraining.rbm_training import RbmTrainee
from study.training.pretraining.trainee import Trainee
from study.training.trainer import make_trainer
from tests import tiny
from tests.pretrained_layers import trained

DATA = tiny.data(normalize="unit")
UNIT = ("data.normalize=unit", "activation=sigmoid", "init=xavier_uniform")
SMALL = ("pretraining.epochs=2", "pretraining.batch_size=16")
State = dict[str, Tensor]


def config(kind: str, *overrides: str, model: str = "mlp") -> Config:
    return tiny.config(f"pretraining={kind}", *UNIT, *SMALL, *overrides, model=model)


def pretrained(
    configuration: Config, seeds: tuple[int, ...] = (0, 1), **told: Any
) -> tuple[dict[int, Network], dict[int, list[Row]]]:
    networks = {seed: initial_network(configuration, DATA, seed).double() for seed in seeds}
    rows = pretrain(
        configuration,
        DATA,
        networks,
        trainer=lambda epochs, callbacks: make_trainer(
            configuration, max_epochs=epochs, callbacks=callbacks
        ),
        num_workers=1,
        watch=Watch(**told),
    )
    return networks, rows


def _lasting(configuration: Config, epochs: int) -> Config:
    return configuration.changed({"trainer.max_epochs": epochs})


def states(networks: Mapping[int, Network]) -> dict[int, State]:
    return {seed: dict(network.state_dict()) for seed, network in networks.items()}


def same(first: State, second: State) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_trains_each_hidden_layer_and_leaves_the_output_alone(kind: str) -> None:
    configuration = config(kind)
    networks, rows = pretrained(configuration)
    for seed, network in networks.items():
        start = initial_network(configuration, DATA, seed).double().state_dict()
        for name, value in network.state_dict().items():
            assert torch.equal(value, start[name]) == name.startswith("output"), name
        assert [(row["layer"], row["epoch"]) for row in rows[seed]] == [
            (1, 1), (1, 2), (2, 1), (2, 2)
        ]  # fmt: skip


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_seed_is_the_same_alone_among_others_and_again(kind: str) -> None:
    together = states(pretrained(config(kind), (0, 1, 2))[0])
    for seed in (1, 2):
        alone = states(pretrained(config(kind), (seed,))[0])
        assert same(alone[seed], together[seed])
    assert not same(together[1], together[2])


def test_layers_say_how_many_are_pretrained() -> None:
    network = pretrained(config("autoencoder", "pretraining.layers=1"), (0,))[0][0]
    start = initial_network(config("autoencoder"), DATA, 0).double()
    changed = {
        name
        for name, value in network.state_dict().items()
        if not torch.equal(value, start.state_dict()[name])
    }
    assert changed == {"blocks.0.layer.weight", "blocks.0.layer.bias"}


def test_greedy_is_layer_after_layer_by_hand() -> None:
    """The second layer is fed by the trained first one, uncorrupted, and does not change it."""
    configuration = config("denoising_autoencoder")
    network = pretrained(configuration, (0,))[0][0]
    one = pretrained(config("denoising_autoencoder", "pretraining.layers=1"), (0,))[0][0]
    blocks = list(one.hidden_blocks())
    fed = blocks[0].eval()(DATA.train.inputs).detach()
    from study.training.pretraining.greedy import Layer
    from study.training.pretraining.settings import layer_settings

    settings = layer_settings(configuration.pretraining, 2)[1]
    layer = Layer(configuration, blocks, 1, settings, generators(configuration, 0, 1), fed, 3)
    trainee = KINDS["denoising_autoencoder"](layer)
    for epoch in range(2):
        trained(trainee.train_epoch(fed, DATA.train.labels, epoch=epoch))
    assert same(dict(one.state_dict()), dict(network.state_dict()))


def test_values_can_be_given_layer_by_layer() -> None:
    listed = ("pretraining.epochs=[1,3]", "pretraining.lr=[0.01,0.001]",
              "pretraining.optimizer=[sgd,adam]", "pretraining.batch_size=[10,20]")  # fmt: skip
    rows = pretrained(config("autoencoder", *listed), (0,))[1][0]
    assert [row["layer"] for row in rows] == [1, 2, 2, 2]
    with pytest.raises(InputError, match=r"pretraining.epochs=\[1,2,3\] has 3 values for 2 layers"):
        pretrained(config("autoencoder", "pretraining.epochs=[1,2,3]"), (0,))


def test_pretraining_is_pinned_with_the_initialization() -> None:
    networks = pretrained(config("rbm", "streams.initialization=7"))[0]
    assert same(dict(networks[0].state_dict()), dict(networks[1].state_dict()))


def test_an_autoencoder_is_unrolled_from_its_pretrained_encoder() -> None:
    overrides = ("model.widths=[12,8]", "model.code=4", "loss=cross_entropy")
    for kind, own in (
        ("autoencoder", ("pretraining.loss=cross_entropy",)),
        ("rbm", ("pretraining.lr=[0.1,0.1,0.001]",)),
    ):
        seen: list[Trainee] = []
        network = pretrained(
            config(kind, *own, *overrides, model="autoencoder"),
            (0,),
            finished=lambda layer, trainee, val, seen=seen: seen.append(trainee),
        )[0][0]
        assert isinstance(network, Autoencoder)
        layers = [block.layer for block in network.hidden_blocks()]
        mirrored = [*layers[3:], network.output]
        for encoder, decoder in zip(layers[:3], reversed(mirrored), strict=True):
            assert torch.equal(decoder.weight, encoder.weight.T)
        first = seen[0]
        if isinstance(first, RbmTrainee):
            assert torch.equal(network.output.bias, first.visible_bias)
        else:
            assert isinstance(first, LayerAutoencoder)
            assert torch.equal(network.output.bias, first.top.get_parameter("bias"))


def test_convolutions_are_pretrained_before_their_pooling() -> None:
    overrides = ("model.channels=[[4],[6]]", "model.head=[5]", "pretraining.loss=cross_entropy")
    networks, rows = pretrained(config("autoencoder", *overrides, model="cnn"), (0,))
    assert {row["layer"] for row in rows[0]} == {1, 2, 3}
    assert isinstance(networks[0], Network)


def test_the_reconstruction_error_falls() -> None:
    rows = pretrained(config("autoencoder", "pretraining.epochs=6"), (0,))[1][0]
    for layer in (1, 2):
        errors = [row["val_reconstruction_error"] for row in rows if row["layer"] == layer]
        assert errors == sorted(errors, reverse=True)


def test_the_watch_is_told_means_over_seeds_and_every_epoch() -> None:
    told: dict[tuple[int, int], Row] = {}
    ticks: list[float] = []
    rows = pretrained(
        config("autoencoder"),
        report=lambda layer, epoch, row: told.__setitem__((layer, epoch), row),
        tick=ticks.append,
    )[1]
    assert list(told) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for index, row in enumerate(told.values()):
        mean = (rows[0][index]["loss"] + rows[1][index]["loss"]) / 2
        assert row["loss"] == pytest.approx(mean)
    assert sum(ticks) == pytest.approx(8)


def network_of(configuration: Config) -> Network:
    return initial_network(configuration, DATA, 0)


DEEP = ("model.widths=[4]", "model.code=2")
REFUSED: list[tuple[str, tuple[str, ...], str, str]] = [
    ("autoencoder", ("pretraining.layers=3",), "mlp", "has 2 hidden layers to pretrain"),
    ("autoencoder", ("model.widths=[]",), "mlp", "has 0 hidden layers to pretrain"),
    ("rbm", (), "cnn", "layer 1 is a convolution"),
    ("rbm", ("activation=relu",), "mlp", "ReLU of layer 1 is not the probability"),
    ("rbm", ("norm=batch",), "mlp", "knows no norm"),
    ("rbm", ("data.normalize=standard",), "mlp", "use data.normalize=unit or binary"),
    ("denoising_autoencoder", ("pretraining.corruption_level=1.0",), "mlp", "out of range"),
    (
        "autoencoder",
        ("pretraining.loss=cross_entropy", "data.normalize=standard"),
        "mlp",
        "use data.normalize=unit or binary",
    ),
    (
        "autoencoder",
        ("pretraining.loss=cross_entropy", "activation=tanh"),
        "mlp",
        "layer 2 is fed by Tanh",
    ),
    ("autoencoder", ("activation=maxout",), "mlp", "pretraining.decoder=untied"),
    ("supervised", ("model.widths=[4]", "model.code=2"), "autoencoder", "has none"),
    ("rbm", (*DEEP, "loss=cross_entropy"), "autoencoder", r"such as pretraining.lr=\[0.1,0.001\]"),
    ("autoencoder", (*DEEP, "loss=cross_entropy"), "autoencoder", "pretraining.loss=cross_entropy"),
    (
        "autoencoder",
        (*DEEP, "loss=squared_error", "pretraining.loss=cross_entropy"),
        "autoencoder",
        "use pretraining.loss=squared",
    ),
    (
        "autoencoder",
        (*DEEP, "loss=cross_entropy", "activation=maxout", "pretraining.decoder=untied"),
        "autoencoder",
        "unrolls its pretrained layers",
    ),
    ("autoencoder", ("pretraining.momentum=0.9",), "mlp", "which has none; use sgd"),
]


@pytest.mark.parametrize(("kind", "overrides", "model", "message"), REFUSED)
def test_what_cannot_be_pretrained_is_refused_before_training(
    kind: str, overrides: tuple[str, ...], model: str, message: str
) -> None:
    configuration = config(kind, *overrides, model=model)
    network = network_of(configuration)
    with pytest.raises(InputError, match=message) as error:
        check_pretraining(configuration, network)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ("activation=tanh", "pretraining.mean_field=true", "pretraining.lr=[0.1,0.001]"),
        ("data.normalize=standard", "pretraining.visible=gaussian", "pretraining.lr=[0.001,0.1]"),
    ],
)
def test_what_was_refused_can_be_asked_for(overrides: tuple[str, ...]) -> None:
    configuration = config("rbm", *overrides)
    check_pretraining(configuration, network_of(configuration))
