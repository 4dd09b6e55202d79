"""One entry of a table: the replicas of one cell, or of several averaged, as one number."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from study.errors import InputError
from study.outputs.records import CellRecord
from study.report.metrics import Metric
from study.report.origins import Origin, origin_of
from study.report.statistics import distinguishable, mean_interval, median

Replica = Mapping[str, Any]
UNFINISHED = ("failed", "damaged", "running", "missing")
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Source:
    """A cell and those of its replicas that an entry is about (none: the cell is not done).

    `combination` holds the cell's levels of the factors that are averaged over.
    """

    cell: CellRecord
    replicas: tuple[Replica, ...]
    combination: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A number of a table and what it rests on.

    `status`: done, diverged (some replica diverged or has no finite value: `median` in place of
    the mean and interval), incomplete (cells to average over are not there), one of UNFINISHED,
    not measured (nothing was taken of the finished cell's replicas), or absent (no such cell in
    the study). `values` has one number per seed, {None: number} for a metric of the whole cell.
    `chosen`: the replicas are those at the chosen learning rate; only then, and where the metric
    follows training, are `edges` filled. `best`: best, tied (not distinguishable from the best)
    or "". `origins`: which images a loss or an error was measured on; empty for other metrics.
    """

    status: str
    values: Mapping[int | None, float] = field(default_factory=dict)
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    median: float | None = None
    num_replicas: int = 0
    num_diverged: int = 0
    num_not_finite: int = 0
    num_combinations: int = 0
    num_expected: int = 0
    chosen_lrs: tuple[float, ...] = ()
    edges: tuple[str, ...] = ()
    chosen: bool = False
    best: str = ""
    origins: frozenset[Origin] = frozenset()

    @property
    def num_seeds(self) -> int:
        return sum(seed is not None for seed in self.values)


ABSENT = Entry("absent")


def make_entry(sources: Sequence[Source], expected: set[tuple[str, ...]], metric: Metric) -> Entry:
    """The entry of `sources`: per seed the mean over combinations, then over seeds.

    Only seeds that every combination has count. The entry is incomplete unless there is one
    finished cell for each of the `expected` combinations.
    """
    finished = [taken for source in sources if (taken := _taken(source, metric)).replicas]
    if not finished:
        found = {NOT_MEASURED if source.replicas else source.cell.status for source in sources}
        named = (status for status in (*UNFINISHED, NOT_MEASURED) if status in found)
        return Entry(next(named, "absent"))
    replicas = [replica for source in finished for replica in source.replicas]
    values = _average([_values(source, metric) for source in finished])
    entry = Entry(
        status="done",
        values=values,
        num_replicas=len(replicas),
        num_combinations=len(finished),
        num_expected=len(expected),
        origins=_origins(finished, metric),
        **_learning_rates(finished),
    )
    if not metric.follows_training:
        entry = replace(entry, edges=())
    complete = {source.combination for source in finished} == expected
    return _summarize(entry, replicas, metric, complete)


def mark_best(entries: Sequence[Entry], direction: str) -> list[Entry]:
    """`entries` with the best one marked, and each that is not distinguishable from it.

    Best is the best mean among complete entries without diverged replicas. Another is tied when
    the 95 % t interval of the difference paired by seed holds 0; entries that share fewer than
    two seeds are not compared, and nothing is marked where the entries have several origins.
    """
    sign = {"lower": 1.0, "higher": -1.0}.get(direction)
    rivals = [entry for entry in entries if entry.status == "done" and entry.mean is not None]
    if sign is None or not rivals or sum(entry.status != "absent" for entry in entries) < 2:
        return list(entries)
    if len(origins_of(entries)) > 1:
        return list(entries)
    best = min(rivals, key=lambda entry: sign * (entry.mean or 0.0))
    return [_mark(entry, best) if entry.status == "done" else entry for entry in entries]


def origins_of(entries: Iterable[Entry]) -> set[Origin]:
    """The origins of all entries."""
    return {origin for entry in entries for origin in entry.origins}


def check_origins(entries: Iterable[Entry], metric: Metric, over: Sequence[str]) -> None:
    """InputError if averaging `over` factors gave an entry losses or errors of several origins."""
    for entry in entries:
        if len(entry.origins) > 1:
            first, second, *_ = sorted(origin.words for origin in entry.origins)
            raise InputError(
                f"--over {' --over '.join(over)} averages {metric.name} of several data or splits "
                f"({first}; {second}), which are not pooled; choose the cells of one with --where"
            )


def edge_of(result: Mapping[str, Any]) -> str:
    """`lowest` or `highest` when the chosen learning rate is at the edge of its grid, else ""."""
    rates = sorted({replica["lr"] for replica in result["replicas"]})
    edge = result.get("chosen_lr_at_edge")
    if not edge or len(rates) < 2:
        return ""
    if edge in ("lowest", "highest"):
        return str(edge)
    return "highest" if result["chosen_lr"] == rates[-1] else "lowest"


def _mark(entry: Entry, best: Entry) -> Entry:
    if entry.mean == best.mean:
        return replace(entry, best="best")
    shared = [seed for seed in best.values if seed is not None and seed in entry.values]
    first, second = ([e.values[seed] for seed in shared] for e in (entry, best))
    return replace(entry, best="tied" if distinguishable(first, second) is False else "")


def _taken(source: Source, metric: Metric) -> Source:
    """The source with those of its replicas of which the metric was measured."""
    return replace(source, replicas=tuple(filter(metric.is_measured, source.replicas)))


def _origins(finished: Sequence[Source], metric: Metric) -> frozenset[Origin]:
    if not metric.is_of_data:
        return frozenset()
    return frozenset(origin_of(source.cell) for source in finished)


def _values(source: Source, metric: Metric) -> dict[int | None, float]:
    if metric.per_cell:
        assert source.cell.result is not None
        return {None: _finite(metric, source.cell.result)}
    seeds = sorted({replica["seed"] for replica in source.replicas})
    by_seed = {seed: [r for r in source.replicas if r["seed"] == seed] for seed in seeds}
    return {
        seed: math.fsum(_finite(metric, replica) for replica in replicas) / len(replicas)
        for seed, replicas in by_seed.items()
    }


def _finite(metric: Metric, owner: Mapping[str, Any]) -> float:
    """The metric, or the worst there is where the recorded number was not finite."""
    value = metric.value(owner)
    worst = {"lower": math.inf, "higher": -math.inf}.get(metric.direction, math.nan)
    return worst if value is None else value


def _average(parts: Sequence[Mapping[int | None, float]]) -> dict[int | None, float]:
    shared = [seed for seed in parts[0] if all(seed in part for part in parts)]
    return {seed: math.fsum(part[seed] for part in parts) / len(parts) for seed in shared}


def _learning_rates(finished: Sequence[Source]) -> dict[str, Any]:
    results = [source.cell.result or {} for source in finished]
    at_chosen = [
        {replica["lr"] for replica in source.replicas} == {result["chosen_lr"]}
        for source, result in zip(finished, results, strict=True)
    ]
    edges = {edge_of(result) for result, at in zip(results, at_chosen, strict=True) if at}
    return {
        "chosen_lrs": tuple(sorted({result["chosen_lr"] for result in results})),
        "edges": tuple(sorted(edges - {""}, reverse=True)),
        "chosen": all(at_chosen),
    }


def _summarize(entry: Entry, replicas: list[Replica], metric: Metric, complete: bool) -> Entry:
    diverged, infinite = (0, 0) if metric.per_cell else _count_lost(replicas, metric)
    numbers = [value for value in entry.values.values() if not math.isnan(value)]
    if diverged or infinite:
        entry = replace(entry, num_diverged=diverged, num_not_finite=infinite)
        middle = median(numbers) if numbers else None
        return replace(entry, status="diverged", median=middle)
    status = "done" if complete else "incomplete"
    if not numbers:
        return replace(entry, status=status if metric.per_cell else "incomplete")
    interval = mean_interval(numbers)
    return replace(entry, status=status, mean=interval.mean, low=interval.low, high=interval.high)


def _count_lost(replicas: list[Replica], metric: Metric) -> tuple[int, int]:
    diverged = [replica["status"] == "diverged" for replica in replicas]
    infinite = [metric.value(replica) is None for replica in replicas]
    num_infinite = sum(i and not d for i, d in zip(infinite, diverged, strict=True))
    return sum(diverged), num_infinite
