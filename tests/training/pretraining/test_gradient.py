"""A layer under a temporary classifier: against a hand-written loop, and what it leaves alone."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from study.networks import MLP, Block, initialize
from study.training.pretraining.gradient import SupervisedLayer, temporary_classifier
from tests import tiny
from tests.pretrained_layers import BATCH, SGD, fill, images, network, seeded, streams, train

CLASSES = 3


def batch() -> tuple[Tensor, Tensor]:
    return images(), torch.randint(0, CLASSES, (30,), generator=seeded(2))


def layer(block: Block, inputs: Tensor, **keys: Any) -> SupervisedLayer:
    given: dict[str, Any] = {"optimizer": SGD, "lr": 0.05, "batch_size": 8, "generator": streams}
    classifier = temporary_classifier(block, inputs, CLASSES, fill)
    return SupervisedLayer(block, classifier, **(given | keys))


def scores_by_hand(kind: str, state: dict[str, Tensor], x: Tensor) -> Tensor:
    if kind == "mlp":
        hidden = functional.linear(x.flatten(1), state["layer.weight"], state["layer.bias"]).tanh()
    else:
        code = functional.conv2d(x, state["layer.weight"], state["layer.bias"], padding=1).tanh()
        hidden = functional.max_pool2d(code, 2).flatten(1)
    return hidden @ state["top.weight"].T + state["top.bias"]


def by_hand(kind: str, state: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> list[float]:
    """Two epochs of SGD with momentum on `state`, in place; each epoch's mean loss."""
    velocity = {name: torch.zeros_like(value) for name, value in state.items()}
    curve = []
    for epoch in range(2):
        order, total = torch.randperm(len(inputs), generator=streams("order", epoch)), []
        for first in range(0, len(inputs) - 7, 8):
            chosen = order[first : first + 8]
            for value in state.values():
                value.requires_grad_()
            scores = scores_by_hand(kind, state, inputs[chosen])
            log_p = scores - scores.exp().sum(dim=1, keepdim=True).log()
            loss = -log_p[torch.arange(8), labels[chosen]].mean()
            gradients = torch.autograd.grad(loss, list(state.values()))
            for (name, value), gradient in zip(state.items(), gradients, strict=True):
                value.requires_grad_(False)
                decay = 0.01 if name.endswith("weight") else 0.0
                velocity[name] = 0.9 * velocity[name] + gradient + decay * value
                value -= 0.05 * velocity[name]
            total.append(float(loss.detach()))
        curve.append(sum(total) / len(total))
    return curve


def named_state(trainee: SupervisedLayer) -> dict[str, Tensor]:
    top = {f"top.{name}": value for name, value in trainee.top.state_dict().items()}
    return {name: value.clone() for name, value in (trainee.block.state_dict() | top).items()}


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_training_is_a_hand_written_loop(kind: str) -> None:
    inputs, labels = batch()
    trainee = layer(next(network(kind, activation="tanh").hidden_blocks()), inputs)
    state = named_state(trainee)
    curve = by_hand(kind, state, inputs, labels)
    assert train(trainee, inputs, range(2), labels) == pytest.approx(curve, rel=1e-11)
    for key, value in named_state(trainee).items():
        torch.testing.assert_close(value, state[key], rtol=1e-10, atol=1e-12, msg=key)
    assert trainee.updates == 2 * 3


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("index", [0, 1])
def test_its_own_block_is_trained_and_nothing_else_of_the_network(kind: str, index: int) -> None:
    net = network(kind, activation="tanh", norm=BATCH)
    before = copy.deepcopy(net.state_dict())
    fed, labels = batch()
    blocks = list(net.hidden_blocks())
    for block in blocks[:index]:
        fed = layer(block, fed).hidden(fed)
    trainee = layer(blocks[index], fed)
    train(trainee, fed, range(1), labels)
    trainee.write_back()
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    assert changed == {name for name in before if name.startswith(f"blocks.{index}.")}


@pytest.mark.parametrize(("kind", "features"), [("mlp", 6), ("cnn", 4 * 3 * 2)])
def test_the_classifier_sees_the_whole_block_and_is_initialized_as_it_is_told(
    kind: str, features: int
) -> None:
    inputs, _ = batch()
    block = next(network(kind, activation="tanh").hidden_blocks())
    before = torch.get_rng_state()
    classifier = temporary_classifier(block, inputs, CLASSES, fill)
    assert torch.equal(before, torch.get_rng_state())
    expected = torch.empty(CLASSES, features)
    fill(expected)
    assert torch.equal(classifier.weight, expected.double())
    assert not classifier.bias.any()


def test_measure_is_the_classifiers_loss_and_error_in_evaluation_mode() -> None:
    inputs, labels = batch()
    trainee = layer(next(network("cnn", norm=BATCH).hidden_blocks()), inputs)
    train(trainee, inputs, range(2), labels)
    before = trainee.state_dict()
    measured = trainee.measure((inputs[:20], labels[:20]), (inputs[20:], labels[20:]), epoch=1)
    assert tiny.equal(before, trainee.state_dict())
    hidden = trainee.hidden(inputs).flatten(1)
    scores = trainee.top(hidden).detach()
    for split, part in (("train", slice(20)), ("val", slice(20, None))):
        loss = functional.cross_entropy(scores[part], labels[part])
        error = (scores[part].argmax(1) != labels[part]).double().mean()
        assert measured.pop(f"{split}_loss") == pytest.approx(float(loss), rel=1e-10)
        assert measured.pop(f"{split}_error") == float(error)
    assert not measured


def test_the_loss_falls_on_what_can_be_learned() -> None:
    data = tiny.data(num_train=160)
    net = MLP(256, CLASSES, widths=[12], activation="sigmoid").double()
    initialize(net, {"name": "xavier_uniform"}, {"name": "sigmoid"}, seeded())
    inputs, labels = data.train.inputs, data.train.labels
    trainee = layer(next(net.hidden_blocks()), inputs)
    curve = train(trainee, inputs, range(6), labels)
    assert curve[-1] < 0.7 * curve[0]
    numbers = trainee.measure((inputs, labels), (data.val.inputs, data.val.labels), epoch=5)
    assert numbers["train_error"] < 0.4


def test_labels_are_what_it_learns_from() -> None:
    inputs, labels = batch()
    states = []
    for given in (labels, labels, labels.flip(0)):
        trainee = layer(next(network("mlp").hidden_blocks()), inputs)
        train(trainee, inputs, range(1), given)
        states.append(trainee.state_dict())
    assert tiny.equal(states[0], states[1])
    assert not tiny.equal(states[0], states[2])


def test_a_phase_is_the_same_when_it_is_resumed() -> None:
    inputs, labels = batch()
    whole, first, second = (
        layer(next(network("mlp", norm=BATCH).hidden_blocks()), inputs) for _ in range(3)
    )
    curve = train(whole, inputs, range(4), labels)
    train(first, inputs, range(2), labels)
    second.load_state_dict(first.state_dict())
    assert train(second, inputs, range(2, 4), labels) == curve[2:]
    assert tiny.equal(whole.state_dict(), second.state_dict())
