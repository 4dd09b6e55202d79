"""From saved outputs to a report: everything that is said about a study, in memory."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from study.errors import InputError
from study.outputs.records import read_cell, read_ledger, require_finished, stale_directories
from study.report.caption import coverage
from study.report.frames import Frames
from study.report.joined import FACTOR, JoinedFrames, join, origin_remarks
from study.report.origins import by_origin
from study.report.parts import Drawn, Report, Verdict
from study.report.pivot import Pivot
from study.report.published import published_sheets
from study.report.requests import DEFAULT, Settings, make_pivots, settings_of
from study.report.sheets import make_sheets

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
NUM_LISTED = 20


def quiet(stage: str, done: int, total: int) -> None:
    """An `Advance` that says nothing."""


def read_frames(directory: str, advance: Advance = quiet) -> Frames:
    """The study in a directory; InputError if it is none or has no finished cell."""
    ledger = read_ledger(directory)
    cells = []
    for place, entry in enumerate(ledger.cells):
        advance("cells", place, len(ledger.cells))
        cells.append(read_cell(ledger.directory / entry.directory, entry))
    return Frames(ledger, require_finished(ledger, cells), stale_directories(ledger))


def read_studies(directories: Sequence[str], advance: Advance = quiet) -> Frames:
    """One study, or several joined; InputError where these cannot be compared."""
    parts = [read_frames(directory, advance) for directory in directories]
    return parts[0] if len(parts) == 1 else join(parts)


def build_report(frames: Frames, advance: Advance = quiet) -> Report:
    """The report of one study, or of several joined ones. It writes nothing."""
    settings, problems = _settings(frames)
    advance("tables", 0, 1)
    pivots, left_out = _pivots(frames, settings)
    sheets = make_sheets(frames, settings.targets, advance)
    advance("claims", 0, 1)
    verdicts, warnings = _verdicts(frames)
    advance("figures", 0, 1)
    figures = _figures(frames)
    return Report(
        frames=frames,
        title=frames.name,
        remarks=(*header(frames), *problems, *left_out, *warnings),
        verdicts=tuple(verdicts),
        pivots=tuple(pivots),
        sheets=tuple(sheets),
        figures=tuple(figures),
        published=tuple(published_sheets(frames.cells)),
    )


def header(frames: Frames) -> list[str]:
    """What the report rests on: how many cells, which files are not used, how few seeds."""
    cells, finished = frames.cells, frames.finished
    diverged = sum(cell.status == "diverged" for cell in finished)
    lines = coverage(cells, frames.stale)
    if len(finished) == len(cells):
        lines = [f"All {len(cells)} cells are finished.", *lines]
    if diverged:
        lines.append(
            f"{diverged} of them {'has' if diverged == 1 else 'have'} diverged replicas at the "
            "chosen learning rate: a median stands for them, without an interval."
        )
    return [*lines, *_problems(frames), *_seeds(frames), *origin_remarks(frames)]


def _problems(frames: Frames) -> list[str]:
    """Every file that is not used, and how many more there are than can be listed."""
    problems = [problem for cell in frames.cells for problem in cell.problems]
    if not problems:
        return []
    what = "result.json is" if len(problems) == 1 else "files result.json are"
    listed = problems[:NUM_LISTED]
    more = len(problems) - len(listed)
    rest = [f"and {more} more (study status --json lists all)"] if more else []
    return [f"{len(problems)} {what} not used, and the cells are skipped:", *listed, *rest]


def _seeds(frames: Frames) -> list[str]:
    """Whether some cells have too few seeds for an interval."""
    few = [
        cell
        for cell in frames.finished
        if len({replica["seed"] for replica in (cell.result or {})["replicas"]}) < 2
    ]
    if not few:
        return []
    which = "Every cell has" if len(few) == len(frames.finished) else f"{len(few)} cells have"
    return [f"{which} fewer than 2 seeds: no interval can be given and no difference decided."]


def _settings(frames: Frames) -> tuple[Settings, list[str]]:
    """What the experiment's file asks for; a remark where that cannot be read."""
    try:
        return settings_of(frames.ledger), []
    except InputError as error:
        return Settings(), [f"The experiment's file: {error}; the default tables stand instead."]


def _pivots(frames: Frames, settings: Settings) -> tuple[list[Pivot], list[str]]:
    """The tables. Joined studies have default ones, each its own where not all share their data."""
    if not isinstance(frames, JoinedFrames):
        return make_pivots(frames.cells, settings.tables)
    if len(by_origin(frames.cells)) == 1:
        return make_pivots(frames.cells, ())
    own = [
        f"{table} --where {shlex.quote(f'{FACTOR}={n}')}" for n in frames.names for table in DEFAULT
    ]
    return make_pivots(frames.cells, own)


def _verdicts(frames: Frames) -> tuple[list[Verdict], list[str]]:
    """The verdicts on the claims of a study, or of each of the joined ones under its name."""
    from study.claims import decide, remarks

    if not isinstance(frames, JoinedFrames):
        return list(decide(frames)), list(remarks(frames))
    verdicts, warnings = [], []
    for name, part in zip(frames.names, frames.parts, strict=True):
        verdicts += [replace(verdict, id=f"{name}: {verdict.id}") for verdict in decide(part)]
        warnings += [f"{name}: {line}" for line in remarks(part)]
    return verdicts, warnings


def _figures(frames: Frames) -> list[Drawn]:
    from study.report.figures import figures

    return list(figures(frames))
