"""Whether pairs.csv holds the pairs of a finished cell, and fits its record."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from study.outputs.pairs import by_pair, neighbours, num_points, parsed

CLOSE = 1e-4
"""A network that is evaluated again, in other batches, has the same loss to so much of it."""
EXACT = ("32-true", "64-true")
"""The precisions of training in which its evaluations are those of pairs.csv."""


def pair_problems(
    text: str, chosen: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with a pairs.csv of this text; `chosen` are the replicas that it is about."""
    lines = by_pair(parsed(text))
    entries = {entry["seed"]: entry for entry in chosen}
    rates = {row["lr"] for line in lines.values() for row in line}
    found = [(seed, line[0]["other_seed"]) for seed, line in lines.items()]
    if found != neighbours(entries) or rates != {entry["lr"] for entry in chosen}:
        yield "its pairs are not the neighbouring seeds at the chosen learning rate"
        return
    points = num_points(config)
    evenly = [index / (points - 1) for index in range(points)] if points > 1 else []
    for seed, line in lines.items():
        if [row["alpha"] for row in line] != evenly:
            yield f"seed {seed}: its points are not the {points} of pairs.points"
        elif any(row["other_seed"] != line[0]["other_seed"] for row in line):
            yield f"seed {seed}: its line has several ends"
        elif _has_statistics_of_training(config):
            yield from _ends(line, entries)


def _has_statistics_of_training(config: Mapping[str, Any]) -> bool:
    """Whether the ends are evaluated as training evaluated them; BatchNorm's statistics are not."""
    is_plain = config.get("norm", {}).get("name") == "none"
    return is_plain and config.get("trainer", {}).get("precision") in EXACT


def _ends(
    line: Sequence[Mapping[str, Any]], entries: Mapping[int, Mapping[str, Any]]
) -> Iterator[str]:
    """Whether the ends have the test losses of their last epochs."""
    for row, end in ((line[0], "seed"), (line[-1], "other_seed")):
        recorded = entries[line[0][end]]["last_test_loss"]
        expected = math.inf if recorded is None else recorded
        if math.isfinite(row["test_loss"]) != math.isfinite(expected) or (
            math.isfinite(expected)
            and not math.isclose(row["test_loss"], expected, rel_tol=CLOSE, abs_tol=1e-9)
        ):
            yield (
                f"seed {line[0][end]} has test loss {row['test_loss']:g} at an end of a line, and "
                f"result.json says {recorded}"
            )
