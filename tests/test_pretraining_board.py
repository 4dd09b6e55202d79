"""TensorBoard's page of a pretraining."""

from pathlib import Path

import tiny
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from study.pretraining.board import beside, grid


def test_images_stand_in_rows_with_a_line_between() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 3)
    page = grid(images)
    assert page.shape == (1, 2 * 3, 8 * 4)
    assert page[0, 0, ::4].tolist() == list(range(8))
    assert page[0, 3, :5].tolist() == [8, 8, 8, 255, 9]


def test_reconstructions_stand_below_their_inputs_on_one_scale() -> None:
    inputs = torch.linspace(-1, 1, 8).view(8, 1, 1, 1)
    page = beside(inputs, 2 * inputs)[0]
    above, below = page[0, ::2].int(), page[2, ::2].int()
    assert [int(above[0]), int(above[-1])] == [0, 255]
    assert (below - (2 * above - 127.5).clamp(0, 255)).abs().max() <= 1


def test_a_pretraining_writes_its_monitors_and_images(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    for kind, monitors in (
        ("autoencoder", {"loss", "reconstruction error train", "reconstruction error val"}),
        ("rbm", {"loss", "free energy val", "free energy gap", "pseudo likelihood train"}),
    ):
        own = (f"pretraining={kind}", "pretraining.epochs=2", "pretraining.batch_size=16")
        unit = ("activation=sigmoid", "data.normalize=unit")
        tiny.train_to(tmp_path / kind / "cell", root, *own, *unit)
        (directory,) = (tmp_path / kind / "pretraining").glob("*/seeds=0")
        events = EventAccumulator(str(directory))
        events.Reload()
        tags = events.Tags()
        assert {f"pretraining layer 2/{name}" for name in monitors} <= set(tags["scalars"])
        assert [event.step for event in events.Scalars("pretraining layer 1/loss")] == [1, 2]
        assert sorted(tags["images"]) == [
            "pretraining/first-layer filters",
            "pretraining/inputs above their reconstructions",
        ]
