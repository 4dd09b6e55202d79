"""How a cell was trained, in the words of a paper's table of settings."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from study.outputs.records import CellRecord
from study.report.settings import settings_of_cell

TRAINING_IMAGES = {
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "kmnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
}
"""The images of each data set, by `data.name`, of which training and validation are taken."""
TEST_IMAGES = 10_000
"""Those of the test set of each of them."""


def protocol_of(cell: CellRecord) -> dict[str, str]:
    """{network, training images, optimizer, batch, ..., seeds}: what a cell's record says.

    The names are those of `protocol` in published.yaml.
    """
    config = settings_of_cell(cell)
    return dict(_known(config, cell)) if config else {}


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


def training_images(data: Mapping[str, Any]) -> int | None:
    """How many images train a network with these keys of `data`; None where that is not known."""
    if data.get("train_size"):
        return int(data["train_size"])
    total, held_out = TRAINING_IMAGES.get(data.get("name", "")), data.get("val_size", 0)
    if total is None:
        return None
    return total - (int(held_out) if held_out >= 1 else math.floor(held_out * total + 0.5))


def test_images(data: Mapping[str, Any]) -> int | None:
    """How many images test a network with these keys of `data`; None where that is not known."""
    whole = TEST_IMAGES if data.get("name") in TRAINING_IMAGES else None
    return data.get("test_size") or whole


def _known(config: Mapping[str, Any], cell: CellRecord) -> Iterator[tuple[str, str]]:
    assert cell.result is not None
    data, optimizer = config["data"], config["optimizer"]
    yield "network", network_words(config["model"])
    for name, size in (("training", training_images(data)), ("test", test_images(data))):
        if size is not None:
            yield f"{name} images", f"{size:,}"
    if data.get("test_shift", "none") != "none":
        yield "test shift", shift_words(data)
    yield "optimizer", str(optimizer["name"])
    yield "batch", str(config["batch_size"])
    yield "length", _length(config, cell.result)
    yield "regularization", ", ".join(_regularizers(config)) or "none"
    yield "seeds", str(len({replica["seed"] for replica in cell.result["replicas"]}))


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


def _length(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    epochs = config["trainer"]["max_epochs"]
    steps = ((result.get("probes") or {}).get("end") or {}).get("step")
    words = f"{epochs} epochs" if epochs != 1 else "1 epoch"
    updates = f" ({steps:,} updates)" if isinstance(steps, int) else ""
    layers = config.get("pretraining", {}).get("epochs")
    before = f"pretraining {layers} epochs a layer, then " if layers else ""
    return f"{before}{words}{updates}"


def _regularizers(config: Mapping[str, Any]) -> Iterator[str]:
    dropout = config["model"].get("dropout")
    decay = config["optimizer"].get("weight_decay")
    if dropout:
        yield f"dropout {dropout:g}"
    if decay:
        yield f"weight decay {decay:g}"
    if config.get("input_noise"):
        yield f"input noise {config['input_noise']:g}"
