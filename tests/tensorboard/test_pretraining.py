"""TensorBoard's page of a pretraining."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import tiny


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
