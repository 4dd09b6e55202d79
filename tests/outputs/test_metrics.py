"""The table of metrics: light, and the slope over depth as numpy's least squares have it."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.outputs.metrics import depth_slope

ODD = [0.0, -1.0, math.inf, -math.inf, math.nan]
positive = st.floats(1e-30, 1e30)


@given(st.lists(positive | st.sampled_from(ODD), min_size=0, max_size=12))
def test_slope_is_that_of_a_line_fitted_to_what_is_positive_and_finite(values):
    kept = [(depth, value) for depth, value in enumerate(values) if 0 < value < math.inf]
    slope = depth_slope(values)
    if len(kept) < 2:
        assert math.isnan(slope)
        return
    depths, logs = np.array([(depth, math.log10(value)) for depth, value in kept]).T
    assert slope == pytest.approx(np.polyfit(depths, logs, 1)[0], abs=1e-9)


@given(positive, st.floats(-3, 3), st.integers(2, 20))
def test_geometric_decay_is_found(first, decades, num_layers):
    values = [first * 10 ** (decades * layer / num_layers) for layer in range(num_layers)]
    assert depth_slope(values) == pytest.approx(decades / num_layers, abs=1e-9)
    assert depth_slope(values[::-1]) == pytest.approx(-decades / num_layers, abs=1e-9)


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, study.outputs.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
