"""From saved outputs to a report: everything that is said about a study, in memory."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace

from study.analysis.caption import coverage
from study.analysis.frames import Advance, Frames, quiet
from study.analysis.joined import FACTOR, JoinedFrames, join, origin_remarks
from study.analysis.origins import by_origin
from study.analysis.parts import Report, Verdict
from study.analysis.pivot import Pivot
from study.analysis.published import published_sheets
from study.analysis.requests import DEFAULT, make_pivots, tables_of
from study.analysis.sheets import make_sheets
from study.config.labels import counted
from study.errors import InputError

NUM_LISTED = 20


def read_studies(directories: Sequence[str | os.PathLike[str]], advance: Advance = quiet) -> Frames:
    """One study, or several joined; InputError where these cannot be compared."""
    parts = [Frames.read(directory, advance) for directory in directories]
    return parts[0] if len(parts) == 1 else join(parts)


def build_report(frames: Frames, advance: Advance = quiet) -> Report:
    """The report of one study, or of several joined ones. It writes nothing."""
    tables: tuple[str, ...] = ()
    problems = []
    try:
        tables = tables_of(frames.ledger)
    except InputError as error:
        problems = [f"The experiment's file: {error}; the default tables stand instead."]
    advance("tables", 0, 1)
    pivots, left_out = _pivots(frames, tables)
    sheets = make_sheets(frames, advance)
    advance("claims", 0, 1)
    verdicts, warnings = _verdicts(frames)
    advance("figures", 0, 1)
    # Here, since a command that draws nothing does without matplotlib.
    from study.report.figures import figures

    drawn = figures(frames)
    return Report(
        frames=frames,
        title=frames.name,
        remarks=(*header(frames), *problems, *left_out, *warnings),
        verdicts=tuple(verdicts),
        pivots=tuple(pivots),
        sheets=tuple(sheets),
        figures=tuple(drawn),
        published=tuple(published_sheets(frames.cells)),
    )


def header(frames: Frames) -> list[str]:
    """What the report rests on: how many cells, which files are not used, how few seeds."""
    cells, finished = frames.cells, frames.finished
    diverged = sum(cell.status == "diverged" for cell in finished)
    lines = coverage(cells, frames.unlisted)
    if len(finished) == len(cells):
        whole = "The one cell is" if len(cells) == 1 else f"All {len(cells)} cells are"
        lines = [f"{whole} finished.", *lines]
    if diverged:
        lines.append(
            f"{diverged} of them {'has' if diverged == 1 else 'have'} diverged replicas at the "
            "chosen learning rate: a median stands for them, without an interval."
        )
    problems = [problem for cell in frames.cells for problem in cell.problems]
    what = "result.json is" if len(problems) == 1 else "files result.json are"
    unsound = [f"{place} is not used: {reason}" for place, reason in sorted(frames.unsound.items())]
    which = "file beside result.json is" if len(unsound) == 1 else "files beside result.json are"
    few = sum(len(cell.finished.seeds) < 2 for cell in finished)
    whose = f"{counted(few, 'cell')} {'has' if few == 1 else 'have'}"
    whose = "Every cell has" if few == len(finished) else whose
    told = f"{whose} fewer than 2 seeds: no interval can be given and no difference decided."
    few_seeds = [told] if few else []
    return [
        *lines,
        *_listed(f"{what} not used, and the cells are skipped:", problems),
        *_listed(f"{which} not used:", unsound),
        *few_seeds,
        *origin_remarks(frames),
    ]


def _listed(heading: str, lines: Sequence[str]) -> list[str]:
    """The lines under their number and heading, and how many more there are than can be listed."""
    if not lines:
        return []
    more = len(lines) - NUM_LISTED
    rest = [f"and {more} more"] if more > 0 else []
    return [f"{len(lines)} {heading}", *lines[:NUM_LISTED], *rest]


def _pivots(frames: Frames, tables: Sequence[str]) -> tuple[list[Pivot], list[str]]:
    """The tables. Joined studies have default ones, each its own where not all share their data."""
    if not isinstance(frames, JoinedFrames):
        return make_pivots(frames.cells, tables)
    if len(by_origin(frames.cells)) == 1:
        return make_pivots(frames.cells, ())
    own = [
        f"{table} --where {shlex.quote(f'{FACTOR}={n}')}" for n in frames.names for table in DEFAULT
    ]
    return make_pivots(frames.cells, own)


def _verdicts(frames: Frames) -> tuple[list[Verdict], list[str]]:
    """The verdicts on the claims of a study, or of each of the joined ones under its name."""
    from study.analysis.claims import decide, remarks

    if not isinstance(frames, JoinedFrames):
        return list(decide(frames)), list(remarks(frames))
    verdicts, warnings = [], []
    for name, part in zip(frames.names, frames.parts, strict=True):
        verdicts += [replace(verdict, id=f"{name}: {verdict.id}") for verdict in decide(part)]
        warnings += [f"{name}: {line}" for line in remarks(part)]
    return verdicts, warnings
