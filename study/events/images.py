"""The pictures of a trained cell: filters, mistakes, confusion matrix, reconstructions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from study.data import Data
from study.events.confusion import confusion, draw_confusion
from study.events.curves import num_diverged
from study.events.mistakes import draw_mistakes
from study.events.pictures import as_image, beside, encoded, grid, scaled
from study.events.writer import CellWriter
from study.networks import build_network
from study.outputs.cell import first_filters
from study.outputs.results import ReplicaResult
from study.population.task import RECONSTRUCTION_LOSSES
from study.tasks import RECONSTRUCTION, task_of

NUM_RECONSTRUCTIONS = 16
FILTER_SIZE = 28
ABOUT_FILTERS = (
    "Weights into the first layer's units, of the first seed at the chosen learning rate after the "
    "last epoch, each on a scale of its own: grey is 0, lighter is positive."
)
ABOUT_MISTAKES = (
    "Of the first seed at the chosen learning rate, at its best epoch; evenly spaced among all "
    "mistakes, sorted by class and by prediction."
)
ABOUT_CONFUSION = (
    "Test images of all seeds at the chosen learning rate, at their best epochs; each row in "
    "percent of its class. Red grows with the square root of the share."
)
ABOUT_RECONSTRUCTIONS = (
    "Rows of test images, each above a row of what the first seed at the chosen learning rate "
    "makes of them after the last epoch."
)


def write_images(
    writer: CellWriter, chosen: Sequence[ReplicaResult], config: Mapping[str, Any], data: Data
) -> None:
    """Those that there is something to draw from: weights and predictions may not be kept."""
    filters = first_filters(chosen, data.input_shape)
    if len(filters):
        picture = _filters(filters)
        file = encoded(picture, photographs=picture.mode == "RGB")
        writer.image("weights/first-layer filters", *file, ABOUT_FILTERS)
    if task_of(config) == RECONSTRUCTION:
        _write_reconstructions(writer, chosen, config, data)
        return
    kept = [result for result in chosen if result.predictions is not None]
    if kept:
        _write_predictions(writer, kept, data)


def _filters(filters: Any) -> Image.Image:
    """One picture of filters, uint8 [n, C, H, W]."""
    shape = filters.shape[2:]
    if filters.shape[1] not in (1, 3):
        filters = filters.mean(axis=1, keepdims=True).round().astype(np.uint8)
    factor = max(1, FILTER_SIZE // max(shape))
    larger = filters.repeat(factor, axis=2).repeat(factor, axis=3)
    return as_image(grid(torch.from_numpy(larger)).numpy())


def _write_predictions(writer: CellWriter, kept: Sequence[ReplicaResult], data: Data) -> None:
    first = kept[0]
    predicted = [np.asarray(result.predictions, dtype=np.int64) for result in kept]
    title = f"seed {first.seed}, learning rate {first.lr:g}"
    mistakes = draw_mistakes(predicted[0], data, title)
    if mistakes is not None:
        file = encoded(mistakes, photographs=data.input_shape[0] == 3)
        writer.image("predictions/misclassified", *file, ABOUT_MISTAKES)
    labels = data.test.labels.cpu().numpy()
    counts = confusion(predicted, labels, data.num_classes)
    right = int(np.trace(counts))
    seeds = f"{len(kept)} seeds" if len(kept) > 1 else "1 seed"
    lost = num_diverged(kept)
    seeds += f" ({lost} diverged)" if lost else ""
    title = f"test error {100 * (1 - right / counts.sum()):.2f} %, {seeds}, rows in %"
    matrix = draw_confusion(counts, data.classes, title)
    writer.image("predictions/confusion matrix", *encoded(matrix), ABOUT_CONFUSION)


def _write_reconstructions(
    writer: CellWriter, chosen: Sequence[ReplicaResult], config: Mapping[str, Any], data: Data
) -> None:
    """Test images above their reconstructions, of the first replica with weights."""
    state = next((result.weights for result in chosen if result.weights), None)
    if state is None:
        return
    network = build_network(config, data.input_shape, len(state["output.weight"])).eval()
    network.load_state_dict(state)
    network.to(state["output.weight"].dtype)
    inputs = data.test.inputs[:NUM_RECONSTRUCTIONS].cpu().to(state["output.weight"].dtype)
    with torch.no_grad():
        shown = RECONSTRUCTION_LOSSES[config["loss"]].shown(network(inputs))
    page = beside(inputs, shown.view(inputs.shape))
    picture = scaled(as_image(page.numpy()), 2 * max(page.shape[1:]))
    file = encoded(picture, photographs=picture.mode == "RGB")
    writer.image("predictions/inputs above reconstructions", *file, ABOUT_RECONSTRUCTIONS)
