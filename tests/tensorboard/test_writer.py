"""TensorBoard's events of trained cells, read back with TensorBoard's own reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

import study.launch.cell
from study.outputs.series import read_curves
from tests import tiny

RATES = (0.01, 0.05)
CURVES = {"error/train": "train_error", "error/val": "val_error",
          "loss/train": "train_loss", "loss/val": "val_loss"}  # fmt: skip
OVERRIDES = ("seeds=2", "optimizer.lr=[0.01,0.05]", "trainer.max_epochs=3", "norm=batch",
             "probes=default")  # fmt: skip


@pytest.fixture(scope="module")
def cell(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study") / "cell"
    tiny.train_to(directory, root, *OVERRIDES)
    return directory


@pytest.fixture(scope="module")
def record(cell: Path) -> dict[str, Any]:
    return dict(json.loads((cell / "result.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def events(cell: Path) -> EventAccumulator:
    return read(cell)


def read(directory: Path) -> EventAccumulator:
    guidance = {"scalars": 0, "tensors": 0, "histograms": 0}
    return EventAccumulator(str(directory), size_guidance=guidance).Reload()


def test_the_chosen_curves_are_those_of_the_record(
    events: EventAccumulator, cell: Path, record: dict[str, Any]
) -> None:
    rows = [row for row in read_curves(cell) if row["lr"] == record["chosen_lr"]]
    for tag, column in CURVES.items():
        for event in events.Scalars(tag):
            values = [row[column] for row in rows if row["epoch"] == event.step]
            assert event.value == pytest.approx(sum(values) / 2, rel=1e-6)
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == ([1, 2, 3] if "train" in tag else [0, 1, 2, 3])


def test_each_learning_rate_has_its_curves(events: EventAccumulator) -> None:
    for lr in RATES:
        for tag in CURVES:
            shown = events.Scalars(f"learning rates/{tag.replace('/', ' ')} lr={lr}")
            assert [event.step for event in shown] == [1, 2, 3]


def test_margin_charts_hold_the_mean_between_the_seeds(events: EventAccumulator) -> None:
    (event,) = events.Tensors("custom_scalars__config__")
    page = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.closed for category in page.category] == [
        place > 0 for place in range(len(page.category))
    ]
    charts = page.category[0].chart
    assert len(charts) == len(CURVES)
    for chart in charts:
        (series,) = chart.margin.series
        triples = zip(
            *(events.Scalars(tag) for tag in (series.lower, series.value, series.upper)),
            strict=True,
        )
        assert all(low.value <= mean.value <= high.value for low, mean, high in triples)


def test_a_trained_cell_shows_its_inside(events: EventAccumulator) -> None:
    tags = events.Tags()
    for layer in (1, 2):
        assert f"layer {layer}/dead_fraction" in tags["scalars"]
        assert f"layer {layer}/gamma_mean" in tags["scalars"]
        assert f"samples of activations/layer {layer}" in tags["histograms"]
        assert f"samples of gradients/layer {layer}" in tags["histograms"]
    assert {"predictions/confusion matrix", "weights/first-layer filters"} <= set(tags["images"])
    assert {"configuration/factors", "configuration/yaml"} <= set(tags["tensors"])


def test_final_numbers_are_those_of_the_record(
    events: EventAccumulator, record: dict[str, Any]
) -> None:
    chosen = [r for r in record["replicas"] if r["lr"] == record["chosen_lr"]]
    for name in ("test_error", "val_error", "train_error", "test_loss"):
        mean = sum(replica[name] for replica in chosen) / len(chosen)
        (event,) = events.Scalars(f"results/{name}")
        assert event.value == pytest.approx(mean, rel=1e-6)


def test_a_cell_that_failed_and_is_trained_again_is_one_session(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("as asked")

    with monkeypatch.context() as patch:
        patch.setattr(study.launch.cell, "write_cell", fail)
        with pytest.raises(RuntimeError, match="as asked"):
            tiny.train_to(tmp_path / "study" / "cell", root)
    assert len(list((tmp_path / "study").glob("*/events.out*"))) == 2
    tiny.train_to(tmp_path / "study" / "cell", root)
    assert len(list((tmp_path / "study").glob("*/events.out*"))) == 2
    events = read(tmp_path / "study" / "cell")
    starts = [tag for tag in events.PluginTagToContent("hparams") if "session_start" in tag]
    assert len(starts) == 1


def test_replicas_have_curves_on_request(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "outputs.tensorboard=replicas", *OVERRIDES)
    events = read(directory)
    for row in read_curves(directory):
        if row["epoch"]:
            tag = f"replicas error/val/seed={row['seed']},lr={row['lr']}"
            shown = {event.step: event.value for event in events.Scalars(tag)}
            assert shown[row["epoch"]] == pytest.approx(row["val_error"], rel=1e-6)


def test_nothing_is_written_where_nothing_is_wanted(root: Path, tmp_path: Path) -> None:
    tiny.train_to(tmp_path / "study" / "cell", root, "outputs.tensorboard=none")
    assert not list((tmp_path / "study" / "cell").glob("events.out*"))


def test_curves_of_a_cell_in_parts_are_drawn_at_its_end(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "population.max_replicas=2", *OVERRIDES)
    shown = read(directory).Scalars("learning rates/error val lr=0.01")
    rows = [row for row in read_curves(directory) if row["lr"] == 0.01]
    assert [event.step for event in shown] == [1, 2, 3]
    for event in shown:
        values = [row["val_error"] for row in rows if row["epoch"] == event.step]
        assert event.value == pytest.approx(sum(values) / 2, rel=1e-6)
