"""Every row of facts, checked against the function that networks are trained with, in float64."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.config.level_source import OWN
from study.networks import ACTIVATIONS, Arguments, gain, make_activation
from study.probes.slopes import FAR, SATURATED, largest_slope, slope_of
from study.theory.activations.command import chosen_levels
from study.theory.activations.facts import FACTS, INF, Facts, Kink, check

STEP = 2**-12
NEAR = torch.arange(-32, 32 + STEP, STEP, dtype=torch.float64)
FARTHER = torch.logspace(math.log10(33), math.log10(FAR), 300, dtype=torch.float64)
LINE = torch.cat([-FARTHER.flip(0), NEAR, FARTHER])
BESIDE = 1e-9
CURVED = 8
"""A jump of f' below CURVED * STEP, 0.2 %, of the largest is not told from a curve."""

OPTIONS = [
    *(f"leaky_relu slope={slope}" for slope in (0.0, 0.001, 0.01, 1.0, 2.0, 200.0, -0.5, -1.0)),
    *(f"prelu slope={slope}" for slope in (0.0, 0.01, 1.0, 2.0, -0.5)),
    *(f"elu alpha={alpha}" for alpha in (0.005, 0.5, 2.0, 200.0)),
    *(f"maxout pieces={pieces}" for pieces in (1, 3)),
]


def config(text: str) -> Arguments:
    return chosen_levels([text])[text]


class Along(nn.Module):
    """A maxout unit as a function of z: its pieces are z times these directions."""

    def __init__(self, maxout: nn.Module, directions: list[int]) -> None:
        super().__init__()
        self.maxout, self.directions = maxout, directions

    def forward(self, z: Tensor) -> Tensor:
        return self.maxout(z.flatten()[:, None] * z.new_tensor(self.directions)).view(z.shape)


class Function(nn.Module):
    """An activation that no level has."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


def contradicted(facts: Facts, activation: nn.Module) -> set[str]:
    """The fields of the facts that the function contradicts.

    Of maxout a kink may be, and a bound may lie, where one piece varies or where all are equal;
    what is not stated is on neither line. Its slope is the probes': 1.
    """
    activation = activation.double()
    pieces = getattr(activation, "pieces", 0)
    lines = [activation]
    if pieces:
        directions = [1] + [0] * (pieces - 1), [1] * pieces
        lines = [Along(activation, direction) for direction in directions]

    def steepness(z: Tensor) -> Tensor:
        return slope_of(activation, z[:, None].repeat(1, pieces or 1)).flatten().abs()

    return {*_of_values(facts, lines), *_of_slopes(facts, lines), *_of_steepness(facts, steepness)}


def _of_values(facts: Facts, lines: list[nn.Module]) -> Iterator[str]:
    with torch.no_grad():
        values = torch.stack([line(LINE) for line in lines])
    falls = values.diff() < -1e-9 * (1 + values[:, 1:].abs()) - 1e-15 * LINE[1:].abs()
    if facts.non_decreasing == bool(falls.any()):
        yield "non_decreasing"
    for place in facts.jumps:
        if all(abs(_change(line, place)) < 1e-6 for line in lines):
            yield "jumps"
    near = values[:, LINE.abs() <= 32]
    slopes = torch.stack([slope_of(line, NEAR).abs().amax() for line in lines])[:, None]
    if (near.diff().abs() > 1.01 * STEP * slopes + 1e-9)[:, ~_between(NEAR, facts.jumps)].any():
        yield "jumps"
    inner = values[:, LINE.abs() <= 8]
    for side, bound, attained, best, taken in (
        ("lower", facts.lower, facts.lower_attained, values.amin(), inner.amin()),
        ("upper", facts.upper, facts.upper_attained, values.amax(), inner.amax()),
    ):
        if math.isinf(bound):
            found, reached = float(best) * math.copysign(1, bound) > 1e-4 * FAR, False
        else:
            found, reached = abs(float(best) - bound) < 1e-7, abs(float(taken) - bound) < 1e-7
        if not found:
            yield side
        elif reached != attained:
            yield f"{side}_attained"


def _of_slopes(facts: Facts, lines: list[nn.Module]) -> Iterator[str]:
    for place, left, right in facts.kinks:
        sides = [_slopes(line, place - BESIDE, place + BESIDE) for line in lines]
        if left == right or all(pair != pytest.approx([left, right], rel=1e-7) for pair in sides):
            yield "kinks"
    for place in facts.turns:
        if all(math.prod(_slopes(line, place - 1e-7, place + 1e-7)) >= 0 for line in lines):
            yield "turns"
    stated = _between(NEAR, [*facts.jumps, *(kink.place for kink in facts.kinks)])
    for line in lines:
        slopes = slope_of(line, NEAR)
        if (slopes.diff().abs() > CURVED * STEP * slopes.abs().amax())[~stated].any():
            yield "kinks"
        steep = slopes.abs() > 1e-9
        turned = slopes[steep].sign().diff() != 0
        if turned[~_between(NEAR[steep], facts.turns)].any():
            yield "turns"


def _of_steepness(facts: Facts, steepness: Callable[[Tensor], Tensor]) -> Iterator[str]:
    if math.isinf(facts.largest_slope):
        if float(steepness(LINE)[[0, -1]].amax()) < 1e3:
            yield "largest_slope"
        if facts.steepest:
            yield "steepest"
        if facts.saturated:
            yield "saturated"
        return
    kinks = torch.tensor([kink.place for kink in facts.kinks], dtype=torch.float64)
    borders = torch.tensor(facts.saturated, dtype=torch.float64).flatten()
    borders = borders[borders.isfinite()]
    ends = (kinks - BESIDE, kinks + BESIDE, borders - 1e-6, borders + 1e-6)
    z = torch.cat([LINE, *ends]).unique()
    slopes = steepness(z)
    if float(slopes.amax()) != pytest.approx(facts.largest_slope, rel=1e-7):
        yield "largest_slope"

    steep, widened = (
        slopes >= (1 - 1e-7) * facts.largest_slope,
        torch.zeros_like(z, dtype=torch.bool),
    )
    for low, high in facts.steepest:
        widened |= (z > min(low, 8 + 2e-3) - 2e-3) & (z < max(high, -8 - 2e-3) + 2e-3)
        at_all = bool(steep[(z > low + 1e-6) & (z < high - 1e-6)].all())
        if low == high and math.isinf(low):
            at_all = bool(steep[-1 if low > 0 else 0])
        elif low == high and low in kinks:
            at_all = bool(steep[(z - low).abs() < 2 * BESIDE].any())
        elif low == high:
            at = float(steepness(torch.tensor([low], dtype=torch.float64)))
            at_all = at == pytest.approx(facts.largest_slope, rel=1e-12)
        if not at_all:
            yield "steepest"
    if (steep & ~widened).any():
        yield "steepest"

    inside = torch.zeros_like(steep)
    for low, high in facts.saturated:
        inside |= (z > low) & (z < high)
    on_a_border = torch.isin(z, borders)
    if ((slopes < SATURATED * facts.largest_slope) != inside)[~on_a_border].any():
        yield "saturated"


def _between(z: Tensor, places: Any) -> Tensor:
    """Whether one of the places is in the interval from each point to the next, [len(z) - 1]."""
    holds = torch.zeros(len(z) - 1, dtype=torch.bool)
    for place in places:
        holds |= (z[:-1] - BESIDE <= place) & (place <= z[1:] + BESIDE)
    return holds


def _change(line: nn.Module, place: float) -> float:
    with torch.no_grad():
        low, high = line(torch.tensor([place - BESIDE, place + BESIDE], dtype=torch.float64))
    return float(high - low)


def _slopes(line: nn.Module, *places: float) -> list[float]:
    return slope_of(line, torch.tensor(places, dtype=torch.float64)).tolist()


@pytest.mark.parametrize("text", [*FACTS, *OPTIONS])
def test_a_row_says_what_the_function_does(text: str) -> None:
    facts, module = check(config(text)).facts, make_activation(config(text))
    assert facts is not None
    assert contradicted(facts, module) == set()
    probed = float(largest_slope(make_activation(config(text)), 1))
    assert facts.largest_slope == pytest.approx(probed, rel=1e-5)


def test_each_of_the_projects_activations_has_a_row_and_each_row_an_activation() -> None:
    assert OWN["activation.name"] <= FACTS.keys() <= ACTIVATIONS.keys()


RELU, TANH, GELU = (check(name).facts or Facts() for name in ("relu", "tanh", "gelu"))
EDGE = TANH.saturated[1][0]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("relu", "jumps", (0.0,)),
        ("relu", "kinks", ()),
        ("relu", "kinks", (Kink(0.001, 0, 1),)),
        ("relu", "kinks", (Kink(0, 0.001, 1),)),
        ("tanh", "kinks", (Kink(0, 1, 1),)),
        ("relu", "non_decreasing", False),
        ("gelu", "non_decreasing", True),
        ("gelu", "turns", ()),
        ("gelu", "turns", (-0.751792,)),
        ("relu", "turns", (0.0,)),
        ("tanh", "lower", -1.00001),
        ("tanh", "lower", -INF),
        ("tanh", "lower_attained", True),
        ("relu", "lower_attained", False),
        ("relu", "upper", 1.0),
        ("gelu", "lower", -0.17),
        ("identity", "upper_attained", True),
        ("gelu", "largest_slope", 1.129),
        ("gelu", "steepest", ((1.4143, 1.4143),)),
        ("gelu", "steepest", ((-1.0, 2.0),)),
        ("relu", "steepest", ((1, INF),)),
        ("relu", "steepest", ((-INF, INF),)),
        ("softplus", "steepest", ((0, INF),)),
        ("selu", "steepest", ((0, INF),)),
        ("tanh", "steepest", ()),
        ("relu", "saturated", ()),
        ("identity", "saturated", ((20.0, INF),)),
        ("gelu", "saturated", GELU.saturated[:1]),
        ("tanh", "saturated", ((-INF, -EDGE), (EDGE + 1e-5, INF))),
        ("maxout", "saturated", ((-INF, 0.0),)),
        ("maxout", "lower", 0.0),
        ("maxout", "kinks", ()),
    ],
)
def test_a_wrong_fact_is_contradicted(name: str, field: str, value: Any) -> None:
    facts = check(name).facts
    assert facts is not None
    assert field in contradicted(replace(facts, **{field: value}), make_activation(name))


@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (lambda z: z.tanh() + z.sign(), replace(TANH, jumps=(0.0,), lower=-2, upper=2)),
        (torch.neg, Facts(non_decreasing=False)),
        (
            lambda z: z.relu() ** 2,
            Facts(lower=0, lower_attained=True, largest_slope=INF, steepest=()),
        ),
    ],
)
def test_what_no_level_does_can_be_stated(function: Any, facts: Facts) -> None:
    assert contradicted(facts, Function(function)) == set()
    assert contradicted(RELU, Function(function)) != set()


def test_odd_functions_and_selu_are_zero_centred() -> None:
    centred = {name for name in FACTS if abs(check(name).mean_output) < 1e-6}
    odd = {"identity", "tanh", "hard_tanh", "softsign", "lecun_tanh"}
    assert centred & OWN["activation.name"] == {*odd, "selu"}


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
def test_the_mean_output_is_its_closed_form(activation: Any, mean: float) -> None:
    checklist = check(activation)
    assert checklist.mean_output == pytest.approx(mean, abs=1e-12)
    assert checklist.gain == gain(activation)


def test_of_an_activation_without_a_row_only_mean_and_gain_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ACTIVATIONS, "added", lambda: Function(torch.abs))
    checklist = check("added")
    assert checklist.facts is None
    assert checklist.mean_output == pytest.approx(math.sqrt(2 / math.pi))
    assert checklist.gain == pytest.approx(1)
