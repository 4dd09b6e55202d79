"""All that TensorBoard gets of a cell once it is trained."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from study.config.configuration import Config, notable
from study.config.labels import level_words
from study.console import sentence_table
from study.data import Data
from study.errors import InputError
from study.networks.registry import Value
from study.outputs.metrics import PROJECTS
from study.outputs.records import read_ledger
from study.outputs.results import TrainedReplica, choose_lr
from study.tensorboard.columns import session
from study.tensorboard.curves import mean, middle, num_diverged, over_seeds, write_curves
from study.tensorboard.images import write_images
from study.tensorboard.layers import (
    at_steps,
    measured,
    number,
    slope,
    write_histograms,
    write_layers,
)
from study.tensorboard.layout import layout
from study.tensorboard.writer import CellWriter

NUMBERS = ("test_error", "val_error", "train_error", "test_loss")
LEARNING_RATE = "learning rate"
_FINAL = [row for row in PROJECTS.values() if row.final]
AT_THE_END = sorted(_FINAL, key=lambda row: row.unit != "%")
"""Probes whose means over layers are final metrics: shares first, as HParams shows five numbers."""


def write_summary(
    writer: CellWriter,
    results: Sequence[TrainedReplica],
    *,
    config: Config,
    factors: Mapping[str, Value],
    data: Data,
) -> None:
    """The chosen learning rate's curves, probes and pictures, the configuration and the metrics."""
    lr = choose_lr([result.entry for result in results])
    chosen = [result for result in results if result.lr == lr]
    write_curves(writer, results, chosen)
    write_layers(writer, chosen)
    write_histograms(writer, chosen)
    write_images(writer, chosen, config, data)
    metrics = final(chosen)
    shown: dict[str, float | str] = {LEARNING_RATE: lr}
    if lost := num_diverged(chosen):
        shown["diverged"] = f"{lost} of {len(chosen)}, so each number is the {over_seeds(lost)}"
    writer.texts(texts(config, factors, shown, metrics))
    writer.layout(layout(measured(chosen)))
    writer.scalars(int(chosen[0].curve[-1]["epoch"]), metrics)
    columns = {**factors, LEARNING_RATE: lr}
    varying = [LEARNING_RATE] if len({result.lr for result in results}) > 1 else []
    writer.write(0, session(columns, study_of(writer.directory), list(metrics), varying))


def final(chosen: Sequence[TrainedReplica]) -> dict[str, float]:
    """Means over seeds: of the best epoch's numbers, and of the last probes, over layers.

    Medians where replicas diverged. What has no number is left out.
    """
    lost = num_diverged(chosen)
    values = {
        name: middle([number(getattr(each.entry, name)) for each in chosen], lost)
        for name in NUMBERS
    }
    last = [list(at_steps(result.probes).values())[-1] for result in chosen if result.probes]
    if last:
        for probe in AT_THE_END:
            layers = [mean([number(row.get(probe.name)) for row in rows]) for rows in last]
            values[probe.name] = middle(layers, lost)
        values["gradient_slope"] = middle([slope(rows) for rows in last], lost)
    return {f"results/{name}": value for name, value in values.items() if math.isfinite(value)}


def texts(
    config: Config,
    factors: Mapping[str, Value],
    chosen: Mapping[str, float | str],
    metrics: Mapping[str, float],
) -> dict[str, str]:
    """The configuration as YAML, and a table of factors, of what was `chosen`, of final numbers."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    whole = yaml.dump(dict(config.mapping), Dumper=dumper, sort_keys=False, allow_unicode=True)
    shown = [(name, level_words(name, level)) for name, level in notable(factors).items()]
    rows = [(name, str(level)) for name, level in (*shown, *chosen.items())]
    rows += [(tag.rpartition("/")[2], f"{value:.4g}") for tag, value in metrics.items()]
    table = sentence_table(("factor", "level"), rows, rule=":--")
    return {"configuration/factors": table, "configuration/yaml": f"```yaml\n{whole}```\n"}


def study_of(directory: Path) -> list[Mapping[str, Value]]:
    """The factors of all cells of the study that a cell's directory lies in; none without one."""
    try:
        return [cell.factors for cell in read_ledger(directory.parent).cells]
    except InputError:
        return []
