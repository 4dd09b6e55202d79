"""Effects across cells: how two quantities rank them, and how often two networks disagree."""

from collections.abc import Sequence
from typing import Any

from study.claims.cells import require_pairs
from study.claims.partners import read_partner
from study.claims.quantity import NotDecidableError
from study.claims.question import Effect, Question, Seeds, mean, require_exact
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.words import counted

FEWEST_CELLS = 4
"""Of fewer cells a rank correlation says nothing."""


def rank_correlation(question: Question) -> Effect:
    """Spearman's rank correlation over cells of the quantity with another."""
    side = question.side()
    if len(side.all) < FEWEST_CELLS:
        words = counted(len(side.all), "cell")
        raise NotDecidableError(
            f"a rank correlation needs {FEWEST_CELLS} cells, and here is {words}"
        )
    first = question.numbers(side)
    second = read_partner(str(question.claim.partner), question.frames, side.all, side.lr)
    require_exact(first, second)
    columns = [(first.values[c.directory], second.values[c.directory]) for c in side.all]
    shared = mean([seeds for column in columns for seeds in column])
    values = {seed: _spearman([(x[seed], y[seed]) for x, y in columns]) for seed in shared}
    return Effect(values, tuple(side.all), 1.0)


def _spearman(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation of the ranks, ties at their mean rank (Spearman 1904)."""
    first, second = zip(*pairs, strict=True)
    if len(set(first)) < 2 or len(set(second)) < 2:
        raise NotDecidableError("one of the two quantities is the same in all cells")
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def disagreement(question: Question) -> Effect:
    """Share of test images that the two sides' networks of one seed put into different classes."""
    first, second = question.side(), question.side(question.claim.against)
    require_pairs(first, second)
    samples = []
    for key, cells in first.cells.items():
        others = second.cells[key]
        if len(cells) > 1 or len(others) > 1:
            raise NotDecidableError(
                f"{counted(len(cells), 'cell')} and {len(others)} cannot be compared image by "
                "image: name one level on each side"
            )
        samples.append(_disagreement(question.frames, cells[0], others[0]))
    return Effect(mean(samples), (*first.all, *second.all), 100.0)


def _disagreement(frames: Frames, one: CellRecord, other: CellRecord) -> Seeds:
    first, second = _predictions(frames, one), _predictions(frames, other)
    shared = sorted(first.keys() & second.keys())
    if any(len(first[seed]) != len(second[seed]) for seed in shared):
        raise NotDecidableError(f"{one.directory} and {other.directory} have other test images")
    return {seed: 100.0 * float((first[seed] != second[seed]).mean()) for seed in shared}


def _predictions(frames: Frames, cell: CellRecord) -> dict[int, Any]:
    found = frames.predictions(cell)
    if not found:
        raise NotDecidableError(f"{cell.directory} has no predictions.npz that its record names")
    return found
