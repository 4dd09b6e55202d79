"""The page `Custom Scalars`: which curves stand in one chart."""

from collections.abc import Collection, Mapping
from typing import get_args

from tensorboard.plugins.custom_scalar import layout_pb2

from study.outputs.metrics import PROBES, PROJECTS, Chart, label_among
from study.tensorboard.curves import RATES, band
from study.tensorboard.layers import SLOPE, SLOPE_TAG

ORDER = ("error/val", "error/train", "loss/val", "loss/train")
SEEDS = "error and loss, with their range over seeds"
CATEGORIES = {
    chart: [name for name, probe in PROJECTS.items() if probe.chart == chart]
    for chart in get_args(Chart)
    if chart
}
"""The probes, each in one chart with all layers, by category."""
CATEGORIES["gradients"].insert(0, SLOPE)
NUM_OPEN = 1
"""TensorBoard asks for each chart and run at once: with 100 cells the whole page takes a minute."""
_SPLITS = {"train": "training", "val": "validation"}


def layout(measured: Collection[str]) -> bytes:
    """The page's layout, serialized, of the categories that have a probe in `measured`.

    TensorBoard merges the layouts of the runs and keeps a chart for each that differs, so those of
    two cells differ in whole categories at most: layers are told by a regular expression.
    """
    categories = [
        # TensorBoard shows the charts of a category that have margins from the last to the first.
        _category(SEEDS, {_title(tag): _margin(tag) for tag in reversed(ORDER)}),
        _category(
            RATES,
            {_title(tag): _lines(rf"{RATES}/{tag.replace('/', ' ')} lr=.*$") for tag in ORDER},
        ),
    ]
    own = [name for name in PROBES.own() if name in measured]
    for title, names in {**CATEGORIES, "own": own}.items():
        if set(names) & set(measured):
            charts = {}
            for name in names:
                if name == SLOPE:
                    charts["slope of the gradients' variance over depth"] = _lines(f"{SLOPE_TAG}$")
                else:
                    charts[label_among(name, ())] = _lines(rf"layer \d+/{name}$")
            categories.append(_category(title, charts))
    for category in categories[NUM_OPEN:]:
        category.closed = True
    return bytes(layout_pb2.Layout(category=categories).SerializeToString(deterministic=True))


def _category(title: str, charts: Mapping[str, layout_pb2.Chart]) -> layout_pb2.Category:
    for name, chart in charts.items():
        chart.title = name
    return layout_pb2.Category(title=title, chart=charts.values())


def _title(tag: str) -> str:
    kind, _, split = tag.partition("/")
    return f"{_SPLITS[split]} {kind}"


def _margin(tag: str) -> layout_pb2.Chart:
    lower, value, upper = band(tag)
    series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
    return layout_pb2.Chart(margin=layout_pb2.MarginChartContent(series=[series]))


def _lines(pattern: str) -> layout_pb2.Chart:
    return layout_pb2.Chart(multiline=layout_pb2.MultilineChartContent(tag=[pattern]))
