"""What is known of networks at initialization and in training comes out of the probes, on MNIST."""

import functools
import itertools
import math

import pytest
import torch

from study.config.groups import DataGroup
from study.data import Data, prepare
from study.networks import MLP, Arguments, Network, initialize
from study.probes.capture import capture
from study.probes.measure import measured
from study.probes.recorder import probe_batch, watching_units
from study.probes.signals import mean_and_variance
from study.training.stacking import StackedNetwork
from study.training.task import Task, make_task
from tests import tiny

TASK: Task = make_task(tiny.config())


@functools.cache
def mnist() -> Data:
    return prepare(DataGroup("mnist"))


def network(seed: int, widths: list[int], activation: str, init: Arguments) -> Network:
    made = MLP(784, 10, widths=widths, activation=activation)
    generator = torch.Generator().manual_seed(seed)
    initialize(made, init, {"name": activation}, generator)
    return made


def probes(made: Network) -> dict[str, list[float]]:
    batch = probe_batch(mnist().val)
    return measured(made, batch.inputs, batch.labels, TASK)


def test_half_of_the_units_of_a_late_layer_are_born_dead() -> None:
    """5 x 256, then 5 x 128, from torch's weights and biases, over the whole training set.

    Published for Fashion-MNIST: 56 % in the last layer but one.
    """
    made = network(0, [256] * 5 + [128] * 5, "relu", {"name": "torch_default"})
    with watching_units([made]) as watched, torch.no_grad():
        for images in mnist().train.inputs.split(5000):
            made(images)
    shares = [float(block.dead_fraction()) for block in watched[0]]
    assert shares[0] < 0.05
    assert all(0.4 < share < 0.7 for share in shares[-3:]), shares


def test_the_gradient_of_deep_sigmoid_layers_vanishes() -> None:
    made = network(0, [128] * 10, "sigmoid", {"name": "xavier_uniform"})
    variances = probes(made)["gradient_variance"]
    assert variances[0] < 1e-8 * variances[-1]
    # Each layer keeps n Var(w) E[f'^2] of it: 1 x 1/16 at most.
    assert all(low < high / 16 for low, high in itertools.pairwise(variances))


def test_relu_with_hes_weights_keeps_both_variances() -> None:
    numbers = probes(network(0, [256] * 10, "relu", {"name": "he_normal"}))
    for name in ("activation_variance", "gradient_variance"):
        assert 0.2 < numbers[name][-1] / numbers[name][0] < 5


def test_the_weight_gradients_of_a_sigmoid_unit_agree_in_sign() -> None:
    """Activations are positive, so one example moves all weights of a unit the same way."""
    numbers = probes(network(0, [64] * 4, "sigmoid", {"name": "xavier_uniform"}))
    assert numbers["sign_agreement"][1:] == [1, 1, 1]
    assert numbers["sign_agreement"][0] < 0.95
    tanh = probes(network(0, [64] * 4, "tanh", {"name": "xavier_uniform"}))
    assert all(0.5 < share < 0.7 for share in tanh["sign_agreement"][1:])


@pytest.mark.parametrize("init", ["zeros", "constant"])
@pytest.mark.parametrize("engine", ["sequential", "auto"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "maxout"])
def test_a_symmetry_never_breaks(init: str, engine: str, activation: str) -> None:
    """One distinct unit in every hidden layer from the first update to the last."""
    options = ("seeds=2", "optimizer.lr=[0.05,0.2]", "probes=full", f"population.engine={engine}")
    population = tiny.train(
        tiny.config(*options, f"init={init}", f"activation={activation}", "trainer.max_epochs=2")
    )
    for rows in tiny.probes_of(population).rows.values():
        assert {row["distinct_units"] for row in rows} == {1}


def test_nothing_is_said_of_units_whose_weights_are_lost() -> None:
    population = tiny.train(
        tiny.config(
            "init=constant",
            "trainer.precision=32-true",
            "optimizer.lr=[0.05,1e38]",
            "probes=full",
            "seeds=1",
        )
    )
    for replica, rows in tiny.probes_of(population).rows.items():
        lost = replica.lr > 1
        assert all(math.isnan(rows[-1][name]) == lost for name in ("distinct_units", "weight_norm"))


def test_random_weights_have_no_such_symmetry() -> None:
    assert probes(network(0, [64, 32], "relu", {"name": "normal"}))["distinct_units"] == [64, 32]


@pytest.mark.parametrize(
    ("init", "published", "scale"), [("xavier_uniform", 0.8, 1.0), ("standard", 0.5, 1 / 3)]
)
def test_the_mean_singular_value_of_a_layer_is_glorots(
    init: str, published: float, scale: float
) -> None:
    """About 0.8 for normalized and 0.5 for standard weights, tanh (section 4.2.1).

    The quarter circle's mean 8 / (3 pi) = 0.849, times sqrt(n Var w), is the limit of a linear
    layer; pixels in [0, 1] keep tanh near it.
    """
    batch = probe_batch(prepare(DataGroup("mnist", normalize="unit")).val)
    made = network(0, [256] * 5, "tanh", {"name": init})
    values = measured(made, batch.inputs, batch.labels, TASK, thorough=True)[
        "jacobian_singular_value"
    ][1:]
    limit = 8 / (3 * math.pi) * math.sqrt(scale)
    assert all(0.85 * limit < value < 1.01 * limit for value in values), values
    assert values[-1] == pytest.approx(published, abs=0.05)


def test_linear_networks_scale_the_second_moment_by_n_var_w_a_layer() -> None:
    """(n Var w)^k E[x^2] over 20 layers, averaged over 200 networks, within 4 standard errors.

    The lecture's formula. A single network strays far, and the error is taken over networks.
    """
    depth, count, factor = 20, 200, 0.95
    init: Arguments = {"name": "lecun_normal", "gain": math.sqrt(factor)}
    stack = StackedNetwork([network(seed, [64] * depth, "identity", init) for seed in range(count)])
    batch = probe_batch(mnist().val, 64)
    mean_square = float(batch.inputs.square().mean())
    for k, layer in enumerate(capture(stack, batch.inputs, batch.labels, TASK), start=1):
        mean, variance = mean_and_variance(layer.preactivation)
        moments = (mean.square() + variance).double()
        error = float(moments.std()) / math.sqrt(count)
        assert abs(float(moments.mean()) - factor**k * mean_square) < 4 * error, k
