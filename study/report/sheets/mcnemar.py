"""McNemar's test of the best cell against the next ones, image by image, seed by seed."""

from collections.abc import Iterator
from typing import Any

from study.outputs.cell import read_labels
from study.report.frames import Frames
from study.report.parts import Sheet
from study.report.sheets.scores import Score, Scores, p_text, signed
from study.statistics.corrections import holm
from study.statistics.mcnemar import McNemar, mcnemar_by_seed

NUM_RIVALS = 5
_TITLE = "The best cell, image by image"
_COLUMNS = ("rival", "seed", "best alone right", "rival alone right", "difference", "p (Holm)")


def mcnemar_sheet(scores: Scores, suffix: str = "", *, frames: Frames) -> Sheet | None:
    """The best cell's predictions against those of the next; None where there are none."""
    ranked = scores.ranked
    if len(ranked) < 2 or scores.metric.unit != "%":
        return None
    if not frames.sound(ranked[0].cell, "predictions.npz"):
        return None
    truth = read_labels(ranked[0].cell.path)
    if truth is None:
        return _undecidable(scores, suffix)
    tests = list(_tests(frames, ranked[0], ranked[1 : 1 + NUM_RIVALS], truth))
    adjusted = holm([test.p for _, _, test in tests])
    return Sheet(
        name=f"mcnemar{suffix}",
        title=f"{_TITLE}{scores.where}",
        caption=f"McNemar's exact test of {ranked[0].words} against the next "
        f"{min(NUM_RIVALS, len(ranked) - 1)} cells, on the same {len(truth):,} test images, for "
        "each seed by itself, at chosen learning rates.",
        columns=(
            "rival",
            "seed",
            "best alone right",
            "rival alone right",
            "difference",
            "p (Holm)",
        ),
        rows=tuple(
            (
                rival.words,
                str(seed),
                str(test.only_first),
                str(test.only_second),
                signed(scores.metric, -test.difference),
                p_text(p),
            )
            for (rival, seed, test), p in zip(tests, adjusted, strict=True)
        ),
        notes=(
            "It compares two trained networks, not two ways of training: that is what the paired "
            "interval over seeds is for. Seeds are never pooled: they share the test images.",
            "difference: the rival's error minus the best one's, on these images. p: exact, "
            "corrected over the rows of this table.",
        ),
    )


def _undecidable(scores: Scores, suffix: str) -> Sheet:
    caption = (
        "McNemar's test needs the true classes of the test images, which the predictions.npz of "
        "the best cell does not hold: it was trained before they were kept."
    )
    return Sheet(f"mcnemar{suffix}", f"{_TITLE}{scores.where}", caption, _COLUMNS, ())


def _tests(
    frames: Frames, best: Score, rivals: list[Score], truth: Any
) -> Iterator[tuple[Score, int, McNemar]]:
    own = frames.predictions(best.cell) or {}
    for rival in rivals:
        other, labels = frames.predictions(rival.cell) or {}, _labels(frames, rival)
        if labels is not None and labels.tolist() == truth.tolist():
            for seed, test in mcnemar_by_seed(own, other, truth).items():
                yield rival, seed, test


def _labels(frames: Frames, score: Score) -> Any:
    """The true test classes of a cell; None if its file is not sound or lacks them."""
    if not frames.sound(score.cell, "predictions.npz"):
        return None
    return read_labels(score.cell.path)
