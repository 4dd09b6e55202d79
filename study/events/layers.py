"""Probes of the chosen learning rate: a scalar for each layer and moment, over updates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from study.events.curves import middle, num_diverged, over_seeds
from study.events.writer import CellWriter
from study.outputs.results import ReplicaResult
from study.probes.depth import depth_slope
from study.probes.names import PROBES, ROW, label_among

SLOPE = "gradient_slope"
SLOPE_TAG = f"layers/{SLOPE}"
ABOUT_SLOPE = (
    "Slope over depth of log10 of the variance of back-propagated gradients, in decades a layer, "
    "mean over seeds; over updates. Above 0 they vanish on their way back to the first layer, "
    "below 0 they explode."
)
Rows = Sequence[Mapping[str, Any]]


def write_layers(writer: CellWriter, chosen: Sequence[ReplicaResult]) -> None:
    """The mean over seeds of every probe of every layer, and the gradients' slope over depth.

    A value that is missing, or not finite, in one of the seeds is left out. Where replicas diverge
    it is the median, from the first update on.
    """
    moments = [at_steps(result.probes) for result in chosen if result.probes]
    lost = num_diverged(chosen)
    over = over_seeds(lost)
    about = {SLOPE_TAG: ABOUT_SLOPE.replace("mean over seeds", over)}
    for step in sorted(set().union(*moments)):
        seeds = [moment[step] for moment in moments if step in moment]
        lost_by_then = lost if step else 0
        values = {SLOPE_TAG: middle([slope(rows) for rows in seeds], lost_by_then)}
        for layer, rows in _by_layer(seeds).items():
            for name, probe in PROBES.items():
                numbers = [number(row.get(name)) for row in rows]
                tag = f"layer {layer}/{name}"
                values[tag] = middle(numbers, lost_by_then)
                label = label_among(name, ())
                about[tag] = f"{label}: {probe.help}. {over.capitalize()}; over updates."
        writer.scalars(step, values, about)


def at_steps(rows: Rows) -> dict[int, Rows]:
    """A replica's probes by moment, the moments and the layers in order."""
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["step"], row["layer"])):
        steps.setdefault(row["step"], []).append(row)
    return dict(steps)


def slope(rows: Rows) -> float:
    """The slope over depth of the gradients' variance, of one replica at one moment."""
    return depth_slope([number(row.get("gradient_variance")) for row in rows])


def number(value: Any) -> float:
    """A probe's value; NaN for one that was not measured."""
    return math.nan if value is None else float(value)


def measured(results: Iterable[ReplicaResult]) -> set[str]:
    """The probes that have a finite value anywhere."""
    rows = [row for result in results for row in result.probes]
    names = [name for name in PROBES if name not in ROW]
    return {name for name in names if any(math.isfinite(number(row.get(name))) for row in rows)}


def _by_layer(seeds: Sequence[Rows]) -> dict[int, Rows]:
    """The rows of each layer, one a seed."""
    layers: dict[int, list[Mapping[str, Any]]] = {}
    for rows in seeds:
        for row in rows:
            layers.setdefault(row["layer"], []).append(row)
    return dict(layers)
