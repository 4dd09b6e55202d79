"""The largest learning rate at which a cell is still about as good as at its best."""

import math
from collections.abc import Sequence

from study.claims.quantity import NotDecidableError, Numbers, Quantity
from study.claims.question import Effect, Question, Seeds, contrast, identity
from study.outputs.records import CellRecord
from study.report.frames import Frames


def largest_rate(question: Question) -> Effect:
    """log10 of the largest learning rate whose number is within `within` of the best one's.

    A diverged replica is infinitely bad. At the highest rate of a grid it is a lower bound: a
    larger one may be as good. Where the lowest rate alone is the best it is an upper bound: a still
    lower one may be better, and the distance is counted from the best.
    """
    within = question.claim.within
    assert within is not None

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return _largest(question.quantity, cells, within)

    rates = Quantity("largest_rate", "largest good learning rate", "decades", read)
    return contrast(Question(question.frames, question.claim, rates), identity)


def _largest(quantity: Quantity, cells: Sequence[CellRecord], within: float) -> Numbers:
    values: dict[str, Seeds] = {}
    at_least, at_most = set(), set()
    for cell in cells:
        by_seed = _by_rate(quantity, cell)
        good = {seed: _largest_good(by_rate, within) for seed, by_rate in by_seed.items()}
        values[cell.directory] = {seed: math.log10(rate) for seed, rate in good.items()}
        if any(rate == max(by_seed[seed]) for seed, rate in good.items()):
            at_least.add(cell.directory)
        if any(_is_best_at_lowest(by_rate) for by_rate in by_seed.values()):
            at_most.add(cell.directory)
    return Numbers(values, frozenset(at_least), frozenset(at_most))


def _largest_good(by_rate: dict[float, float], within: float) -> float:
    best = min(by_rate.values())
    return max(rate for rate, number in by_rate.items() if number <= best + within)


def _is_best_at_lowest(by_rate: dict[float, float]) -> bool:
    lowest, *others = sorted(by_rate)
    return all(by_rate[lowest] < by_rate[rate] for rate in others)


def _by_rate(quantity: Quantity, cell: CellRecord) -> dict[int, dict[float, float]]:
    """{seed: {learning rate: number}}, infinite where a replica diverged."""
    assert quantity.metric is not None
    assert cell.result is not None
    by_seed: dict[int, dict[float, float]] = {}
    for replica in cell.result["replicas"]:
        value = quantity.metric.value(replica)
        lost = value is None or replica["status"] == "diverged"
        number = math.inf if lost or value is None else value * quantity.metric.scale
        by_seed.setdefault(int(replica["seed"]), {})[replica["lr"]] = number
    if any(len(by_rate) < 2 for by_rate in by_seed.values()):
        raise NotDecidableError(f"{cell.directory} has a single learning rate")
    if any(min(by_rate.values()) == math.inf for by_rate in by_seed.values()):
        raise NotDecidableError(f"a seed of {cell.directory} diverged at every learning rate")
    return by_seed
