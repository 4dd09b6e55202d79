"""The closed form of a penalized linear network: its equations, and that training comes to it."""

from typing import Any

import pytest
import torch

from study.data import Data
from study.training import Replica
from study.training.references import Ridge, ridge, task_record
from tests import tiny

LINEAR = ("model.widths=[]", "loss=squared_error", "optimizer.momentum=0")
SHAPE = (1, 3, 3)


def solved(data: Data, penalty: float) -> Ridge:
    return ridge(data.train.inputs, data.train.labels, data.num_classes, penalty=penalty)


def reference(data: Data, *overrides: str) -> dict[str, Any]:
    return dict(task_record(tiny.config(*LINEAR, *overrides), data).get("references", {}))


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_it_solves_the_normal_equations_with_a_free_intercept(penalty: float) -> None:
    data = tiny.data(shape=SHAPE)
    found = solved(data, penalty)
    flat = data.train.inputs.flatten(1)
    rows = torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.float64)], dim=1)
    penalties = penalty * torch.eye(10, dtype=torch.float64)
    penalties[9, 9] = 0
    targets = torch.nn.functional.one_hot(data.train.labels, 3).double()
    by_hand = torch.linalg.solve(rows.T @ rows + penalties, rows.T @ targets)
    assert torch.allclose(found.weights, by_hand[:9], atol=1e-10)
    assert torch.allclose(found.intercept, by_hand[9], atol=1e-10)
    scores = data.test.inputs.flatten(1) @ by_hand[:9] + by_hand[9]
    tested = torch.nn.functional.one_hot(data.test.labels, 3).double()
    loss, error = found.loss_and_error(data.test.inputs, data.test.labels)
    assert loss == pytest.approx(float((scores - tested).square().sum(1).mean()))
    assert error == pytest.approx(float((scores.argmax(1) != data.test.labels).double().mean()))


def test_a_large_penalty_leaves_the_shares_of_the_classes() -> None:
    data = tiny.data(shape=SHAPE)
    found = solved(data, 1e12)
    shares = torch.bincount(data.train.labels, minlength=3).double() / len(data.train)
    assert torch.allclose(found.intercept, shares, atol=1e-6)


def test_the_gradient_of_the_noisy_loss_vanishes_there() -> None:
    """E |W^T (x + e) + b - y|^2 = |W^T x + b - y|^2 + sigma^2 |W|^2."""
    data, sigma = tiny.data(shape=SHAPE), 0.7
    found = solved(data, len(data.train) * sigma**2)
    weights, intercept = found.weights.requires_grad_(), found.intercept.requires_grad_()
    scores = data.train.inputs.flatten(1) @ weights + intercept
    targets = torch.nn.functional.one_hot(data.train.labels, 3).double()
    loss = (scores - targets).square().sum(1).mean() + sigma**2 * weights.square().sum()
    for gradient in torch.autograd.grad(loss, (weights, intercept)):
        assert float(gradient.abs().max()) < 1e-12


def test_noise_and_its_weight_decay_have_one_reference() -> None:
    data = tiny.data(shape=SHAPE)
    noisy = reference(data, "input_noise=0.5")
    decayed = reference(data, "optimizer.weight_decay=0.5")
    assert noisy == decayed
    assert noisy["ridge"]["penalty"] == len(data.train) * 0.25
    solution = solved(data, len(data.train) * 0.25)
    for name, split in (("train", data.train), ("test", data.test)):
        expected = solution.loss_and_error(split.inputs, split.labels)
        found = noisy["ridge"][f"{name}_loss"], noisy["ridge"][f"{name}_error"]
        assert found == expected


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("input_noise=0.5", "model.widths=[4]"),
        ("input_noise=0.5", "loss=cross_entropy"),
        ("input_noise=0.5", "data.flip=true"),
        ("optimizer=adamw", "optimizer.weight_decay=0.1"),
    ],
)
def test_other_cells_have_none(overrides: tuple[str, ...]) -> None:
    given = [
        text for text in LINEAR if "momentum" not in text or "optimizer=adamw" not in overrides
    ]
    record = task_record(tiny.config(*given, *overrides), tiny.data(shape=SHAPE))
    assert record == {"task": "classification"}


@pytest.mark.parametrize("what", ["input_noise=0.5", "optimizer.weight_decay=0.5"])
def test_training_to_the_end_comes_to_it(what: str) -> None:
    """Noise is an average only, so that what is left falls with the rate: it decays."""
    data = tiny.data(shape=SHAPE)
    config = tiny.config(
        *LINEAR, what, "trainer.max_epochs=250", "schedule=cosine", "schedule.final_factor=0.001",
        "batch_size=35", "optimizer.lr=0.05",
    )  # fmt: skip
    population = tiny.train(config, data, [Replica(0, 0.05)])
    last = population.evaluations["last"]
    expected = reference(data, what)["ridge"]
    assert float(last["train"].loss) == pytest.approx(expected["train_loss"], rel=0.01)
    assert float(last["test"].loss) == pytest.approx(expected["test_loss"], rel=0.03)
    weights = population.last_state(0)["output.weight"].T
    known = solved(data, expected["penalty"]).weights
    unpenalized = solved(data, 1e-9).weights
    assert float((weights - known).norm()) < 0.15 * float((unpenalized - known).norm())
