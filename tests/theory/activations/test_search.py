"""Searches on the whole line, on functions whose jumps, regions and bounds are known."""

import math

import pytest
import torch
from torch import Tensor

from study.theory.activations.search import (
    FAR,
    Interval,
    find_highest,
    find_jumps,
    find_regions,
    whole_line,
)

LINE = whole_line()
WHOLE = Interval(-math.inf, math.inf)


def arctangent(z: Tensor) -> Tensor:
    return torch.atan(3 * z)


def test_the_line_is_symmetric_ascending_and_reaches_far() -> None:
    assert (LINE.diff() > 0).all()
    assert torch.equal(LINE, -LINE.flip(0))
    assert float(LINE[-1]) == pytest.approx(FAR)


@pytest.mark.parametrize("place", [-30.3, -1.0, 0.0, 0.1234567, 2.5, 31.99])
@pytest.mark.parametrize("height", [1e-3, -2.0])
def test_a_jump_is_found_where_it_is(place: float, height: float) -> None:
    def stepped(z: Tensor) -> Tensor:
        return arctangent(z) + height * (z > place)

    assert find_jumps(stepped, LINE) == [pytest.approx(place, abs=1e-9)]


@pytest.mark.parametrize("function", [arctangent, torch.abs, torch.sin, lambda z: 0 * z])
def test_continuous_functions_have_no_jumps(function) -> None:
    assert find_jumps(function, LINE) == []


def test_small_and_steep_kinks_are_found() -> None:
    def slope(z: Tensor) -> Tensor:
        return 1 - torch.tanh(z) ** 2 + 1e-4 * (z > 0.3) + 1e-4 * (z > -1.234)

    assert find_jumps(slope, LINE) == pytest.approx([-1.234, 0.3], abs=1e-9)


@pytest.mark.parametrize("place", [0, 1 / 512, 0.3125])
def test_a_value_at_a_single_point_is_a_jump(place: float) -> None:
    point = torch.tensor(place, dtype=torch.float64)
    jumps = find_jumps(lambda z: (z == point).double(), LINE)
    assert jumps == pytest.approx([place], abs=1e-9)


def test_several_jumps_are_found() -> None:
    assert find_jumps(lambda z: z.clamp(-3, 3).floor(), LINE) == pytest.approx(
        [-2, -1, 0, 1, 2, 3], abs=1e-9
    )


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        (lambda z: z == z, [WHOLE]),
        (lambda z: z != z, []),
        (lambda z: z < 0.3, [Interval(-math.inf, 0.3)]),
        (lambda z: z.abs() > 7.1, [Interval(-math.inf, -7.1), Interval(7.1, math.inf)]),
        (lambda z: (z.abs() - 2).abs() <= 0.5, [Interval(-2.5, -1.5), Interval(1.5, 2.5)]),
        (lambda z: z > 123_456.789, [Interval(123_456.789, math.inf)]),
    ],
)
def test_regions_have_their_borders(holds, expected: list[Interval]) -> None:
    found = find_regions(holds, LINE)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.low == pytest.approx(other.low, abs=1e-9)
        assert one.high == pytest.approx(other.high, abs=1e-9)


@pytest.mark.parametrize(
    ("function", "value", "attained", "where"),
    [
        (lambda z: z, math.inf, False, []),
        (lambda z: -z, math.inf, False, []),
        (lambda z: z.abs().sqrt(), math.inf, False, []),
        (lambda z: 0 * z + 2, 2, True, [WHOLE]),
        (lambda z: -((z - 0.7771) ** 2), 0, True, [Interval(0.777, 0.777)]),
        (lambda z: z.clamp(max=1.5), 1.5, True, [Interval(1.5, math.inf)]),
        (lambda z: z.clamp(-1, 2) * (z < 4), 2, True, [Interval(2, 4)]),
        (lambda z: 1 - (z.abs() - 3).abs(), 1, True, [Interval(-3, -3), Interval(3, 3)]),
    ],
)
def test_the_largest_value_and_its_places(function, value, attained, where) -> None:
    highest = find_highest(function, LINE)
    assert highest.value == pytest.approx(value, abs=1e-9)
    assert highest.attained == attained
    assert list(highest.where) == where


@pytest.mark.parametrize(
    "function", [torch.tanh, torch.sigmoid, arctangent, lambda z: z / (1 + z.abs())]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_limit_is_approached_and_not_attained(function, sign: int) -> None:
    highest = find_highest(lambda z: function(sign * z), LINE)
    assert not highest.attained
    (side,) = highest.where
    assert math.isinf(side.high if sign > 0 else side.low)
    assert highest.value == pytest.approx(float(function(torch.tensor(FAR))), abs=1e-6)
