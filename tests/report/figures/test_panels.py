"""Panels: their places, what their axes hold, and what is said of the rest."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from study.outputs.metrics import METRICS
from study.report.figures import panels
from study.report.figures.panels import ErrorAxis, style
from study.report.figures.shown import Point, error_point
from tests.figure_studies import drawn, make_full_study


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("full") / "study"
    make_full_study(directory, {"activation": ["relu", "tanh"], "norm": ["none", "batch"]})
    return directory


def test_finding_the_layout_alone_places_panels_as_drawing_does(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = figures_of(full, monkeypatch)
    assert len(kept) == 11
    # That of a colour bar is no law: it is narrower each time.
    for figure in (each for each in kept if not any(hasattr(a, "_colorbar") for a in each.axes)):
        before = [axes.get_position().bounds for axes in figure.axes]
        for axes in figure.axes:
            for part in (axes.xaxis, axes.yaxis, *axes.spines.values()):
                part.set_in_layout(True)
        figure.set_layout_engine("constrained")
        figure.draw_without_rendering()
        after = [axes.get_position().bounds for axes in figure.axes]
        # What was left out of the layout is ticks, and they are a few points long.
        assert np.array(before) == pytest.approx(np.array(after), abs=0.02)


def test_nothing_is_cut_by_the_figures_edge(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for figure in figures_of(full, monkeypatch):
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        # A text's box has room below its letters, which nothing is written in.
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02


def figures_of(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures of a study as matplotlib has them when they are written."""
    kept: list[Figure] = []

    def keep(figure: Figure, _name: str, kind: str) -> bytes:
        if kind == "png":
            kept.append(figure)
        return b""

    monkeypatch.setattr(panels, "_bytes", keep)
    drawn(directory)
    return kept


def drawn_on_error_axis(*curves: Iterable[float]) -> tuple[ErrorAxis, tuple[float, float]]:
    """The axis of these centres, and its limits."""
    axis = ErrorAxis.over(Point(center) for curve in curves for center in curve)
    axes = Figure().subplots()
    axis.set(axes)
    return axis, axes.get_ylim()


def test_one_exploded_net_does_not_flatten_the_others() -> None:
    for factor, words in ((1.0, ""), (1e9, "What is above 20 is not shown.")):
        axis, (_, high) = drawn_on_error_axis([2.0] * 39 + [2 * factor], np.geomspace(2, 0.1, 40))
        assert axis.words == words
        assert 2 <= high < 30


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60))
@example([1.0, 11.0])  # above the highest that is usual, and below the end of the axis
def test_what_is_above_an_axis_is_said(heights: list[float]) -> None:
    axis, (low, high) = drawn_on_error_axis(heights)
    assert low <= min(heights)
    assert bool(axis.words) == (max(heights) > high)


ERRORS = st.lists(
    st.integers(0, 10_000).map(lambda number: number / 10_000), min_size=2, max_size=5
)


@given(ERRORS, ERRORS)
@example([0.01, 0.01, 0.06], [0.9, 0.9, 0.9])  # a t interval from -5 to 10 %
def test_the_interval_of_an_error_stays_where_errors_can_be(
    first: list[float], second: list[float]
) -> None:
    error = METRICS["val_error"]
    points = [error_point(first, error), error_point(second, error)]
    axis = ErrorAxis.over(points)
    for each in points:
        shown = axis.shown(each, error)
        assert shown.center == each.center
        assert 0 <= shown.low <= shown.center <= shown.high <= 100
        assert shown.low > 0 or not axis.logarithmic, "it would fall to the frame"


def test_a_wide_interval_moves_no_axis() -> None:
    axes = Figure().subplots()
    panels.band(axes, [0, 1], [Point(1, -1e9, 1e9), Point(2, -1e9, 1e9)], style(0))
    assert axes.get_ylim()[1] < 3
