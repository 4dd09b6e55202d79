"""McNemar's test between cells, image by image, seed by seed: the best one, and those asked for."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from study.analysis.frames import Frames
from study.analysis.parts import Sheet
from study.analysis.requests import Comparison
from study.analysis.sheets.scores import Score, Scores, asked_pairs, p_text, signed
from study.analysis.statistics.corrections import holm
from study.analysis.statistics.equivalence import McNemar, mcnemar_by_seed
from study.config.labels import counted
from study.outputs.cell import read_labels

FILE = "predictions.npz"
NUM_RIVALS = 5
COLUMNS = (
    "first",
    "second",
    "seed",
    "first alone right",
    "second alone right",
    "difference",
    "p (Holm)",
)


@dataclass(frozen=True)
class Tested:
    """Two cells and their tests by seed, or why there are none."""

    first: Score
    second: Score
    tests: dict[int, McNemar]
    reason: str = ""


def mcnemar_sheet(
    scores: Scores, suffix: str = "", *, frames: Frames, compare: Sequence[Comparison] = ()
) -> Sheet | None:
    """The best cell's predictions against those of the next, and the pairs of `compare`.

    None where no cell of these keeps its predictions.
    """
    if len(scores.ranked) < 2 or scores.metric.unit != "%":
        return None
    wanted = _wanted(scores, compare)
    if not any(FILE in _files(score) for score in itertools.chain(*wanted)):
        return None
    pairs = [_tested(frames, first, second) for first, second in wanted]
    rivals = pairs[: len(scores.ranked[1 : 1 + NUM_RIVALS])]
    num_tested = sum(bool(pair.tests) for pair in rivals)
    asked, others = len(pairs) - len(rivals), counted(len(scores.ranked) - 1, "cell")
    more = f", and {asked} that the experiment's file asks for" if asked else ""
    return Sheet(
        name=f"mcnemar{suffix}",
        title=f"Cells, image by image{scores.where}",
        caption=f"McNemar's exact test of {scores.ranked[0].words} against the next "
        f"{len(rivals)} of {others} ({num_tested} could be tested){more}: "
        "on the same test images, for each seed by itself, at chosen learning rates.",
        columns=COLUMNS,
        rows=tuple(_rows(scores, pairs)),
        notes=_NOTES,
    )


_NOTES = (
    "It compares two trained networks, not two ways of training: that is what the paired interval "
    "over seeds is for. Seeds are never pooled: they share the test images.",
    "difference: the second's error minus the first's, on these images. p: exact, corrected over "
    "the rows of this table.",
)


def _wanted(scores: Scores, compare: Sequence[Comparison]) -> list[tuple[Score, Score]]:
    """The best cell with each of the next, then the pairs asked for, each pair once."""
    near = [(scores.ranked[0], other) for other in scores.ranked[1 : 1 + NUM_RIVALS]]
    found: dict[frozenset[str], tuple[Score, Score]] = {}
    for first, second in (*near, *asked_pairs(scores, compare)):
        found.setdefault(frozenset({first.cell.directory, second.cell.directory}), (first, second))
    return list(found.values())


def _tested(frames: Frames, first: Score, second: Score) -> Tested:
    for score in (first, second):
        if FILE not in _files(score):
            return Tested(first, second, {}, f"{score.words} keeps no {FILE}")
        if not frames.sound(score.cell, FILE):
            reason = f"{FILE} of {score.words} is not the file that its record names"
            return Tested(first, second, {}, reason)
    labels, others = (read_labels(score.cell.path) for score in (first, second))
    if labels is None or others is None:
        return Tested(first, second, {}, "the true classes were not kept when they were trained")
    if labels.tolist() != others.tolist():
        return Tested(first, second, {}, "they were tested on other images")
    one, other = (frames.predictions(score.cell) or {} for score in (first, second))
    tests = mcnemar_by_seed(one, other, labels)
    return Tested(first, second, tests, "" if tests else "they share no seed")


def _rows(scores: Scores, pairs: Sequence[Tested]) -> Iterator[tuple[str, ...]]:
    adjusted = iter(holm([test.p for pair in pairs for test in pair.tests.values()]))
    for pair in pairs:
        names = pair.first.words, pair.second.words
        for seed, test in pair.tests.items():
            yield (
                *names,
                str(seed),
                str(test.only_first),
                str(test.only_second),
                signed(scores.metric, -test.difference),
                p_text(next(adjusted)),
            )
        if pair.reason:
            yield *names, "–", "–", "–", "–", f"not decidable: {pair.reason}"


def _files(score: Score) -> Any:
    return (score.cell.result or {}).get("files", {})
