"""The figure of the activations: a panel each, shaded where it saturates, broken at kinks."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from study.theory.activations.command import chosen_levels
from study.theory.activations.facts import check
from study.theory.activations.figure import EDGE, draw


def panels(names: list[str]) -> list[Axes]:
    chosen = chosen_levels(names)
    figure = draw(chosen, {name: check(config) for name, config in chosen.items()})
    figure.draw_without_rendering()
    return figure.axes


def shaded(axes: Axes) -> list[tuple[float, float]]:
    spans = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(round(span.get_x(), 6), round(span.get_x() + span.get_width(), 6)) for span in spans]


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_panel_for_each(count: int) -> None:
    names = ["relu", "tanh", "maxout", "prelu", "elu alpha=2", "gelu"][:count]
    axes = panels(names)
    assert [each.get_title().removesuffix(", one piece") for each in axes] == names
    labelled = [each for each in axes if each.get_xlabel()]
    assert len(labelled) == min(count, 4)


def test_shading_is_where_it_saturates() -> None:
    relu, prelu, softsign = panels(["relu", "prelu", "softsign"])
    assert shaded(relu) == [(-EDGE, 0)]
    assert shaded(prelu) == []
    assert shaded(softsign) == [(-EDGE, -9), (9, EDGE)]


def test_a_slope_has_a_gap_at_a_kink_and_the_function_none() -> None:
    relu, tanh = panels(["relu", "tanh"])
    for axes, gaps in ((relu, 1), (tanh, 0)):
        function, slope = (np.isnan(line.get_ydata()).sum() for line in axes.lines)
        assert (function, slope) == (0, gaps)
