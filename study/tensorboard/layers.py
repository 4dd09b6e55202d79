"""Each layer at the chosen learning rate: probes over updates, histograms at a few moments."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from study.outputs.metrics import PROBES, ROW, depth_slope, label_among
from study.outputs.results import TrainedReplica
from study.outputs.schema import Row
from study.tensorboard.curves import middle, num_diverged, over_seeds
from study.tensorboard.writer import Bins, CellWriter

SLOPE = "gradient_slope"
SLOPE_TAG = f"layers/{SLOPE}"
ABOUT_SLOPE = (
    "Slope over depth of log10 of the variance of back-propagated gradients, in decades a layer, "
    "mean over seeds; over updates. Above 0 they vanish on their way back to the first layer, "
    "below 0 they explode."
)
NUM_BINS = 30
SAMPLES = {"activation": "samples of activations", "gradient": "samples of gradients"}
ABOUT_SAMPLES = {
    "activation": "Outputs of the activation function on the probe batch",
    "gradient": "Each example's loss, on the probe batch, differentiated by pre-activations",
}


def write_layers(writer: CellWriter, chosen: Sequence[TrainedReplica]) -> None:
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
        layers: dict[int, list[Row]] = {}
        for rows in seeds:
            for row in rows:
                layers.setdefault(row["layer"], []).append(row)
        for layer, of_seeds in layers.items():
            for name, probe in PROBES.items():
                numbers = [number(row.get(name)) for row in of_seeds]
                tag = f"layer {layer}/{name}"
                values[tag] = middle(numbers, lost_by_then)
                label = label_among(name, ())
                about[tag] = f"{label}: {probe.help}. {over.capitalize()}; over updates."
        writer.scalars(step, values, about)


def at_steps(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """A replica's probes by moment, the moments and the layers in order."""
    steps: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["step"], row["layer"])):
        steps.setdefault(row["step"], []).append(row)
    return steps


def slope(rows: Iterable[Row]) -> float:
    """The slope over depth of the gradients' variance, of one replica at one moment."""
    return depth_slope([number(row.get("gradient_variance")) for row in rows])


def number(value: float | None) -> float:
    """A probe's value; NaN for one that was not measured."""
    return math.nan if value is None else float(value)


def measured(results: Iterable[TrainedReplica]) -> set[str]:
    """The probes that have a finite value anywhere."""
    rows = [row for result in results for row in result.probes]
    names = [name for name in PROBES if name not in ROW]
    return {name for name in names if any(math.isfinite(number(row.get(name))) for row in rows)}


# Histograms of activations and gradients: of one network, at its start, midway and at its end.


def write_histograms(writer: CellWriter, chosen: Sequence[TrainedReplica]) -> None:
    """The samples of the first replica that has some, at three moments at most.

    The moments are numbered from 0: drawn by their updates, the early ones would lie on each other.
    """
    first = next((result for result in chosen if result.samples), None)
    if first is None:
        return
    steps = moments(sorted({step for step, _, _ in first.samples}))
    when = ", ".join(f"{place}: after {step:,} updates" for place, step in enumerate(steps))
    of = f"first seed ({first.seed}) at the chosen learning rate"
    for layer, kind in sorted({(layer, kind) for _, layer, kind in first.samples}):
        about = f"{ABOUT_SAMPLES[kind]}, of the {of}. {when}."
        rows = histograms([first.samples[step, layer, kind] for step in steps])
        for place, bins in rows.items():
            writer.histograms(place, {f"{SAMPLES[kind]}/layer {layer}": bins}, about)


def moments(steps: Sequence[int]) -> list[int]:
    """The first, the middle and the last of sorted steps."""
    return sorted({steps[0], steps[len(steps) // 2], steps[-1]}) if steps else []


def histograms(samples: Sequence[NDArray[np.float32]]) -> dict[int, Bins]:
    """The edges of NUM_BINS bins and their counts, for each of the samples, by its place.

    The bins are of equal width, and the same for all samples, as one chart shows them. What is not
    finite is left out, and so are samples without a finite value.
    """
    finite = [values[np.isfinite(values)].astype(np.float64) for values in samples]
    finite_at = {place: values for place, values in enumerate(finite) if values.size}
    if not finite_at:
        return {}
    low = min(float(values.min()) for values in finite_at.values())
    high = max(float(values.max()) for values in finite_at.values())
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, NUM_BINS + 1).tolist()
    bins: dict[int, Bins] = {}
    for place, values in finite_at.items():
        places = ((values - low) * (NUM_BINS / (high - low))).astype(np.int64)
        counts = np.bincount(np.minimum(places, NUM_BINS - 1), minlength=NUM_BINS)
        bins[place] = (edges, [float(count) for count in counts])
    return bins
