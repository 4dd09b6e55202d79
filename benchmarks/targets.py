"""How fast it was meant to be, fixed before it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Row = Mapping[str, str]
BARE = "times as fast as a bare loop"
TEMPLATE = "times as fast as a template"
SHARE = "share of the best product rate"


@dataclass(frozen=True)
class Target:
    """A bound on one column of results/BENCHMARK.csv, in the rows that `where` selects.

    `normalized` is the bound with BatchNorm, where it is another.
    """

    what: str
    benchmark: str
    column: str
    bound: float
    where: Mapping[str, str] = field(default_factory=dict)
    at_most: bool = False
    normalized: float | None = None

    @property
    def wanted(self) -> str:
        other = "" if self.normalized is None else f" / {self.normalized:.3g}"
        return f"{'≤' if self.at_most else '≥'} {self.bound:.3g}{other}"

    def met(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def _updates(
    column: str, replicas: int, bounds: Mapping[str, float | tuple[float, float]]
) -> list[Target]:
    """Targets of results/steps.csv, by network: one bound, or another with BatchNorm."""
    at_once = "1 alone" if replicas == 1 else f"{replicas} at once"
    return [
        Target(
            what=f"{network}, {at_once}: {column}",
            benchmark="steps",
            column=column,
            bound=bound[0] if isinstance(bound, tuple) else bound,
            where={"network": network, "replicas": str(replicas)},
            normalized=bound[1] if isinstance(bound, tuple) else None,
        )
        for network, bound in bounds.items()
    ]


def _probes(column: str, bound: float, *cells: str) -> list[Target]:
    """Targets of results/probes.csv, by cell."""
    return [
        Target(f"probes, {cell}: {column}", "probes", column, bound, {"cell": cell}, at_most=True)
        for cell in cells
    ]


TARGETS = (
    *_updates(BARE, 20, {"MLP 3x32": (4.5, 6), "MLP 3x128": 2.6, "MLP 5x512": 2.2, "CNN": 2.2}),
    *_updates(BARE, 1, {"MLP 3x32": 0.8, "MLP 3x128": 1.3, "MLP 5x512": 1.5, "CNN": 1 / 1.05}),
    *_updates(TEMPLATE, 20, {"MLP 3x32": 25, "MLP 3x128": 25, "MLP 5x512": 6}),
    *_updates(TEMPLATE, 1, {"MLP 3x32": 12, "MLP 3x128": 12, "MLP 5x512": 4}),
    *_updates(SHARE, 20, {"MLP 3x128": 0.5, "MLP 5x512": 0.65}),
    Target("a cell beside its training, ms", "cells", "fixed_ms", 120, at_most=True),
    Target(
        "quickstart, whole: times as fast as a template",
        "quickstart",
        TEMPLATE,
        28,
        where={"sampled cell": "all"},
    ),
    Target(
        "from the command to its first update, against importing lightning and torchvision",
        "start",
        "first update, times as long as the imports",
        1.5,
        at_most=True,
    ),
    *_probes("time against probes=none", 1.15, "quickstart, relu", "quickstart, tanh, BatchNorm"),
    *_probes("share of the time inside probes", 0.03, "20 epochs on 55,000 images, 2 of 3x128"),
    Target(
        "a cell of 100 or 1,000, against one of 10: time",
        "growth",
        "time against 10 cells",
        1.1,
        at_most=True,
    ),
    Target(
        "the 1,000th cell, against the 10th: memory",
        "growth",
        "memory against 10 cells",
        1.05,
        at_most=True,
    ),
)


def judge(target: Target, rows: Sequence[Row]) -> tuple[str, str]:
    """What was measured, of the plain network and with BatchNorm, each `met` or `missed`."""
    plain = _verdict(target, rows, target.where, target.bound) or "not measured"
    if "network" not in target.where:
        return plain, ""
    normalized = {**target.where, "network": f"{target.where['network']}, BatchNorm"}
    bound = target.bound if target.normalized is None else target.normalized
    return plain, _verdict(target, rows, normalized, bound)


def _verdict(target: Target, rows: Sequence[Row], where: Mapping[str, str], bound: float) -> str:
    """The worst value of the rows that `where` selects; empty if there are none."""
    values = [
        row[target.column]
        for row in rows
        if all(row[column] == value for column, value in where.items())
    ]
    if not values:
        return ""
    worst = (max if target.at_most else min)(values, key=float)
    return f"{worst} {'met' if target.met(float(worst), bound) else 'missed'}"
