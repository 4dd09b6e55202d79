import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.statistics.intervals import t_interval
from study.analysis.statistics.sensitivity import common_rates, good_region, learning_rate_curve

shares = st.floats(0, 1).map(lambda number: round(number, 2))
grids = st.dictionaries(st.sampled_from([0.001, 0.01, 0.1, 1.0, 10.0]), shares, min_size=1)


def test_a_curve_has_a_t_interval_at_each_rate_and_none_where_a_seed_is_lost() -> None:
    curve = learning_rate_curve({1.0: [0.9, math.nan, 0.5], 0.1: [0.1, 0.2, 0.4]})
    assert [point.lr for point in curve] == [0.1, 1.0]
    assert curve[0][1:4] == t_interval([0.1, 0.2, 0.4])[:3]
    assert curve[0].median == 0.2
    assert curve[1][1:] == (None, None, None, 0.9, 3)


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


def test_one_rate_for_everybody_can_turn_the_ranking_around() -> None:
    chosen = {"relu": 0.01, "tanh": 0.02, "sigmoid": 0.03}
    at = {
        0.1: {"relu": 0.01, "tanh": 0.05, "sigmoid": 0.09},
        1.0: {"relu": math.inf, "tanh": 0.02, "sigmoid": 0.015},
        10.0: {"relu": 0.9, "tanh": 0.9},
    }
    low, high = common_rates(chosen, at)
    assert (low.lr, low.order, low.tau, low.same_first) == (0.1, tuple(chosen), 1, True)
    assert low.mean == pytest.approx(0.05)
    assert high.order == ("sigmoid", "tanh", "relu")
    assert (high.tau, high.mean, high.same_first) == (-1, math.inf, False)


def test_tau_is_scipys_and_there_is_none_among_ties() -> None:
    chosen = {"a": 0.1, "b": 0.2, "c": 0.2, "d": 0.4}
    now = {"a": 0.3, "b": 0.1, "c": 0.2, "d": 0.4}
    (found,) = common_rates(chosen, {0.1: now})
    expected = stats.kendalltau(list(chosen.values()), list(now.values())).statistic
    assert found.tau == pytest.approx(expected)
    (tied,) = common_rates(chosen, {0.1: dict.fromkeys("abcd", 0.9)})
    assert tied.tau is None
    assert tied.same_first
    assert common_rates({}, {0.1: {}}) == []
