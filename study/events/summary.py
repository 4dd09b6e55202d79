"""All that TensorBoard gets of a cell once it is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from study.configuration import notable
from study.data import Data
from study.errors import InputError
from study.events.columns import session
from study.events.curves import mean, write_curves
from study.events.distributions import write_histograms
from study.events.images import write_images
from study.events.layers import at_steps, measured, number, slope, write_layers
from study.events.layout import layout
from study.events.writer import CellWriter
from study.outputs.records import read_ledger
from study.outputs.results import ReplicaResult, choose_lr

NUMBERS = ("test_error", "val_error", "train_error", "test_loss")
LEARNING_RATE = "learning rate"
AT_THE_END = ("dead_fraction", "saturated_fraction", "linear_fraction", "activation_variance")
"""Probes whose means over layers are final metrics."""


def write_summary(
    writer: CellWriter,
    results: Sequence[ReplicaResult],
    *,
    config: Mapping[str, Any],
    factors: Mapping[str, Any],
    data: Data,
) -> None:
    """The chosen learning rate's curves, probes and pictures, the configuration and the metrics."""
    lr = choose_lr(results)
    chosen = [result for result in results if result.lr == lr]
    write_curves(writer, results, chosen)
    write_layers(writer, chosen)
    write_histograms(writer, chosen)
    write_images(writer, chosen, config, data)
    metrics = final(chosen)
    writer.texts(texts(config, factors, lr, metrics))
    writer.layout(layout(measured(chosen)))
    writer.scalars(int(chosen[0].curve[-1]["epoch"]), metrics)
    columns = {**factors, LEARNING_RATE: lr}
    varying = [LEARNING_RATE] if len({result.lr for result in results}) > 1 else []
    writer.write(0, session(columns, study_of(writer.directory), list(metrics), varying))


def final(chosen: Sequence[ReplicaResult]) -> dict[str, float]:
    """Means over seeds: of the best epoch's numbers, and of the last probes, over layers."""
    values = {name: mean([number(r.numbers[name]) for r in chosen]) for name in NUMBERS}
    last = [list(at_steps(result.probes).values())[-1] for result in chosen if result.probes]
    if last:
        for name in AT_THE_END:
            values[name] = mean([mean([number(row.get(name)) for row in rows]) for rows in last])
        values["gradient_slope"] = mean([slope(rows) for rows in last])
    return {f"results/{name}": value for name, value in values.items()}


def texts(
    config: Mapping[str, Any],
    factors: Mapping[str, Any],
    lr: float,
    metrics: Mapping[str, float],
) -> dict[str, str]:
    """The factors and the final numbers as a table, the configuration as YAML: Markdown."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    whole = yaml.dump(dict(config), Dumper=dumper, sort_keys=False, allow_unicode=True)
    rows = [("factor", "level"), (":--", ":--"), *notable(factors).items(), (LEARNING_RATE, lr)]
    rows += [(tag.rpartition("/")[2], f"{value:.4g}") for tag, value in metrics.items()]
    table = "\n".join(f"| {name} | {_cell(level)} |" for name, level in rows)
    return {"configuration/factors": table, "configuration/yaml": f"```yaml\n{whole}```\n"}


def _cell(level: Any) -> str:
    return str(level).replace("|", "\\|")


def study_of(directory: Path) -> list[dict[str, Any]]:
    """The factors of all cells of the study that a cell's directory lies in; none without one."""
    try:
        return [cell.factors for cell in read_ledger(directory.parent).cells]
    except InputError:
        return []
