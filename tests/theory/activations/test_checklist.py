"""The checklist: what is known of each activation comes out, and nothing else."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from study.config.level_source import OWN
from study.networks import ACTIVATIONS, gain, make_activation
from study.probes.slopes import SATURATED, largest_slope
from study.theory.activations.checklist import Checklist, check
from study.theory.activations.lines import in_float64, lines_of, unit_slope
from study.theory.activations.search import find_highest, whole_line

FACTS = {name: check(name) for name in ACTIVATIONS}
KNOWN = sorted(OWN["activation.name"])
"""Of these it is known what must come out; laws hold for all."""
MONOTONE = set(KNOWN) - {"gelu", "silu", "mish"}
SMOOTH = set(KNOWN) - {"hard_tanh", "relu", "leaky_relu", "prelu", "selu", "maxout"}
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@pytest.mark.parametrize("name", KNOWN)
def test_all_are_continuous(name: str) -> None:
    assert FACTS[name].continuous


@pytest.mark.parametrize("name", KNOWN)
def test_only_these_are_differentiable(name: str) -> None:
    assert FACTS[name].differentiable == (name in SMOOTH)


@pytest.mark.parametrize(
    ("activation", "kinks"),
    [
        ("relu", [(0, 0, 1)]),
        ("hard_tanh", [(-1, 0, 1), (1, 1, 0)]),
        ("leaky_relu", [(0, 0.1, 1)]),
        ({"name": "leaky_relu", "slope": 1.0}, []),
        ("prelu", [(0, 0.25, 1)]),
        ({"name": "elu", "alpha": 2.0}, [(0, 2, 1)]),
        ({"name": "elu", "alpha": 0.5}, [(0, 0.5, 1)]),
        ("selu", [(0, SELU_SCALE * SELU_ALPHA, SELU_SCALE)]),
        ("maxout", [(0, 0, 1)]),
        ({"name": "maxout", "pieces": 1}, []),
        ({"name": "maxout", "pieces": 5}, [(0, 0, 1)]),
    ],
)
def test_kinks_have_their_one_sided_slopes(activation, kinks) -> None:
    found = check(activation).kinks
    assert len(found) == len(kinks)
    for kink, expected in zip(found, kinks, strict=True):
        assert (kink.place, kink.left, kink.right) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", KNOWN)
def test_only_these_are_non_decreasing(name: str) -> None:
    assert FACTS[name].non_decreasing == (name in MONOTONE)
    assert bool(FACTS[name].turns) == (name not in MONOTONE)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_they_turn_where_they_are_lowest(name: str) -> None:
    (turn,) = FACTS[name].turns
    line = lines_of(in_float64(make_activation(name)))[0]
    assert float(line.value(torch.tensor(turn, dtype=torch.float64))) == pytest.approx(
        FACTS[name].lower.value, abs=1e-12
    )
    assert FACTS[name].lower.attained


INF = math.inf


@pytest.mark.parametrize(
    ("activation", "lower", "upper", "attained"),
    [
        ("identity", -INF, INF, (False, False)),
        ("sigmoid", 0, 1, (False, False)),
        ("tanh", -1, 1, (False, False)),
        ("softsign", -1, 1, (False, False)),
        ("lecun_tanh", -1.7159, 1.7159, (False, False)),
        ("hard_tanh", -1, 1, (True, True)),
        ("relu", 0, INF, (True, False)),
        ("softplus", 0, INF, (False, False)),
        ("leaky_relu", -INF, INF, (False, False)),
        ("prelu", -INF, INF, (False, False)),
        ({"name": "elu", "alpha": 2.0}, -2, INF, (False, False)),
        ("selu", -SELU_SCALE * SELU_ALPHA, INF, (False, False)),
        ("maxout", -INF, INF, (False, False)),
    ],
)
def test_bounds(activation, lower: float, upper: float, attained) -> None:
    facts = check(activation)
    assert facts.lower.value == pytest.approx(lower, abs=1e-7)
    assert facts.upper.value == pytest.approx(upper, abs=1e-7)
    assert (facts.lower.attained, facts.upper.attained) == attained


def test_odd_functions_and_selu_are_zero_centred() -> None:
    centred = {name for name in KNOWN if FACTS[name].zero_centred}
    odd = {"identity", "tanh", "hard_tanh", "softsign", "lecun_tanh"}
    assert centred == {*odd, "selu"}


@pytest.mark.parametrize(
    ("activation", "mean"),
    [
        ("relu", 1 / math.sqrt(2 * math.pi)),
        ({"name": "leaky_relu", "slope": 0.5}, 0.5 / math.sqrt(2 * math.pi)),
        ("sigmoid", 0.5),
        # By parts: E[z Phi(z)] = E[phi(z)].
        ("gelu", 1 / math.sqrt(4 * math.pi)),
        ("maxout", 1 / math.sqrt(math.pi)),
    ],
)
def test_the_mean_output_is_its_closed_form(activation, mean: float) -> None:
    assert check(activation).mean_output == pytest.approx(mean, abs=1e-12)


def bell(share: float) -> float:
    """Where the derivative of tanh is this share of 1."""
    return math.atanh(math.sqrt(1 - share))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("tanh", [(-INF, -bell(SATURATED)), (bell(SATURATED), INF)]),
        ("sigmoid", [(-INF, -2 * bell(SATURATED)), (2 * bell(SATURATED), INF)]),
        ("lecun_tanh", [(-INF, -1.5 * bell(SATURATED)), (1.5 * bell(SATURATED), INF)]),
        ("softsign", [(-INF, -9), (9, INF)]),
        ("hard_tanh", [(-INF, -1), (1, INF)]),
        ("relu", [(-INF, 0)]),
        ({"name": "leaky_relu", "slope": 0.001}, [(-INF, 0)]),
        ("leaky_relu", []),
        ("prelu", []),
        ("identity", []),
        ("maxout", []),
        ("elu", [(-INF, math.log(SATURATED))]),
        ("selu", [(-INF, math.log(SATURATED))]),
        ("softplus", [(-INF, math.log(SATURATED / (1 - SATURATED)))]),
    ],
)
def test_saturated_regions(activation, expected) -> None:
    found = [(region.low, region.high) for region in check(activation).saturated]
    assert len(found) == len(expected)
    for region, pair in zip(found, expected, strict=True):
        assert region == pytest.approx(pair, abs=1e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_those_that_turn_hardly_slope_there_either(name: str) -> None:
    far, around = FACTS[name].saturated
    assert far.low == -INF
    assert around.low < FACTS[name].turns[0] < around.high


@pytest.mark.parametrize(
    ("activation", "slope", "where", "attained"),
    [
        ("tanh", 1, [(0, 0)], True),
        ("sigmoid", 0.25, [(0, 0)], True),
        ("softsign", 1, [(0, 0)], True),
        ("lecun_tanh", 1.7159 * 2 / 3, [(0, 0)], True),
        ("hard_tanh", 1, [(-1, 1)], True),
        ("relu", 1, [(0, INF)], True),
        ("elu", 1, [(0, INF)], True),
        ("selu", SELU_SCALE * SELU_ALPHA, [(0, 0)], True),
        ("identity", 1, [(-INF, INF)], True),
        ("maxout", 1, [(-INF, INF)], True),
        ("gelu", 0.5 + math.erf(1) / 2 + math.exp(-1) / math.sqrt(math.pi), [(1.414, 1.414)], True),
    ],
)
def test_the_largest_slope(activation, slope: float, where, attained: bool) -> None:
    steepest = check(activation).steepest
    assert steepest.value == pytest.approx(slope, abs=1e-7)
    assert [(region.low, region.high) for region in steepest.where] == where
    assert steepest.attained == attained


def test_softplus_only_approaches_its_largest_slope() -> None:
    steepest = FACTS["softplus"].steepest
    assert not steepest.attained
    assert steepest.value == pytest.approx(1)
    assert steepest.where[0].high == INF


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_probes_take_the_same_largest_slope(name: str) -> None:
    largest = float(largest_slope(make_activation(name), 1))
    steepest = FACTS[name].steepest.value
    assert steepest == pytest.approx(largest, rel=1e-5) or (steepest == INF and name not in KNOWN)
    assert FACTS[name].gain == gain(name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_difference_quotients(name: str) -> None:
    z = torch.linspace(-6, 6, 241, dtype=torch.float64) + 0.0123
    for line in lines_of(in_float64(make_activation(name))):
        quotient = (line.value(z + 1e-6) - line.value(z - 1e-6)) / 2e-6
        torch.testing.assert_close(line.slope(z), quotient, rtol=0, atol=1e-6)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Tensor], Tensor]], Checklist]:
    """The checklist of any elementwise function, as of an activation that somebody adds."""

    class Added(nn.Module):
        def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.function = function

        def forward(self, z: Tensor) -> Tensor:
            return self.function(z)

    def check_added(function: Callable[[Tensor], Tensor]) -> Checklist:
        monkeypatch.setitem(ACTIVATIONS, "added", lambda: Added(function))
        return check("added")

    return check_added


def test_a_step_is_neither_continuous_nor_differentiable(checked) -> None:
    facts = checked(lambda z: z.tanh() + z.sign())
    assert facts.jumps == (pytest.approx(0, abs=1e-9),)
    assert not facts.differentiable
    assert facts.non_decreasing
    falling = checked(lambda z: z.tanh() - z.sign())
    assert not falling.non_decreasing


def test_a_falling_function_never_turns(checked) -> None:
    facts = checked(torch.neg)
    assert (facts.non_decreasing, facts.turns) == (False, ())


def test_a_kink_that_rounding_would_hide_is_found(checked) -> None:
    facts = checked(lambda z: torch.tanh(z) + 1e-3 * (z - 0.3).relu())
    (kink,) = facts.kinks
    assert kink.place == pytest.approx(0.3, abs=1e-9)
    assert kink.right - kink.left == pytest.approx(1e-3, abs=1e-6)


def test_a_slope_without_bound_is_said(checked) -> None:
    steepest = checked(lambda z: z.relu() ** 2).steepest
    assert (steepest.value, steepest.where) == (INF, ())


def test_the_unit_slope_of_maxout_is_one() -> None:
    slope = unit_slope(make_activation({"name": "maxout", "pieces": 3}).double())
    assert find_highest(slope, whole_line()).where[0].low == -INF
    assert slope(torch.zeros(4, dtype=torch.float64)).tolist() == [1.0] * 4
