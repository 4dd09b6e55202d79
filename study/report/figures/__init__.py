"""The figures of a report: what they show is chosen so that they stay readable, and said so."""

from collections.abc import Callable
from dataclasses import replace

from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.report.figures import (
    curves,
    depth,
    filters,
    heat_map,
    percentiles,
    preflight,
    rates,
    shares,
)
from study.report.figures.shown import Shown

FIGURES: dict[str, Callable[[Shown], list[Drawn]]] = {
    "heat map": heat_map.draw,
    "learning curves": curves.draw,
    "learning rates": rates.draw,
    "variance by depth": depth.draw,
    "predicted variance": preflight.draw,
    "dead, off and saturated units": shares.draw,
    "pre-activation percentiles": percentiles.draw,
    "filters": filters.draw,
}
"""By kind what draws its figures; a kind that a study has no data for draws none."""


def figures(frames: Frames) -> list[Drawn]:
    """Every figure that a study has the data for, in the order of the registry."""
    shown = Shown(frames)
    every = [drawn for draw in FIGURES.values() for drawn in draw(shown)]
    if not shown.left_out:
        return every
    return [replace(drawn, caption=f"{drawn.caption} {shown.left_out}") for drawn in every]
