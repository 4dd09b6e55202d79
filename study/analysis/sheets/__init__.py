"""The analyses of a report, each a table of text with its notes."""

import functools
from collections.abc import Callable

from study.analysis.frames import Advance, Frames
from study.analysis.parts import Sheet
from study.analysis.sheets.learning_rates import learning_rates
from study.analysis.sheets.levels import effects, levels
from study.analysis.sheets.pairs import pairs
from study.analysis.sheets.ranking import ranking
from study.analysis.sheets.scores import Scores, all_scores, glossary
from study.analysis.sheets.targets import time_to_target

Analysis = Callable[[Scores, str], Sheet | None]


def make_sheets(frames: Frames, advance: Advance) -> list[Sheet]:
    """Every analysis of every origin of the study's cells that has something to say."""
    analyses: tuple[Analysis, ...] = (
        ranking,
        effects,
        levels,
        pairs,
        learning_rates,
        functools.partial(time_to_target, frames=frames),
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
