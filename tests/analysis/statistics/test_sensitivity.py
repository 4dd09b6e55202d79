import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.statistics.sensitivity import good_region

shares = st.floats(0, 1).map(lambda number: round(number, 2))
grids = st.dictionaries(st.sampled_from([0.001, 0.01, 0.1, 1.0, 10.0]), shares, min_size=1)


@given(grids, shares)
def test_the_good_region_holds_the_best_and_only_what_is_near_it(
    means: dict[float, float], within: float
) -> None:
    region = good_region(means, within)
    assert region is not None
    assert region.lowest <= region.best <= region.highest
    inside = [rate for rate in means if region.lowest <= rate <= region.highest]
    assert all(means[rate] <= min(means.values()) + within for rate in inside)
    beyond = [rate for rate in means if rate > region.highest]
    assert region.open_above == (not beyond)
    assert not beyond or means[min(beyond)] > means[region.best] + within
    assert region.decades == pytest.approx(math.log10(region.highest / region.lowest))
    wider = good_region(means, within + 0.1)
    assert wider is not None
    assert wider.decades >= region.decades


def test_a_region_stops_at_a_gap_and_knows_its_open_ends() -> None:
    means = {0.001: 0.02, 0.01: 0.5, 0.1: 0.01, 1.0: 0.015, 10.0: math.inf}
    region = good_region(means, 0.01)
    assert region is not None
    assert (region.best, region.lowest, region.highest) == (0.1, 0.1, 1.0)
    assert region.decades == pytest.approx(1)
    assert not region.open_below
    assert not region.open_above
    assert good_region({0.1: math.nan, 1.0: math.inf}, 0.1) is None
