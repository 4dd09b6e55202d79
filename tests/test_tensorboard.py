"""TensorBoard: one run per cell, read back with TensorBoard's own reader."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from study.outputs.cell import read_curves

RATES = (0.01, 0.05)
OVERRIDES = ("seeds=2", "optimizer.lr=[0.01,0.05]", "trainer.max_epochs=3", "norm=batch")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("images"))


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
    accumulator = EventAccumulator(str(cell), size_guidance={"scalars": 0, "tensors": 0})
    return accumulator.Reload()


def test_tensorboard_has_one_run_with_the_chosen_curves(
    events: EventAccumulator, cell: Path, record: dict[str, Any]
) -> None:
    rows = [row for row in read_curves(cell) if row["lr"] == record["chosen_lr"]]
    columns = {"error/train": "train_error", "error/val": "val_error",
               "loss/train": "train_loss", "loss/val": "val_loss"}  # fmt: skip
    for tag, column in columns.items():
        for event in events.Scalars(tag):
            values = [row[column] for row in rows if row["epoch"] == event.step]
            assert event.value == pytest.approx(sum(values) / 2, rel=1e-6)
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == ([1, 2, 3] if "train" in tag else [0, 1, 2, 3])


def test_tensorboard_shows_each_learning_rate(events: EventAccumulator) -> None:
    tags = events.Tags()["scalars"]
    for lr in RATES:
        name = f"learning rates/loss train lr={lr}"
        assert name in tags
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3]


def test_tensorboard_has_a_margin_chart_over_the_seeds(events: EventAccumulator) -> None:
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = [chart for category in layout.category for chart in category.chart]
    assert {chart.title for chart in charts} == {"error/train", "error/val", "loss/train",
                                                 "loss/val"}  # fmt: skip
    for chart in charts:
        (series,) = chart.margin.series
        triples = zip(
            *(events.Scalars(tag) for tag in (series.lower, series.value, series.upper)),
            strict=True,
        )
        assert all(low.value <= mean.value <= high.value for low, mean, high in triples)


def test_tensorboard_has_one_hparams_session(
    events: EventAccumulator, record: dict[str, Any]
) -> None:
    summaries = {
        tag.rpartition("/")[2]: plugin_data_pb2.HParamsPluginData.FromString(content)
        for tag, content in events.PluginTagToContent("hparams").items()
    }
    assert set(summaries) == {"experiment", "session_start_info", "session_end_info"}
    hparams = summaries["session_start_info"].session_start_info.hparams
    assert hparams["activation"].string_value == "relu"
    assert hparams["chosen lr"].number_value == record["chosen_lr"]
    metrics = {info.name.tag for info in summaries["experiment"].experiment.metric_infos}
    assert "final/test_error" in metrics
    assert metrics <= set(events.Tags()["scalars"])
    assert "hp_metric" not in events.Tags()["scalars"]
    chosen = [r for r in record["replicas"] if r["lr"] == record["chosen_lr"]]
    mean = sum(replica["test_error"] for replica in chosen) / len(chosen)
    assert events.Scalars("final/test_error")[-1].value == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("choice", ["replicas", "none"])
def test_tensorboard_on_request_and_off(root: Path, tmp_path: Path, choice: str) -> None:
    overrides = (f"outputs.tensorboard={choice}", "seeds=2", "trainer.max_epochs=1")
    tiny.train_to(tmp_path / "study" / "cell", root, *overrides)
    found = list((tmp_path / "study" / "cell").glob("events.out*"))
    assert len(found) == (choice == "replicas")
    if choice == "replicas":
        tags = EventAccumulator(str(found[0])).Reload().Tags()["scalars"]
        assert {"replicas error/val/seed=0,lr=0.05", "replicas error/val/seed=1,lr=0.05"} <= set(
            tags
        )
