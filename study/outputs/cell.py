"""A cell's directory: everything a cell leaves behind, result.json last."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.files import (
    PARTIAL,
    move,
    read_json,
    remove,
    sha256,
    write_arrays,
    write_csv,
    write_json,
    write_tensors,
    write_text,
)
from study.locks import LOCK, OWNER
from study.outputs.checkpoint import CHECKPOINT
from study.outputs.results import Header, Result, TrainedReplica, choose_lr, edge, sealed
from study.outputs.schema import (
    CONFIG_FILE,
    CURVE_COLUMNS,
    CURVES_FILE,
    ERROR_FILE,
    EVENT_FILES,
    FILTERS_FILE,
    METRICS_FILE,
    PAIRS_FILE,
    PREDICTIONS_FILE,
    PROBES_FILE,
    RESULT_FILE,
    WEIGHTS_FILE,
    Row,
)
from study.outputs.series import summary, write_pairs, write_probes

if TYPE_CHECKING:
    from torch import Tensor

# First-layer weights as images.


MOST = 64


def filter_images(weight: Any, input_shape: tuple[int, int, int]) -> Any:
    """Up to 64 filters of a first layer's weight, as uint8 [n, C, H, W].

    weight: a NumPy array [out, in] or [out, in, height, width]; `input_shape` is what a dense
    layer's rows are shown as. Each is on its own scale, symmetric about 0 at 128; a weight that is
    not finite is shown as 0.
    """
    import numpy as np

    first = weight[:MOST].astype(np.float64)
    shape = first.shape[1:] if first.ndim == 4 else input_shape
    filters = np.nan_to_num(first.reshape(len(first), *shape), posinf=0.0, neginf=0.0)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(filters, largest, out=np.zeros_like(filters), where=largest > 0)
    return np.round(128 + 127 * scaled).astype(np.uint8)


CONTENT = (
    CONFIG_FILE,
    CURVES_FILE,
    FILTERS_FILE,
    PAIRS_FILE,
    PREDICTIONS_FILE,
    PROBES_FILE,
    WEIGHTS_FILE,
)
"""The files that a record names with their hashes."""
PASSING = (CHECKPOINT, ERROR_FILE, EVENT_FILES, METRICS_FILE, PARTIAL)
"""The other files of ours, but for the record itself and those of ownership."""
OWNERSHIP = (LOCK, OWNER)
"""The files that say who trains the cell."""
NO_CLASS = -1
"""The prediction of a network whose outputs are not finite."""
_ASIDE = re.compile(r".+\.damaged-\d+")
_log = logging.getLogger(__name__)


def clear_unfinished(directory: Path, keep: Sequence[str] = ()) -> None:
    """Makes room for a new attempt: removes what an unfinished one left, but for `keep`.

    Those are names or patterns. Files that are not of this project stay. A directory that has a
    result.json is never cleared: all else that is in it, ownership apart, moves to
    `<directory>.damaged-N`, and a warning says so.
    """
    stays = (*OWNERSHIP, *keep)
    if (directory / RESULT_FILE).exists():
        number = 1
        while (aside := directory.with_name(f"{directory.name}.damaged-{number}")).exists():
            number += 1
        aside.mkdir()
        for path in list(directory.iterdir()):
            if not _is_one_of(path, stays):
                move(path, aside / path.name)
        _log.warning(
            "%s is damaged: what was in it is kept in %s, and the cell is trained again",
            directory,
            aside.name,
        )
    for path in directory.iterdir():
        ours = _is_one_of(path, (*CONTENT, *PASSING)) and not _is_one_of(path, stays)
        if ours and not path.is_dir():
            remove(path)


def _is_one_of(path: Path, names: Sequence[str]) -> bool:
    return any(path.match(name) for name in names)


def is_set_aside(directory: Path) -> bool:
    """Whether this is where what was in a damaged cell is kept."""
    return _ASIDE.fullmatch(directory.name) is not None


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    """The resolved configuration, as YAML."""
    write_text(directory / CONFIG_FILE, _yaml(config))


def write_error(directory: Path, config: Mapping[str, Any], traceback: str) -> None:
    """The configuration and the traceback of a failed cell; the last line is the error."""
    write_text(directory / ERROR_FILE, f"{_yaml(config)}\n{traceback}")


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def write_cell(
    directory: Path,
    results: Sequence[TrainedReplica],
    *,
    labels: Any,
    normalization: "Mapping[str, Tensor]",
    input_shape: tuple[int, int, int],
    keep_weights: str,
    header: Header,
    pairs: Sequence[Row] = (),
) -> Result:
    """Writes all of a cell's files, then result.json; returns the last.

    `labels` are the true classes of the test images, [N]; `normalization` holds the tensors that
    turn raw images, [N, *input_shape], into the network's inputs; `keep_weights` is `chosen`, `all`
    or `none`; `pairs` are the rows of pairs.csv.
    """
    chosen = choose_lr([result.entry for result in results])
    rates = sorted({result.lr for result in results})
    rows = [
        {"seed": result.seed, "lr": result.lr, **row} for result in results for row in result.curve
    ]
    write_csv(directory / CURVES_FILE, CURVE_COLUMNS, rows)
    best = [result for result in results if result.lr == chosen]
    _write_predictions(directory, best, labels)
    write_arrays(directory / FILTERS_FILE, {"filters": first_filters(best, input_shape)})
    if keep_weights != "none":
        kept = results if keep_weights == "all" else best
        _write_weights(directory, kept, normalization, input_shape)
    write_probes(directory, results)
    write_pairs(directory, pairs)
    files = [path for name in CONTENT if (path := directory / name).exists()]
    record = Result(
        **vars(header),
        updates=header.updates_per_epoch * results[0].curve[-1]["epoch"],
        replicas=tuple(result.entry for result in results),
        chosen_lr=chosen,
        chosen_lr_at_edge=edge(chosen, rates),
        probes=summary(best),
        files={path.name: sha256(path) for path in files},
    )
    write_json(directory / RESULT_FILE, sealed(record))
    return record


def _write_predictions(directory: Path, chosen: Sequence[TrainedReplica], labels: Any) -> None:
    """The predicted classes as the smallest unsigned type whose largest value is no class.

    That value (255, or 65535) stands for a prediction that is none. The true classes are beside
    them, so that two cells can be compared image by image from their files alone.
    """
    import numpy as np

    predictions = np.stack([result.predictions for result in chosen])
    kind = np.min_scalar_type(max(predictions.max(), labels.max()) + 1)
    none = predictions == NO_CLASS
    arrays = {
        "predictions": np.where(none, np.iinfo(kind).max, predictions).astype(kind),
        "seeds": np.array([result.seed for result in chosen]),
        "lr": np.array(chosen[0].lr),
        "labels": labels.astype(kind),
    }
    write_arrays(directory / PREDICTIONS_FILE, arrays)


def _write_weights(
    directory: Path,
    kept: Sequence[TrainedReplica],
    normalization: "Mapping[str, Tensor]",
    input_shape: tuple[int, int, int],
) -> None:
    tensors = {f"normalization/{name}": value for name, value in normalization.items()}
    for result in kept:
        assert result.weights is not None, "what stands in a record has its weights"
        states = {replica_name(result.seed, result.lr): result.weights}
        if result.best_weights is not None:
            best = best_name(result.seed, result.lr, result.entry.best_epoch)
            states[best] = result.best_weights
        for prefix, state in states.items():
            tensors |= {f"{prefix}/{name}": value for name, value in state.items()}
    shape = ",".join(str(size) for size in input_shape)
    write_tensors(directory / WEIGHTS_FILE, tensors, {"input_shape": shape})


def first_filters(results: Sequence[TrainedReplica], input_shape: tuple[int, int, int]) -> Any:
    """The first-layer filters of the first replica with weights, as `filter_images` shows them."""
    import numpy as np

    weights = next((result.weights for result in results if result.weights), None)
    if weights is None:
        return np.zeros((0, *input_shape), dtype=np.uint8)
    first = next(value for value in weights.values() if value.ndim >= 2)
    return filter_images(first.numpy(), input_shape)


def replica_name(seed: object, lr: object) -> str:
    """How a replica is named in files: `seed=0,lr=0.1`."""
    return f"seed={seed},lr={lr}"


def best_name(seed: object, lr: object, best_epoch: int | None) -> str:
    """How weights.safetensors names a replica at its best epoch: `seed=0,lr=0.1,epoch=3`.

    At its last epoch it has a replica's name alone, and where that is the best the file holds it
    once.
    """
    return f"{replica_name(seed, lr)},epoch={best_epoch}"


def by_replica(tensors: "Mapping[str, Tensor]") -> "dict[str, dict[str, Tensor]]":
    """What weights.safetensors holds, by replica and then by name; `normalization` is one more.

    A replica whose best epoch is not its last is there twice (`best_name`).
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        replica, _, name = key.partition("/")
        found.setdefault(replica, {})[name] = value
    return found


def read_predictions(directory: Path) -> tuple[float, dict[int, Any]]:
    """The chosen learning rate and, by seed, the predicted test classes, int64 [N].

    NO_CLASS where the outputs were not finite.
    """
    import numpy as np

    with np.load(directory / PREDICTIONS_FILE, allow_pickle=False) as arrays:
        stored, seeds, lr = arrays["predictions"], arrays["seeds"], float(arrays["lr"])
    none = stored == np.iinfo(stored.dtype).max
    predictions = np.where(none, NO_CLASS, stored.astype(np.int64))
    return lr, dict(zip(seeds.tolist(), predictions, strict=True))


def read_result(directory: Path) -> dict[str, Any]:
    """result.json as it stands."""
    return read_json(directory / RESULT_FILE)
