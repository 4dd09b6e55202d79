"""Activations and their slopes, drawn: a small panel each, all on the same axes."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from study.networks import Arguments, Maxout, make_activation
from study.probes.slopes import slope_of
from study.report.figures.style import styled
from study.theory.activations.facts import Checklist, Facts

COLUMNS = 4
WIDTH = 7.0
EDGE = 10.0
"""Panels show -EDGE to EDGE: softsign, the slowest of the levels, saturates at 9."""

BOTTOM, TOP = -2.2, 3.2

BESIDE = 1e-9
"""How far from a kink both sides are drawn."""

_SHADE: dict[str, Any] = {
    "facecolor": "#E4E4E4",
    "edgecolor": "none",
    "label": "off or saturated: |f'| below 1 % of its largest value",
}


def draw(levels: Mapping[str, Arguments], sheet: Mapping[str, Checklist]) -> Figure:
    """A panel for every level, with f and f'; it is shaded where the activation saturates.

    Maxout is drawn as a function of one of its linear pieces, with the others at 0: as a ReLU.
    """
    columns = min(COLUMNS, len(levels))
    rows = math.ceil(len(levels) / columns)
    with styled():
        figure = Figure(figsize=(WIDTH, 1.35 * rows + 0.7))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for (name, config), axes in zip(levels.items(), panels, strict=False):
            _fill(axes, config, sheet[name].facts or Facts())
            axes.set_title(f"{name}, one piece" if config["name"] == "maxout" else name)
        for axes in panels[len(levels) :]:
            axes.remove()
        for axes in panels[: len(levels)][-columns:]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("pre-activation z")
        for axes in grid[:, 0]:
            axes.set_ylabel("f(z), f'(z)")
        handles = [*panels[0].lines, Patch(**_SHADE)]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _fill(axes: Axes, config: Arguments, facts: Facts) -> None:
    module = make_activation(config)
    if isinstance(module, Maxout):
        module = make_activation("relu" if module.pieces > 1 else "identity")
    module = module.double()
    kinks = [kink.place for kink in facts.kinks]
    sides = [place + side for place in (*kinks, *facts.jumps) for side in (-BESIDE, 0, BESIDE)]
    even = torch.arange(-10 * EDGE, 10 * EDGE + 1, dtype=torch.float64) / 10
    z = torch.cat([even, torch.tensor(sides, dtype=torch.float64)]).round(decimals=12).unique()
    slopes = slope_of(module, z)
    for place in kinks:  # A gap, so that no stroke joins its two sides.
        slopes[(z - place).abs() < BESIDE / 2] = math.nan
    for low, high in facts.saturated:
        axes.axvspan(max(low, -EDGE), min(high, EDGE), zorder=0, **_SHADE)
    with torch.no_grad():
        axes.plot(z.tolist(), module(z).tolist(), zorder=3, color="C0", label="f(z)")
    dashes = (0, (3, 1.2))
    axes.plot(z.tolist(), slopes.tolist(), zorder=4, color="C1", linestyle=dashes, label="f'(z)")
    axes.set(xlim=(-EDGE, EDGE), ylim=(BOTTOM, TOP), xticks=(-8, -4, 0, 4, 8), yticks=range(-2, 4))
