"""The analyses of a report, each a table of text with its notes."""

import functools
from collections.abc import Callable, Sequence

from study.report.frames import Frames
from study.report.parts import Sheet
from study.report.sheets.effects import effects
from study.report.sheets.glossary import glossary
from study.report.sheets.learning_rates import learning_rates, one_rate
from study.report.sheets.levels import levels
from study.report.sheets.mcnemar import mcnemar_sheet
from study.report.sheets.pairs import pairs
from study.report.sheets.ranking import ranking
from study.report.sheets.scores import Scores, all_scores
from study.report.sheets.seeds import seeds
from study.report.sheets.targets import time_to_target

Advance = Callable[[str, int, int], None]
Analysis = Callable[[Scores, str], Sheet | None]


def make_sheets(frames: Frames, targets: Sequence[float], advance: Advance) -> list[Sheet]:
    """Every analysis of every origin of the study's cells that has something to say.

    `targets`: validation errors, the time to which is told; none: the median of the
    cells' own.
    """
    analyses: tuple[Analysis, ...] = (
        ranking,
        effects,
        levels,
        pairs,
        seeds,
        learning_rates,
        one_rate,
        functools.partial(time_to_target, targets=targets),
        functools.partial(mcnemar_sheet, frames=frames),
    )
    groups = all_scores(frames.cells)
    steps = [(a, group, place) for place, group in enumerate(groups) for a in analyses]
    sheets = []
    for done, (analysis, group, place) in enumerate(steps):
        advance("analyses", done, len(steps))
        sheet = analysis(group, group.suffix(place))
        if sheet is not None:
            sheets.append(sheet)
    return [*sheets, glossary(frames)]
