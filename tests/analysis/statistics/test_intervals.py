import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.statistics.intervals import correlation, paired, t_interval

numbers = st.floats(-1e3, 1e3).map(lambda number: round(number, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


def columns(rows: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [row[0] for row in rows], [row[1] for row in rows]


@given(pairs, st.sampled_from([0.8, 0.95, 0.99]))
def test_everything_paired_is_scipys(rows: list[tuple[float, float]], confidence: float) -> None:
    first, second = columns(rows)
    differences = np.subtract(first, second)
    assume(np.ptp(differences) > 0.1)
    assume(np.ptp(first) > 0.1)
    assume(np.ptp(second) > 0.1)
    found = paired(first, second, confidence=confidence)
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval(confidence)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx(
        (interval.low, interval.high), rel=1e-7, abs=1e-9
    )
    assert (found.welch.low, found.welch.high) == pytest.approx(
        (welch.low, welch.high), rel=1e-7, abs=1e-9
    )
    assert found.p == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-9)
    assert found.degrees == expected.df
    assert found.standard_error == pytest.approx(stats.sem(differences))
    assert found.correlation == pytest.approx(
        stats.pearsonr(first, second).statistic, rel=1e-7, abs=1e-9
    )


@given(pairs)
def test_exchanging_the_cells_turns_the_difference_around(rows: list[tuple[float, float]]) -> None:
    there, back = paired(*columns(rows)), paired(*columns(rows)[::-1])
    assert there.low is not None
    assert there.high is not None
    assert (back.mean, back.low, back.high) == (-there.mean, -there.high, -there.low)
    assert back.p == there.p
    assert back.correlation == there.correlation


def test_pairing_pays_where_cells_share_what_a_seed_brings() -> None:
    draw = np.random.default_rng(0)
    seeds = draw.normal(size=10)
    found = paired(seeds + 0.1 * draw.normal(size=10), seeds + 0.1 * draw.normal(size=10))
    assert found.correlation is not None
    assert found.correlation > 0.9
    assert found.welch.mean == pytest.approx(found.mean)
    assert found.high is not None
    assert found.welch.half_width is not None
    assert found.high - found.mean < found.welch.half_width / 3


def test_one_seed_has_a_mean_and_nothing_else() -> None:
    found = paired([2.0], [0.5])
    assert found.mean == found.welch.mean == 1.5
    missing = (found.low, found.high, found.standard_error, found.p, found.correlation)
    assert {*missing, found.welch.low, found.welch.high} == {None}
    with pytest.raises(ValueError, match="no values"):
        paired([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_cells_without_spread_have_intervals_of_no_width() -> None:
    found = paired([3.0, 3.0], [1.0, 1.0])
    assert (found.low, found.high, found.p, found.correlation) == (2, 2, 0, None)
    assert found.welch[:3] == (2, 2, 2)
    assert paired([1.0, 2.0], [1.0, 2.0]).p == 1


def test_a_perfect_correlation_is_not_beyond_1() -> None:
    values = [0.1, 0.2, 0.3, 0.7]
    assert correlation(values, values) == pytest.approx(1, abs=1e-15)
    assert correlation(values, [-value for value in values]) == pytest.approx(-1, abs=1e-15)
    assert abs(correlation(values, values) or 0) <= 1


def test_an_interval_of_lost_seeds_is_no_number() -> None:
    assert not math.isfinite(t_interval([1.0, math.nan]).mean)


def test_tables_need_no_statistics_package() -> None:
    lines = (
        "import sys, study.analysis.table",
        "from study.analysis.statistics import corrections, effects, intervals",
        "from study.analysis.statistics import sensitivity, verdicts",
        "assert not {'statsmodels', 'scipy', 'pandas', 'numpy', 'torch'} & set(sys.modules)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
