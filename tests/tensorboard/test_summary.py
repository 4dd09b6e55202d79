"""What a cell writes for TensorBoard at its end, from results that were never trained."""

import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from study.config.configuration import Config
from study.data import Data
from study.outputs.metrics import PROBES, depth_slope
from study.outputs.results import TrainedReplica
from study.tensorboard.layers import SLOPE, SLOPE_TAG, histograms, moments
from study.tensorboard.layout import CATEGORIES, layout
from tests import fabricated, tiny
from tests.event_files import written


@pytest.fixture(scope="module")
def data() -> Data:
    return fabricated.data()


@pytest.fixture(scope="module")
def results(data: Data) -> list[TrainedReplica]:
    return fabricated.results(data)


@pytest.fixture(scope="module")
def events(
    results: list[TrainedReplica], data: Data, tmp_path_factory: pytest.TempPathFactory
) -> EventAccumulator:
    return written(tmp_path_factory.mktemp("study") / "cell", results, data)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("num_classes", [10, 100])
def test_a_cell_leaves_less_than_a_megabyte(
    tmp_path: Path, shape: tuple[int, int, int], num_classes: int
) -> None:
    """Noise is the worst case: no picture of it is smaller."""
    names = [f"class {number}" for number in range(num_classes)]
    noise = fabricated.data(shape=shape, classes=names, num_test=2000)
    results = fabricated.results(noise, seeds=3, num_layers=5, num_epochs=5)
    assert len(results) == 12
    written(tmp_path / "cell", results, noise)
    (path,) = (tmp_path / "cell").iterdir()
    assert path.stat().st_size < 1_000_000


def test_the_groups_are_few_and_the_first_is_the_error(events: EventAccumulator) -> None:
    groups = sorted({tag.partition("/")[0] for tag in events.Tags()["scalars"]})
    layers = [f"layer {layer}" for layer in range(1, 6)]
    last = ["layers", "learning rates", "loss", "range over seeds", "results"]
    assert groups == ["error", *layers, *last]


def test_probes_are_means_over_the_seeds_at_the_chosen_rate(
    events: EventAccumulator, results: list[TrainedReplica]
) -> None:
    chosen = [result for result in results if result.lr == fabricated.BEST]
    for name in PROBES:
        for event in events.Scalars(f"layer 3/{name}"):
            values = [
                row[name]
                for result in chosen
                for row in result.probes
                if (row["step"], row["layer"]) == (event.step, 3)
            ]
            assert event.value == pytest.approx(sum(values) / len(chosen), rel=1e-6)
    steps = {name: [e.step for e in events.Scalars(f"layer 1/{name}")] for name in PROBES}
    assert steps["dead_fraction"] == list(fabricated.STEPS)
    assert steps["effective_rank"] == [0, 395]
    assert steps["dead_fraction_train"] == [395]
    assert steps["update_ratio"] == list(fabricated.STEPS[1:])


def test_the_slope_over_depth_is_a_chart(
    events: EventAccumulator, results: list[TrainedReplica]
) -> None:
    chosen = [result for result in results if result.lr == fabricated.BEST]
    for event in events.Scalars(SLOPE_TAG):
        slopes = [
            depth_slope([r["gradient_variance"] for r in each.probes if r["step"] == event.step])
            for each in chosen
        ]
        assert event.value == pytest.approx(sum(slopes) / len(slopes), rel=1e-5)
    assert len(events.Scalars(SLOPE_TAG)) == len(fabricated.STEPS)


def test_charts_say_what_they_show(events: EventAccumulator) -> None:
    for name, probe in PROBES.items():
        assert probe.help in events.SummaryMetadata(f"layer 2/{name}").summary_description
    assert "mean over seeds" in events.SummaryMetadata("error/val").summary_description


def test_every_probe_has_one_chart_with_all_layers(events: EventAccumulator) -> None:
    names = [name for category in CATEGORIES.values() for name in category]
    assert sorted(names) == sorted([*PROBES, SLOPE])
    page = layout_pb2.Layout.FromString(layout(PROBES))
    patterns = [
        pattern
        for category in page.category
        for chart in category.chart
        for pattern in chart.multiline.tag
    ]
    tags = events.Tags()["scalars"]
    for name in PROBES:
        (matching,) = [
            found
            for pattern in patterns
            if f"layer 1/{name}" in (found := [tag for tag in tags if re.match(pattern, tag)])
        ]
        assert sorted(matching) == [f"layer {layer}/{name}" for layer in range(1, 6)]


def test_layouts_differ_in_whole_categories_at_most() -> None:
    """TensorBoard merges those of all runs, and shows what differs twice."""

    def categories(measured: set[str]) -> dict[str, bytes]:
        page = layout_pb2.Layout.FromString(layout(measured))
        return {category.title: category.SerializeToString() for category in page.category}

    everything, some = categories(set(PROBES)), categories({"dead_fraction", "weight_norm"})
    assert set(some) < set(everything)
    assert some == {title: everything[title] for title in some}
    assert set(categories(set())) == set(some) - {"units", "weights"}


def test_histograms_of_one_network_at_three_moments(
    events: EventAccumulator, results: list[TrainedReplica]
) -> None:
    tags = events.Tags()["histograms"]
    assert len(tags) == 10
    first = next(result for result in results if result.lr == fabricated.BEST)
    for place, step in enumerate((0, 17, 395)):
        event = events.Histograms("samples of gradients/layer 4")[place]
        values = first.samples[step, 4, "gradient"]
        assert event.step == place
        assert sum(event.histogram_value.bucket) == len(values)
        assert event.histogram_value.min <= values.min()
        assert event.histogram_value.max >= values.max()
    about = events.SummaryMetadata("samples of gradients/layer 4").summary_description
    assert "1: after 17 updates" in about


def test_bins_hold_every_finite_value() -> None:
    first, second = np.array([0, 1, 2, np.nan, np.inf]), np.array([-1, 1])
    found = histograms([values.astype(np.float32) for values in (first, second)])
    assert [(edges[0], edges[-1]) for edges, _ in found.values()] == [(-1, 2), (-1, 2)]
    assert [sum(counts) for _, counts in found.values()] == [3, 2]
    constant = histograms([np.full(7, 3.0, dtype=np.float32)])[0]
    assert sum(constant[1]) == 7
    nothing = np.full(2, np.nan, dtype=np.float32)
    assert list(histograms([nothing, second.astype(np.float32)])) == [1]
    assert histograms([nothing]) == {}
    assert (moments([]), moments([5]), moments([1, 2, 3, 4])) == ([], [5], [1, 3, 4])


def test_pictures_and_texts(events: EventAccumulator) -> None:
    assert sorted(events.Tags()["images"]) == [
        "predictions/confusion matrix",
        "predictions/misclassified",
        "weights/first-layer filters",
    ]
    (event,) = events.Tensors("configuration/yaml")
    assert "```yaml\n" in event.tensor_proto.string_val[0].decode()
    (event,) = events.Tensors("configuration/factors")
    table = event.tensor_proto.string_val[0].decode()
    assert "| activation | relu |" in table
    assert f"| learning rate | {fabricated.BEST} |" in table


def test_copied_replicas_lack_what_no_record_keeps(
    tmp_path: Path, results: list[TrainedReplica], data: Data
) -> None:
    copied = [fabricated.without(result) for result in results]
    tags = written(tmp_path / "copied", copied, data).Tags()
    assert (tags["images"], tags["histograms"]) == ([], [])
    assert "layer 1/dead_fraction" in tags["scalars"]
    bare = [fabricated.without(result, probes=[]) for result in results]
    tags = written(tmp_path / "bare", bare, data).Tags()
    assert not [tag for tag in tags["scalars"] if tag.startswith("layer")]
    assert {"error/val", "results/test_error"} <= set(tags["scalars"])
    mixed = [r if r.seed == 1 else fabricated.without(r, probes=[]) for r in results]
    events = written(tmp_path / "mixed", mixed, data)
    (own,) = [r for r in mixed if r.seed == 1 and r.lr == fabricated.BEST]
    first = events.Scalars("layer 1/weight_norm")[0]
    assert first.value == pytest.approx(own.probes[0]["weight_norm"], rel=1e-6)


def test_what_is_not_finite_is_left_out(
    tmp_path: Path, results: list[TrainedReplica], data: Data
) -> None:
    changed = []
    for result in results:
        curve = [row | {"val_loss": math.inf if row["epoch"] > 2 else 1.0} for row in result.curve]
        probes = [row | {"weight_norm": math.inf if result.seed else 1.0} for row in result.probes]
        entry = replace(result.entry, test_loss=None)
        lost = replace(result, predictions=result.predictions * 0 - 1)
        changed.append(replace(lost, curve=curve, probes=probes, entry=entry))
    events = written(tmp_path / "cell", changed, data)
    assert [event.step for event in events.Scalars("loss/val")] == [0, 1, 2]
    tags = events.Tags()
    assert "layer 1/weight_norm" not in tags["scalars"]
    assert "results/test_loss" not in tags["scalars"]
    assert "predictions/misclassified" in tags["images"]


def test_where_a_replica_diverged_medians_are_written_and_it_is_said(
    tmp_path: Path, results: list[TrainedReplica], data: Data
) -> None:
    changed = [
        replace(r, entry=replace(r.entry, status="diverged", test_error=0.902, test_loss=None))
        if (r.seed, r.lr) == (0, fabricated.BEST)
        else r
        for r in results
    ]
    events = written(tmp_path / "cell", changed, data)
    chosen = [r for r in changed if r.lr == fabricated.BEST]
    (error,) = events.Scalars("results/test_error")
    assert error.value == pytest.approx(median(r.entry.test_error or 0.0 for r in chosen))
    assert error.value < 0.2
    for tag, name in (("error/val", "val_error"), ("loss/train", "train_loss")):
        for event in events.Scalars(tag)[1:]:
            rows = [r.curve[event.step][name] for r in chosen]
            assert event.value == pytest.approx(median(rows), rel=1e-6)
        assert "median over seeds (1 diverged)" in events.SummaryMetadata(tag).summary_description
    for event in events.Scalars("layer 2/weight_norm"):
        rows = [
            row["weight_norm"]
            for r in chosen
            for row in r.probes
            if (row["step"], row["layer"]) == (event.step, 2)
        ]
        expected = median(rows) if event.step else sum(rows) / 3
        assert event.value == pytest.approx(expected, rel=1e-6)
    (text,) = events.Tensors("configuration/factors")
    assert "| diverged | 1 of 3" in text.tensor_proto.string_val[0].decode()


def test_nothing_misclassified_is_no_picture(
    tmp_path: Path, results: list[TrainedReplica], data: Data
) -> None:
    right = [replace(result, predictions=data.test.labels.numpy()) for result in results]
    assert "predictions/misclassified" not in written(tmp_path / "a", right, data).Tags()["images"]


def test_an_autoencoder_shows_what_it_makes_of_images(tmp_path: Path) -> None:
    config = tiny.config("loss=squared_error", "model.widths=[8]", "model.code=4",
                         model="autoencoder")  # fmt: skip
    noise = fabricated.data(shape=(1, 8, 8))
    state = _state_of(config, noise)
    results = [
        replace(result, weights=state, predictions=result.predictions * 0 - 1)
        for result in fabricated.results(noise)
    ]
    events = written(tmp_path / "cell", results, noise, config)
    assert sorted(events.Tags()["images"]) == [
        "predictions/inputs above reconstructions",
        "weights/first-layer filters",
    ]


def _state_of(config: Config, data: Data) -> dict[str, Any]:
    from study.networks import build_network

    size = data.test.inputs[0].numel()
    return dict(build_network(config.network, data.input_shape, size).state_dict())
