"""Published numbers beside a study's: how far apart, in standard errors; what differs."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.analysis.origins import data_settings
from study.analysis.parts import Sheet
from study.analysis.sheets.scores import Score, Scores, all_scores, signed
from study.analysis.statistics.intervals import mean_and_error
from study.config.configuration import CLASSIFICATION
from study.outputs.factors import level_text
from study.outputs.metrics import METRICS
from study.outputs.records import CellRecord

# How a cell was trained, in the words of a paper's table of settings.


TEST_IMAGES = 10_000
"""The test images of a paper that says nothing else."""


def protocol_of(cell: CellRecord) -> dict[str, str]:
    """{network, training images, optimizer, batch, ..., seeds}: what a cell's record says.

    The names are those of `protocol` in published.yaml.
    """
    result, config = cell.finished, cell.finished.config
    if not config:
        return {}
    data, model, optimizer = config["data"], config["model"], config["optimizer"]
    is_shifted = data.get("test_shift", "none") != "none"
    epochs = config["trainer"]["max_epochs"]
    words = f"{epochs} epochs" if epochs != 1 else "1 epoch"
    layers = config.get("pretraining", {}).get("epochs")
    before = f"pretraining {layers} epochs a layer, then " if layers else ""
    sizes = {
        "dropout": model.get("dropout"),
        "weight decay": optimizer.get("weight_decay"),
        "input noise": config.get("input_noise"),
    }
    named = [f"{name} {size:g}" for name, size in sizes.items() if size]
    return {
        "network": network_words(model),
        "training images": f"{result.num_train:,}",
        "test images": f"{result.num_test:,}",
        **({"test shift": shift_words(data)} if is_shifted else {}),
        "optimizer": str(optimizer["name"]),
        "batch": str(config["batch_size"]),
        "length": f"{before}{words} ({result.updates:,} updates)",
        "regularization": ", ".join(named) or "none",
        "seeds": str(len(result.seeds)),
    }


def protocol_differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """What both state and differs, `network 5 x 1000, here 5 x 64`; what one side does not state.

    Of a source of which nothing is known, that alone.
    """
    if not theirs:
        return ["the source's protocol is not recorded"]
    lines = [
        f"{name} {told}, here {ours[name]}"
        for name, told in theirs.items()
        if name in ours and ours[name] != told
    ]
    for where, names in (("there", ours.keys() - theirs), ("here", theirs.keys() - ours)):
        if names:
            ordered = [name for name in (*ours, *theirs) if name in names]
            lines.append(f"not stated {where}: {', '.join(ordered)}")
    return lines or ["nothing"]


def shift_words(data: Mapping[str, Any]) -> str:
    """`noise`, or `noise 0.3` where its strength is not the usual one."""
    strength = data.get("test_shift_strength")
    return str(data["test_shift"]) + ("" if strength is None else f" {strength:g}")


def network_words(model: Mapping[str, Any]) -> str:
    """`5 x 64`, `500-500-2000`, `100-30-100` with a code, or `convolutions 16 | 32, head 10`."""
    if "channels" in model:
        blocks = [", ".join(map(str, block)) for block in model["channels"]]
        return f"convolutions {' | '.join(blocks)}, head {widths_words(model['head'])}"
    widths = list(model["widths"])
    if "code" in model:
        return "-".join(map(str, [*widths, model["code"], *reversed(widths)]))
    return widths_words(widths)


def widths_words(widths: Sequence[int]) -> str:
    """`5 x 64` for equal widths, `500-500-2000` for others."""
    if not widths:
        return "no hidden layer"
    ((width, _), *others) = itertools.groupby(widths)
    if others:
        return "-".join(map(str, widths))
    return f"{len(widths)} x {width}" if len(widths) > 1 else str(width)


FILE = Path(__file__).with_name("published.yaml")
_READ = {"paper": "", "copy": " (read in a copy)"}
_OTHER_KEYS = ("error", "spread", "components", "layers")


@dataclass(frozen=True)
class Published:
    """A number of a paper: `error` in % or squared error, and the cells that it stands beside.

    `spread`: the ± of the paper, if it has one; `num_images`: of its test set. `components`: the
    number is that of a PCA with so many, and stands beside the study's own PCA. `layers`: whether
    the net has `one` hidden layer or `several`, where a paper has both.
    """

    paper: str
    read: str
    task: str
    of: Mapping[str, Any]
    protocol: Mapping[str, str]
    error: float
    spread: float | None
    num_images: int
    components: int | None
    layers: str | None = None

    @property
    def setting(self) -> str:
        """Such as `mnist, mlp, tanh, xavier_uniform`."""
        levels = [
            f"{key}={level_text(level)}" if "." in key else str(level)
            for key, level in self.of.items()
            if level != "none"
        ]
        if self.components:
            levels.append(f"PCA-{self.components}")
        if self.layers:
            levels.append(f"{self.layers} hidden layer{'s' if self.layers == 'several' else ''}")
        return ", ".join(levels)


@functools.cache
def published_numbers() -> tuple[Published, ...]:
    """The entries of published.yaml."""
    import yaml

    numbers = []
    for table in yaml.safe_load(FILE.read_text(encoding="utf-8")):
        num_images = table.get("test_images", TEST_IMAGES)
        for value in table["values"]:
            of = table["of"] | {key: v for key, v in value.items() if key not in _OTHER_KEYS}
            # What the source says of how it was trained, if it says anything, and its images.
            protocol = {name: str(text) for name, text in table["protocol"].items()}
            if protocol and of.get("data.train_size"):
                protocol["training images"] = f"{of['data.train_size']:,}"
            if protocol:
                protocol["test images"] = f"{num_images:,}"
            numbers.append(
                Published(
                    paper=table["paper"],
                    read=table["read"],
                    task=table.get("task", CLASSIFICATION),
                    of=of,
                    protocol=protocol,
                    error=value["error"],
                    spread=value.get("spread"),
                    num_images=num_images,
                    components=value.get("components"),
                    layers=value.get("layers"),
                )
            )
    return tuple(numbers)


def published_sheets(cells: Sequence[CellRecord]) -> list[Sheet]:
    """One sheet of what is published of cells like these, or none.

    Published errors are of clean images: cells with shifted test images have none beside them.
    """
    clean = [scores for scores in all_scores(cells) if not scores.origin.is_shifted]
    rows = [row for scores in clean for row in _rows(scores)]
    if not rows:
        return []
    return [
        Sheet(
            name="published",
            title="Published numbers beside ours",
            caption="Test error as published, and that of the cell of the same levels; of several, "
            "the one with the lowest validation error.",
            columns=_COLUMNS,
            rows=tuple(rows),
            notes=_NOTES,
        )
    ]


_COLUMNS = (
    "published",
    "setting",
    "theirs",
    "our cell",
    "ours",
    "difference",
    "in standard errors",
    "what differs in protocol",
)
_NOTES = (
    "in standard errors: the difference over the root of the squared standard errors of ours (over "
    "seeds) and of the shares of misclassified images of both test sets (binomial). It tells "
    "chance from a difference, not its cause: the protocols differ. A ± is shown as it is printed, "
    "and not counted: it is not recorded of what it is.",
    "Of a squared error no standard errors are given: errors are not kept image by image, so the "
    "chance in drawing the test images is not known.",
    "not stated there, here: what is known of one protocol alone.",
)


def matches(number: Published, cell: CellRecord) -> bool:
    """Whether a cell has the levels that a published number is about."""
    return _has_levels(number, cell) and _is_alike(number, cell)


def _has_levels(number: Published, cell: CellRecord) -> bool:
    return all(
        _first_word(cell.factors.get(factor)) == level
        for factor, level in number.of.items()
        if "." not in factor
    )


def _is_alike(number: Published, cell: CellRecord) -> bool:
    """The same of what its configuration holds: the keys of `data`, and the number of layers."""
    wanted = {key.partition(".")[2]: level for key, level in number.of.items() if "." in key}
    is_of_data = wanted.items() <= data_settings(cell).items()
    widths = cell.finished.config.get("model", {}).get("widths", ())
    layers = {0: "", 1: "one"}.get(len(widths), "several")
    return is_of_data and number.layers in (None, layers)


def standard_errors(number: Published, score: Score, scale: float) -> float | None:
    """How far ours lies above theirs, in standard errors; None where no error is known.

    The variance of the difference: s^2 / n over our seeds, plus p (1 - p) / N of either test set.
    Only of shares of misclassified images: of other errors the chance in the test set is not known.
    """
    mean, error = mean_and_error(list(score.values.values()))
    if error is None or number.task != CLASSIFICATION:
        return None
    ours = score.cell.finished.num_test
    shares = ((mean, ours), (number.error / scale, number.num_images))
    chance = sum(share * (1 - share) / images for share, images in shares)
    variance = error**2 + chance
    return (mean - number.error / scale) / math.sqrt(variance) if variance else None


def _rows(scores: Scores) -> Iterator[tuple[str, ...]]:
    # In groups of cells of which the same published numbers can be true.
    names = {name for number in published_numbers() for name in number.of if "." not in name}
    alike: dict[tuple[str, ...], list[Score]] = {}
    for score in scores.ranked:
        key = tuple(str(_first_word(score.cell.factors.get(name))) for name in sorted(names))
        alike.setdefault(key, []).append(score)
    for number in published_numbers():
        if number.task != scores.origin.task:
            continue
        if number.components:
            yield from _pca_row(number, scores)
            continue
        groups = (group for group in alike.values() if _has_levels(number, group[0].cell))
        found = [s for group in groups for s in group if _is_alike(number, s.cell)]
        if found:
            validation = [each.cell.finished.value(METRICS["val_error"]) for each in found]
            means = [math.fsum(each.values.values()) / len(each.values) for each in validation]
            best = found[means.index(min(means))]
            distance = standard_errors(number, best, scores.metric.scale)
            words = best.words + (f" (of {len(found)})" if len(found) > 1 else "")
            ours = protocol_of(best.cell)
            yield _compared(number, scores, words, best.mean, distance, ours)


def _pca_row(number: Published, scores: Scores) -> Iterator[tuple[str, ...]]:
    """Beside the PCA that the first such cell's record holds, of as many components."""
    for cell in scores.cells:
        pca = cell.finished.references.pca
        if pca and pca.components == number.components and matches(number, cell):
            ours = {name: t for name, t in protocol_of(cell).items() if name in number.protocol}
            if not data_settings(cell)["train_size"]:
                ours["training images"] = f"{cell.finished.num_train + cell.finished.num_val:,}"
            words = f"PCA-{number.components} of the training and validation images"
            yield _compared(number, scores, words, pca.test_error, None, ours)
            return


def _compared(
    number: Published,
    scores: Scores,
    words: str,
    error: float,
    distance: float | None,
    ours: Mapping[str, str],
) -> tuple[str, ...]:
    """A row: theirs beside the error of ours, and how far they are apart."""
    metric = scores.metric
    spread = f" ± {number.spread:g}" if number.spread else ""
    return (
        number.paper + _READ[number.read],
        number.setting,
        f"{number.error:.2f}{spread}",
        words,
        metric.text(error),
        signed(metric, error - number.error / metric.scale),
        "–" if distance is None else f"{distance:+.1f}",
        "; ".join(protocol_differences(number.protocol, ours)),
    )


def _first_word(level: Any) -> Any:
    """A level's name; a pretraining that an equal budget of training replaces is none."""
    if isinstance(level, str) and "equal_budget=true" in level:
        return "none"
    return level.partition(" ")[0] if isinstance(level, str) else level
