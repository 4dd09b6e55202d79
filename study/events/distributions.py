"""Histograms of activations and gradients: of one network, at its start, midway and at its end."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from study.events.writer import Bins, CellWriter
from study.outputs.results import ReplicaResult

NUM_BINS = 30
TAGS = {"activation": "samples of activations", "gradient": "samples of gradients"}
ABOUT = {
    "activation": "Outputs of the activation function on the probe batch",
    "gradient": "Each example's loss, on the probe batch, differentiated by pre-activations",
}


def write_histograms(writer: CellWriter, chosen: Sequence[ReplicaResult]) -> None:
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
        about = f"{ABOUT[kind]}, of the {of}. {when}."
        rows = histograms([first.samples[step, layer, kind] for step in steps])
        for place, bins in rows.items():
            writer.histograms(place, {f"{TAGS[kind]}/layer {layer}": bins}, about)


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
    return {place: (edges, _counts(values, low, high)) for place, values in finite_at.items()}


def _counts(values: NDArray[np.float64], low: float, high: float) -> list[float]:
    places = ((values - low) * (NUM_BINS / (high - low))).astype(np.int64)
    counts = np.bincount(np.minimum(places, NUM_BINS - 1), minlength=NUM_BINS)
    return [float(count) for count in counts]
