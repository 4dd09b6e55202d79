"""A layer as an autoencoder: what it reaches, what it is fed, and what it leaves alone."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.networks import CNN, MLP, Block, Network, initialize
from study.training.pretraining.autoencoder import LayerAutoencoder, encode, make_corruption
from study.training.pretraining.decoders import TiedDecoder
from study.training.pretraining.trainee import epoch_batches
from study.training.task import RECONSTRUCTIONS, Reconstruction
from tests import tiny
from tests.pretrained_layers import (
    ADAM,
    BATCH,
    RMSPROP,
    SGD,
    autoencoder,
    first_block,
    images,
    network,
    seeded,
    streams,
    train,
    trained,
)


def test_a_linear_tied_autoencoder_reaches_the_error_of_principal_components() -> None:
    """Baldi & Hornik 1989: squared error has no other minima than the span of the largest."""
    spread = torch.tensor([3.0, 2.0, 1.5, 0.7, 0.5, 0.4, 0.2]).double()
    basis = torch.linalg.qr(torch.randn(7, 7, generator=seeded(5), dtype=torch.float64)).Q
    x = torch.randn(300, 7, generator=seeded(6), dtype=torch.float64) * spread @ basis
    x = x - x.mean(dim=0)
    remaining = torch.linalg.svdvals(x)[3:].square().sum() / len(x)
    block = Block(nn.Linear(7, 3).double())
    nn.init.normal_(block.layer.weight, std=0.3, generator=seeded())
    trainee = autoencoder(block, optimizer=SGD | {"weight_decay": 0.0}, batch_size=300)
    train(trainee, x, range(400))
    assert trainee.error(x) == pytest.approx(float(remaining), rel=1e-3)
    assert trainee.error(x) >= float(remaining) - 1e-12


def test_the_target_is_the_clean_input() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((outputs, targets))
        return RECONSTRUCTIONS["squared"].loss(outputs, targets)

    block = Block(nn.Linear(70, 70, bias=False).double(), flattens=True)
    with torch.no_grad():
        block.layer.weight.copy_(torch.eye(70))
    trainee = LayerAutoencoder(
        block, TiedDecoder(block.layer), reconstruction=Reconstruction(spy, lambda x: x),
        corruption=make_corruption("masking", 0.5), optimizer=SGD, lr=0.0, batch_size=8,
        generator=streams,
    )  # fmt: skip
    train(trainee, images(), range(1))
    rows = epoch_batches(30, 8, streams("order", 0), torch.device("cpu"))
    assert len(seen) == len(rows) == 3
    for (outputs, targets), indices in zip(seen, rows, strict=True):
        assert torch.equal(targets, images().flatten(1)[indices])
        masked = outputs == 0
        assert 0.3 < float(masked.double().mean()) < 0.7
        assert torch.equal(outputs, targets.masked_fill(masked, 0))


def test_nothing_is_read_from_the_device_before_an_epochs_end() -> None:
    """A tensor on the device "meta" has no numbers to read."""
    ticks: list[None] = []
    block = first_block("mlp", activation="sigmoid", norm="batch").to("meta")
    trainee = autoencoder(block, loss="cross_entropy", corruption=("masking", 0.3))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        ticks.extend(trainee.train_epoch(images().to("meta"), torch.zeros(30).to("meta"), epoch=0))
    assert len(ticks) == trainee.updates == 3


# Streams, states and other layers


@pytest.mark.parametrize("optimizer", [SGD, SGD | {"momentum": 0.0}, ADAM, RMSPROP])
@pytest.mark.parametrize("corruption", [("masking", 0.3), ("gaussian", 0.3)])
def test_a_phase_is_the_same_resumed_and_beside_another(
    optimizer: dict[str, Any], corruption: tuple[str, float]
) -> None:
    def fresh() -> LayerAutoencoder:
        block = first_block("mlp", activation="tanh", norm="batch")
        return autoencoder(block, optimizer=optimizer, corruption=corruption, decoder="untied")

    whole, first, beside, second = (fresh() for _ in range(4))
    curve = train(whole, images(), range(4))
    train(first, images(), range(2))
    torch.rand(100)
    train(beside, images().flip(0), range(3))
    first.error(images())
    state = first.state_dict()
    train(first, images(), range(2, 3))
    second.load_state_dict(state)
    assert train(second, images(), range(2, 4)) == curve[2:]
    assert second.updates == whole.updates == 12
    assert tiny.equal(whole.state_dict(), second.state_dict())


def test_the_networks_own_block_is_trained_and_no_other() -> None:
    net = network("mlp", activation="sigmoid", norm="batch")
    before = copy.deepcopy(net.state_dict())
    blocks = list(net.hidden_blocks())
    fed = autoencoder(blocks[0]).hidden(images())
    trainee = autoencoder(blocks[1], loss="cross_entropy")
    train(trainee, fed, range(1))
    trainee.write_back()
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    assert changed == {name for name in before if name.startswith("blocks.1.")}


def test_labels_change_nothing() -> None:
    states = []
    for labels in (torch.zeros(30), torch.arange(30)):
        trainee = autoencoder(first_block("mlp"))
        trained(trainee.train_epoch(images(), labels, epoch=0))
        states.append(trainee.state_dict())
    assert tiny.equal(*states)


@pytest.mark.parametrize(("num", "size"), [(30, 8), (5, 8), (16, 8)])
def test_batches_are_full_and_hold_no_example_twice(num: int, size: int) -> None:
    batches = epoch_batches(num, size, seeded(), torch.device("cpu"))
    assert batches.shape == (max(1, num // size), min(num, size))
    assert len(set(batches.flatten().tolist())) == batches.numel()


# What is measured and fed to the next layer


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("position", ["before", "after"])
def test_hidden_is_the_whole_block_in_evaluation_mode(kind: str, position: str) -> None:
    block = first_block(kind, activation="sigmoid", norm=BATCH | {"position": position})
    trainee = autoencoder(block)
    train(trainee, images(), range(2))
    before = copy.deepcopy(block.state_dict())
    hidden = trainee.hidden(images())
    expected = block.eval()(images())
    assert not hidden.requires_grad
    torch.testing.assert_close(hidden, expected.detach())
    torch.testing.assert_close(trainee.hidden(images()[:3]), hidden[:3])
    assert tiny.equal(before, block.state_dict())
    many = images().repeat(80, 1, 1, 1)
    torch.testing.assert_close(trainee.hidden(many), hidden.repeat(80, *[1] * (hidden.ndim - 1)))


def test_a_norm_that_evaluates_on_the_batch_has_mixed_batches_of_its_own_size() -> None:
    norm = {"name": "batch", "evaluation": "batch", "eval_batch_size": 7}
    block = first_block("mlp", norm=norm)
    trainee = autoencoder(block)
    train(trainee, images(), range(1))
    hidden = trainee.hidden(images())
    for indices in torch.randperm(30, generator=seeded(0)).split(7):
        torch.testing.assert_close(hidden[indices], block.eval()(images()[indices]).detach())


@pytest.mark.parametrize("shape", [(1, 7, 5), (2, 6, 8), (1, 9, 4)])
@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("decoder", ["tied", "untied"])
def test_hidden_is_pooled_and_a_reconstruction_has_the_images_size(
    shape: tuple[int, int, int], pool: str, decoder: str
) -> None:
    net = CNN(shape, 3, channels=[[4], [3]], pool=pool, activation="tanh")
    initialize(net, {"name": "xavier_uniform"}, {"name": "tanh"}, seeded())
    block = next(net.hidden_blocks())
    trainee = autoencoder(block, decoder)
    inputs = torch.rand(10, *shape, generator=seeded())
    train(trainee, inputs, range(1))
    assert trainee.hidden(inputs).shape == (10, 4, shape[1] // 2, shape[2] // 2)
    assert trainee.reconstruct(inputs).shape == inputs.shape


def test_cross_entropy_reconstructs_within_the_unit_interval_in_the_images_shape() -> None:
    trainee = autoencoder(first_block("mlp", activation="sigmoid"), loss="cross_entropy")
    shown = trainee.reconstruct(images())
    logits = trainee.top(encode(trainee.block, images().flatten(1))).detach()
    torch.testing.assert_close(shown, 1 / (1 + (-logits).exp()).view(images().shape))


@pytest.mark.parametrize("loss", RECONSTRUCTIONS)
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_measure_is_the_clean_loss_in_evaluation_mode(kind: str, loss: str) -> None:
    block = first_block(kind, activation="sigmoid", norm=BATCH)
    trainee = autoencoder(block, loss=loss, corruption=("masking", 0.5))
    train(trainee, images(), range(2))
    before = trainee.state_dict()
    train_part, val = images()[:20], images(5).flip(3)
    labels = torch.zeros(30)
    measured = trainee.measure((train_part, labels[:20]), (val, labels[:5]), epoch=1)
    assert tiny.equal(before, trainee.state_dict())
    for split, x in (("train", train_part), ("val", val)):
        outputs = trainee.reconstruct(x)
        if loss == "squared":
            expected = (outputs - x).square().sum() / len(x)
        else:
            expected = -(x * outputs.log() + (1 - x) * (1 - outputs).log()).sum() / len(x)
        name = f"{split}_reconstruction_error"
        assert measured.pop(name) == pytest.approx(float(expected), rel=1e-10)
    assert not measured


LEARNING: list[dict[str, Any]] = [
    {"loss": "cross_entropy"},
    {"loss": "cross_entropy", "corruption": ("masking", 0.25)},
    {"loss": "squared", "decoder": "untied", "lr": 0.0003},
]


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("keys", LEARNING)
def test_reconstruction_error_falls_with_every_epoch(kind: str, keys: dict[str, Any]) -> None:
    data = tiny.data(num_train=320, shape=(1, 12, 12), normalize="unit")
    if kind == "mlp":
        net: Network = MLP(144, 3, widths=[30], activation="sigmoid")
    else:
        net = CNN((1, 12, 12), 3, channels=[[8]], activation="sigmoid")
    initialize(net, {"name": "xavier_uniform"}, {"name": "sigmoid"}, seeded())
    block = next(net.double().hidden_blocks())
    trainee = autoencoder(block, **({"optimizer": SGD | {"weight_decay": 0.0}} | keys))
    errors = []
    for epoch in range(5):
        numbers = trainee.measure(
            (data.train.inputs, data.train.labels), (data.val.inputs, data.val.labels), epoch=epoch
        )
        errors.append((numbers["train_reconstruction_error"], numbers["val_reconstruction_error"]))
        train(trainee, data.train.inputs, range(epoch, epoch + 1))
    for split in zip(*errors, strict=True):
        assert all(later < earlier for earlier, later in pairwise(split))
