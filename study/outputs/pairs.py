"""pairs.csv: the straight line between the trained networks of neighbouring seeds."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.outputs.files import write_csv

FILE = "pairs.csv"
ENDS = ("seed", "other_seed", "lr")
COLUMNS = (
    *ENDS,
    "alpha",
    "train_loss",
    "train_error",
    "test_loss",
    "test_error",
    "disagreement",
    "distance",
    "relative_distance",
    "cosine",
)
"""A row for each pair and point: the network (1 - alpha) w + alpha w', last-epoch weights.

w is that of `seed`, w' that of `other_seed`, both at the learning rate `lr`. Losses and errors are
of a subset of the training images and of all test images; errors and `disagreement` are shares.
The last four are of the point's network beside that of `seed`: the share of test images that they
put into different classes (Fort et al. 2019), and of their parameters the Euclidean distance, that
distance by the root mean square of the two norms (sqrt(2) for directions at random), and the
cosine. At alpha = 1 they are those of the pair.
"""
_WHOLE = ("seed", "other_seed")
Row = Mapping[str, Any]


def num_points(config: Mapping[str, Any]) -> int:
    """The points of each line, its ends among them; 0 in configurations from before the key."""
    return int(config.get("pairs", {}).get("points", 0))


def neighbours(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """Each seed with the next one, the last with the first; of two seeds a single pair."""
    ordered = sorted(seeds)
    pairs = list(zip(ordered, [*ordered[1:], *ordered[:1]], strict=True))
    return pairs[: len(ordered) * (len(ordered) - 1) // 2]


def write_pairs(directory: Path, rows: Sequence[Row]) -> None:
    """The rows, if there are any; a number that is not finite is left empty."""
    if rows:
        write_csv(directory / FILE, COLUMNS, rows)


def read_pairs(directory: Path) -> list[dict[str, Any]]:
    """The rows of pairs.csv; an empty field is NaN. Without the file there are none."""
    path = directory / FILE
    return parsed(path.read_text(encoding="utf-8")) if path.exists() else []


def parsed(text: str) -> list[dict[str, Any]]:
    """The rows of a pairs.csv with this text."""
    return [
        {name: _value(name, field) for name, field in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]


def _value(name: str, text: str) -> int | float:
    return int(text) if name in _WHOLE else float(text or "nan")


def by_pair(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """The rows of each pair along its line, by its first seed."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["seed"], []).append(row)
    return found


def barrier(line: Sequence[Row], column: str) -> float:
    """How far a loss or an error rises above the straight line between its ends, 0 at least.

    max over alpha of L((1 - alpha) w + alpha w') - [(1 - alpha) L(w) + alpha L(w')] (Entezari et
    al. 2022, section 2; Frankle et al. 2020 subtract the mean of the ends). NaN where one is.
    """
    values = [row[column] for row in line]
    if not all(map(math.isfinite, values)):
        return math.nan
    first, last = values[0], values[-1]
    straight = [first + row["alpha"] * (last - first) for row in line[1:-1]]
    return max([0.0, *(v - s for v, s in zip(values[1:-1], straight, strict=True))])
