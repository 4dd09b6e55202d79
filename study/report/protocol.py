"""How a cell was trained, in the words of a paper's table of settings."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.outputs.files import sha256
from study.outputs.records import CellRecord


def settings_of_cell(cell: CellRecord) -> Mapping[str, Any]:
    """A cell's config.yaml; nothing where it is not the file that its record names."""
    known = (cell.result or {}).get("files", {}).get("config.yaml")
    return {} if known is None else _settings(cell.path / "config.yaml", known)


@functools.lru_cache(maxsize=10_000)
def _settings(path: Path, known: str) -> Mapping[str, Any]:
    import yaml

    if not path.exists() or sha256(path) != known:
        return {}
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def protocol_of(cell: CellRecord) -> dict[str, str]:
    """{network, training images, optimizer, batch, length, regularization, seeds}: what is known.

    The names are those of `protocol` in published.yaml.
    """
    config = settings_of_cell(cell)
    return dict(_known(config, cell)) if config else {}


def protocol_differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """What both state, and differs: `network 5 x 1000, here 5 x 64`."""
    return [
        f"{name} {told}, here {ours[name]}"
        for name, told in theirs.items()
        if name in ours and ours[name] != told
    ]


def _known(config: Mapping[str, Any], cell: CellRecord) -> Iterator[tuple[str, str]]:
    assert cell.result is not None
    data, optimizer = config["data"], config["optimizer"]
    yield "network", network_words(config["model"])
    size = data["train_size"]
    yield "training images", f"{size:,}" if size else "all but the validation split"
    yield "optimizer", str(optimizer["name"])
    yield "batch", str(config["batch_size"])
    yield "length", _length(config, cell.result)
    yield "regularization", ", ".join(_regularizers(config)) or "none"
    yield "seeds", str(len({replica["seed"] for replica in cell.result["replicas"]}))


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
