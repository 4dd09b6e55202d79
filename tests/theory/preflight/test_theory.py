import itertools
import math
from typing import Any

import pytest
import torch

from study.errors import InputError
from study.theory.preflight.ends import input_signal, output_gradient
from study.theory.preflight.response import APART
from study.theory.preflight.shapes import LayerShape
from study.theory.preflight.theory import PREDICTED, Signal, predict
from study.theory.preflight.weights import VARIANCES
from tests import tiny

NONE = {"name": "none"}


def dense(
    widths: list[int], *, pieces: int = 1, **keys: Any
) -> tuple[list[LayerShape], LayerShape]:
    """Dense layers of widths [in, ..., last hidden], then 10 outputs."""
    hidden = [
        LayerShape(fed, pieces * units, units, fed_by_activation=place > 0, **keys)
        for place, (fed, units) in enumerate(itertools.pairwise(widths))
    ]
    return hidden, LayerShape(widths[-1], 10, 10, fed_by_activation=True, is_linear=True)


def predicted(
    widths: list[int],
    init: dict[str, Any],
    activation: str,
    *,
    second: float = 1.0,
    common: float = 0.0,
    **keys: Any,
) -> dict[str, list[float]]:
    layers, output = dense(widths, **keys)
    return predict(
        layers,
        output,
        Signal(second, {APART: common}),
        {"bias": 0.0, **init},
        {"name": activation},
        output_gradient=lambda mean, variance: 10.0,
        num_examples=1000,
    )


def test_a_linear_net_follows_the_lectures_law() -> None:
    std, second, width = 0.07, 3.0, 50
    numbers = predicted([width] * 21, {"name": "normal", "std": std}, "identity", second=second)
    assert numbers.keys() == set(PREDICTED)
    factor = width * std**2
    expected = [factor**k * second for k in range(1, 21)]
    assert numbers["preactivation_variance"] == pytest.approx(expected)
    assert numbers["activation_variance"] == pytest.approx(expected)
    gradients = [10 * std**2 * factor ** (20 - k) for k in range(1, 21)]
    assert numbers["gradient_variance"] == pytest.approx(gradients)


def test_he_keeps_the_signal_of_relu_and_its_gradient() -> None:
    numbers = predicted([64] * 13, {"name": "he_normal"}, "relu", second=1.5)
    assert numbers["preactivation_variance"] == pytest.approx([3.0] * 12)
    assert numbers["activation_variance"] == pytest.approx([1.5 - 3 / (2 * math.pi)] * 12)
    assert numbers["gradient_variance"] == pytest.approx([numbers["gradient_variance"][0]] * 12)


def test_xavier_halves_the_signal_of_relu_at_every_layer() -> None:
    """He et al. 2015, section 2.2."""
    numbers = predicted([64] * 13, {"name": "xavier_normal", "gain": 1.0}, "relu")
    assert numbers["preactivation_variance"] == pytest.approx([0.5**k for k in range(12)])


def test_standard_shrinks_gradients_of_tanh_and_xavier_hardly_does() -> None:
    """Glorot & Bengio 2010, figures 6 and 7: n Var(w) is 1/3 and 1."""
    standard = predicted([500] * 6, {"name": "standard", "gain": 1.0}, "tanh", second=0.1)
    xavier = predicted([500] * 6, {"name": "xavier_uniform", "gain": 1.0}, "tanh", second=0.1)
    first, *_, last = standard["gradient_variance"]
    assert first / last < 3.0**-4
    first, *_, last = xavier["gradient_variance"]
    assert 0.5 < first / last < 1
    signal = xavier["activation_variance"]
    assert signal[0] > signal[-1] > 0.6 * signal[0]


def test_auto_gain_and_lsuv_keep_unit_variance() -> None:
    for init in ({"name": "lecun_normal", "gain": "auto"}, {"name": "lsuv"}):
        numbers = predicted([80] * 6, init, "sigmoid")
        assert numbers["preactivation_variance"] == pytest.approx([1.0] * 5)
    far = predicted([80] * 6, {"name": "lsuv"}, "relu", second=7.0)
    assert far["preactivation_variance"] == pytest.approx([1.0] * 5)


def test_batchnorm_multiplies_gradients_of_relu_by_pi_over_pi_minus_1() -> None:
    """Yang et al. 2019, section 1: in the limit of large batches, per layer, towards the input."""
    for init in ({"name": "he_normal"}, {"name": "normal", "std": 10.0}):
        numbers = predicted([64] * 9, init, "relu", norm="before", has_bias=False, eps=1e-12)
        assert numbers["preactivation_variance"] == pytest.approx([1.0] * 8)
        gradients = numbers["gradient_variance"]
        ratios = [first / second for first, second in itertools.pairwise(gradients)]
        assert ratios == pytest.approx([math.pi / (math.pi - 1)] * 7)


def test_batchnorm_of_a_linear_net_changes_no_gradient() -> None:
    for norm in ("before", "after"):
        numbers = predicted([64] * 6, {"name": "normal", "std": 0.4}, "identity", norm=norm)
        gradients = numbers["gradient_variance"]
        assert gradients == pytest.approx([gradients[0]] * 5)


def test_epsilon_shows_where_the_signal_is_as_small() -> None:
    numbers = predicted([64] * 3, {"name": "normal", "std": 1e-4}, "tanh", norm="before", eps=1e-5)
    v = 64e-8
    assert numbers["preactivation_variance"][0] == pytest.approx(v / (v + 1e-5))


def test_what_examples_have_in_common_is_no_variance_to_batchnorm() -> None:
    keys: dict[str, Any] = {"norm": "before", "has_bias": False, "eps": 1e-12}
    with_common = predicted([64, 64], {"name": "he_normal"}, "tanh", common=0.75, **keys)
    without = predicted([64, 64], {"name": "he_normal"}, "tanh", second=0.25, **keys)
    for name, values in without.items():
        assert with_common[name] == pytest.approx(values, abs=1e-12)


def test_a_relu_net_whose_biases_outweigh_its_signal_loses_half_of_its_units() -> None:
    """The published 56 % are of a net of torch's default weights and biases."""
    numbers = predicted([784] + [64] * 12, {"name": "torch_default"}, "relu", common=0.3)
    dead = numbers["dead_fraction"]
    assert all(after > 0.999 * before for before, after in itertools.pairwise(dead))
    assert dead[0] < 0.01
    assert dead[-1] == pytest.approx(0.5, abs=0.05)


def test_zeros_send_nothing_and_constants_have_no_prediction() -> None:
    zeros = predicted([30, 20, 20], {"name": "zeros", "bias": 0.1}, "relu")
    assert zeros["preactivation_mean"] == zeros["activation_mean"] == [0.1, 0.1]
    assert zeros["activation_variance"] == zeros["gradient_variance"] == [0, 0]
    constant = predicted([30, 20, 20], {"name": "constant", "value": 0.1}, "relu")
    assert constant.pop("distinct_units") == zeros["distinct_units"] == [1, 1]
    assert all(math.isnan(value) for values in constant.values() for value in values)


def test_an_explosion_beyond_floats_is_infinite() -> None:
    numbers = predicted([100] * 201, {"name": "normal", "std": 100.0}, "identity")
    assert numbers["preactivation_variance"][-1] == math.inf


def test_no_hidden_layer_has_no_numbers() -> None:
    numbers = predicted([30], {"name": "he_normal"}, "relu")
    assert set(map(len, numbers.values())) == {0}


@pytest.mark.parametrize("variance", [0.0, 0.5, 9.0])
@pytest.mark.parametrize(
    ("loss", "model"),
    [*itertools.product(["cross_entropy", "squared_error"], ["mlp", "autoencoder"])],
)
def test_the_losss_gradient_is_that_of_drawn_outputs(
    loss: str, model: str, variance: float
) -> None:
    from study.training.task import make_task

    config = tiny.config("data.normalize=unit", f"loss={loss}", model=model)
    task = make_task(config)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(40_000, 1, 2, 2, generator=generator, dtype=torch.float64)
    outputs = 0.5 + math.sqrt(variance) * torch.randn(
        40_000, 4, generator=generator, dtype=torch.float64
    )
    labels = torch.randint(0, 4, (40_000,), generator=generator)
    outputs.requires_grad_()
    task.loss(outputs, task.target(inputs, labels)).sum().backward()
    assert outputs.grad is not None
    expected = float(outputs.grad.square().sum(1).mean())
    found = output_gradient(config, 4, inputs)(0.5, variance)
    assert found == pytest.approx(expected, rel=0.03)


def test_images_have_the_moments_of_their_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(1, 2, 6, 6, generator=generator)
    x = mean + 0.5 * torch.randn(30, 2, 6, 6, generator=generator)
    flat = x.flatten(1).double()
    products = flat @ flat.T / flat.shape[1]
    off_diagonal = (products.sum() - products.trace()) / (30 * 29)
    signal = input_signal(x, [])
    assert signal.second == pytest.approx(float(flat.square().mean()))
    assert signal.shared == pytest.approx({APART: float(off_diagonal)})
    smooth = torch.ones(3, 1, 4, 4) * 2.0
    layers = [LayerShape(1, 4, 4, kernel=3, side=(4, 4), pool="max", convolves=True)]
    assert set(input_signal(smooth, layers).shared.values()) == {4.0}


def test_what_nobody_has_written_down_is_named() -> None:
    with pytest.raises(InputError, match=r"init=mine: .* add it to VARIANCES"):
        predicted([64] * 3, {"name": "mine"}, "relu")


def test_what_only_data_can_say_is_not_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANCES, "mine", lambda shape, keys: math.nan)
    numbers = predicted([64] * 3, {"name": "mine"}, "relu")
    assert all(math.isnan(value) for values in numbers.values() for value in values)
