"""A point of a figure: the statistics of the tables, or the same of logarithms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.statistics.intervals import t_interval
from study.report.figures.filters import mosaic
from study.report.figures.shares import over_layers
from study.report.figures.shown import point

NUMBERS = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=8)


@given(NUMBERS)
def test_it_is_the_interval_of_the_tables(values: list[float]) -> None:
    found, known = point(values), t_interval(values)
    assert (found.center, found.low, found.high) == (known.mean, known.low, known.high)


@given(NUMBERS)
def test_of_logarithms_it_is_between_positive_bounds(values: list[float]) -> None:
    found = point(values, decades=True)
    geometric = math.exp(math.fsum(map(math.log, values)) / len(values))
    assert found.center == pytest.approx(geometric)
    assert 0 < found.low <= found.center * (1 + 1e-9)
    assert found.high >= found.center * (1 - 1e-9)


@given(NUMBERS, st.floats(1e-3, 1e3))
def test_a_unit_scales_it(values: list[float], scale: float) -> None:
    scaled, found = point([scale * value for value in values]), point(values)
    assert scaled.center == pytest.approx(found.scaled(scale).center)
    assert scaled.high == pytest.approx(found.scaled(scale).high)


def test_one_seed_has_no_interval() -> None:
    found = point([0.5])
    assert found.center == 0.5
    assert math.isnan(found.low)


def test_lost_replicas_leave_a_median_without_interval() -> None:
    for found in (point([1.0, 2.0, math.nan]), point([1.0, 2.0, 90.0], lost=True)):
        assert found.center == 2.0
        assert math.isnan(found.low)
    assert math.isnan(point([1.0, math.nan, math.inf]).center)


def test_nothing_and_zero_on_a_logarithmic_axis_leave_no_point() -> None:
    assert math.isnan(point([]).center)
    assert math.isnan(point([0.0, 1.0], decades=True).center)


def test_the_mean_over_layers_is_seed_by_seed() -> None:
    layers = [{0.0: {0: 0.1, 1: 0.2}}, {0.0: {0: 0.3, 1: 0.6}}]
    assert over_layers(layers) == {0.0: {0: pytest.approx(0.2), 1: pytest.approx(0.4)}}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("number", [1, 2, 5, 25])
def test_a_mosaic_holds_every_filter(number: int, channels: int) -> None:
    filters = np.full((number, channels, 4, 4), 7, dtype=np.uint8)
    image = mosaic(filters)
    assert image.shape[2:] == ((3,) if channels == 3 else ())
    shown = image[..., 0] if channels == 3 else image
    assert (shown == 7).sum() == number * 16
