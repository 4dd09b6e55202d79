"""What a claim may set against each other: errors of the same images alone."""

from study.claims.cells import RATE, Levels, matches
from study.claims.quantity import NotDecidableError
from study.claims.question import Question
from study.outputs.records import CellRecord
from study.report.origins import by_origin


def require_one_origin(question: Question) -> None:
    """NotDecidableError where errors of several data or splits are set against each other.

    The two differences of a difference of differences are each of one origin, and may be of two.
    """
    if not question.claim.is_of_data:
        return
    for wheres in question.claim.compared:
        origins = by_origin([cell for cell in question.frames.finished if _is_of(cell, wheres)])
        if len(origins) > 1:
            (first, (one, *_)), (second, (other, *_)) = list(origins.items())[:2]
            raise NotDecidableError(
                "errors of other images are not compared: "
                f"{one.directory} has {first.words}, {other.directory} {second.words}"
            )


def _is_of(cell: CellRecord, wheres: tuple[Levels, ...]) -> bool:
    return any(
        matches(cell, {factor: levels for factor, levels in where.items() if factor != RATE})
        for where in wheres
    )
