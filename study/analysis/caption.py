"""The words of a table: entries, captions and notes, in plain text that every format escapes."""

import shlex
from collections.abc import Sequence

from study.analysis.lookup import reference_lines
from study.analysis.pivot import NOT_MEASURED, Entry, Pivot, Table
from study.config.labels import counted
from study.outputs.factors import shared_parts, where_text
from study.outputs.records import CellRecord, count_statuses
from study.outputs.unlisted import Unlisted, listed_again
from study.outputs.versions import other_versions

EDGE_MARKS = {"highest": "lr↑", "lowest": "lr↓"}
TIED_MARK = "≈"
CHOSEN_MARK = "°"
ABSENT_MARK = "–"


def number_text(pivot: Pivot, entry: Entry) -> str:
    """The number of an entry: `1.72 ± 0.05`, a median, or the state of a cell without one."""
    metric = pivot.metric
    if entry.median is not None:
        return metric.text(entry.median)
    if entry.mean is not None:
        half_width = "" if entry.high is None else f" ± {metric.text(entry.high - entry.mean)}"
        return metric.text(entry.mean) + half_width
    return ABSENT_MARK if entry.status in ("absent", "done", "diverged") else entry.status


def marks(pivot: Pivot, entry: Entry) -> list[str]:
    """What follows the number; every mark is explained in `notes`."""
    found = [TIED_MARK] if entry.best == "tied" else []
    if "lr" in (pivot.rows, pivot.columns) and entry.chosen:
        found.append(CHOSEN_MARK)
    found += [EDGE_MARKS[edge] for edge in entry.edges]
    if entry.num_diverged:
        found.append(f"({entry.num_diverged}/{entry.num_replicas} diverged)")
    if entry.num_not_finite:
        found.append(f"({entry.num_not_finite}/{entry.num_replicas} not finite)")
    if entry.num_combinations < entry.num_expected:
        found.append(f"({entry.num_combinations}/{entry.num_expected} cells)")
    if entry.values and pivot.common_seeds is None:
        found.append(f"(n={entry.num_seeds})")
    return found


def shared(pivot: Pivot) -> dict[str, list[str]]:
    """For the factors of rows and columns, the `key=value` parts that all their levels share."""
    levels: dict[str, dict[str, None]] = {}
    for table in pivot.tables:
        for factor, shown in ((pivot.rows, table.row_levels), (pivot.columns, table.column_levels)):
            levels.setdefault(factor or "", {}).update(dict.fromkeys(shown))
    return {factor: shared_parts(list(found)) for factor, found in levels.items() if factor}


def caption(pivot: Pivot, table: Table, study: str) -> str:
    """What a table shows, in one or two sentences."""
    metric = pivot.metric
    better = "" if metric.direction == "none" else f"{metric.direction} is better"
    inside = ", ".join(word for word in (metric.unit, better) if word)
    fixed = where_text({**pivot.where, **{f: [level] for f, level in table.levels.items()}})
    axes = (("rows", pivot.rows), ("columns", pivot.columns))
    shown = ", ".join(f"{name}: {factor}" for name, factor in axes if factor)
    label = metric.label[0].upper() + metric.label[1:] + (f" ({inside})" if inside else "")
    return f"{label}, study {study}{', ' if fixed else ''}{fixed}; {shown}. {_summary(pivot)}"


def notes(pivot: Pivot, bold: str) -> list[str]:
    """What stands beside the numbers, the legend of the marks, and the metric's glossary line."""
    entries = pivot.entries
    lines = reference_lines(pivot.metric, pivot.cells)
    if any(entry.best for entry in entries):
        lonely = all(entry.num_seeds < 2 for entry in entries)
        lines.append(
            f"{bold}: the best of its {pivot.compared}; one seed cannot tell whether others are "
            "distinguishable from it."
            if lonely
            else f"{bold}: the best of its {pivot.compared}; {TIED_MARK}: not distinguishable from "
            "it (the 95 % t interval of the difference, paired by seed, holds 0)."
        )
    if pivot.not_compared:
        several = "; ".join(origin.words for origin in pivot.not_compared)
        lines.append(
            f"Nothing is marked in a {pivot.compared} of several data or splits ({several}): its "
            "numbers are not of the same images."
        )
    if any(CHOSEN_MARK in marks(pivot, entry) for entry in entries):
        lines.append(f"{CHOSEN_MARK}: the learning rate that validation chose.")
    if any(entry.edges for entry in entries):
        lines.append(
            "lr↑, lr↓: the chosen learning rate is the highest, the lowest of its grid; "
            "a better one may lie beyond, so the comparison is not fair."
        )
    median = "of n replicas; the median over seeds, without an interval, and not compared."
    if any(entry.num_diverged for entry in entries):
        lines.append(f"(k/n diverged): k {median}")
    if any(entry.num_not_finite for entry in entries):
        lines.append(f"(k/n not finite): {pivot.metric.name} of k {median}")
    if any(entry.num_combinations < entry.num_expected for entry in entries):
        lines.append("(k/m cells): k of the m cells to average over are finished; not compared.")
    if any(entry.status == "absent" for entry in entries):
        lines.append(f"{ABSENT_MARK}: not in the study.")
    if any(entry.status == NOT_MEASURED for entry in entries):
        lacking = pivot.metric.lacking
        lines.append(
            f"{NOT_MEASURED}: the cell was trained with probes=none, has no such probe, moment or "
            "layer, or its probes.csv is not used (then it is named below)"
            f"{f'; {lacking}' if lacking else ''}."
        )
    for factor, parts in shared(pivot).items():
        if parts:
            lines.append(f"{factor}: every level has {' '.join(parts)}.")
    return [line for line in [*lines, f"{pivot.metric.name}: {pivot.metric.help}."] if line]


def coverage(cells: Sequence[CellRecord], unlisted: Sequence[Unlisted]) -> list[str]:
    """What tables leave out (unfinished cells, what is not listed), and what other code trained.

    Of a cell that a listed one is the same as with more seeds they leave nothing out.
    """
    counts = count_statuses(cells)
    finished = counts.pop("done") + counts.pop("diverged")
    states = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    verb = "is" if len(cells) == 1 else "are"
    whole = f"{finished} of {counted(len(cells), 'cell')} {verb} finished ({states})."
    lines = [whole] if states else []
    if left_out := [each for each in unlisted if each.is_left_out]:
        what = counted(len(left_out), "finished cell")
        lines.append(f"{what} outside study.json left out; {listed_again(left_out, _written)}.")
    if stale := sum(not each.is_finished for each in unlisted):
        what = "directory" if stale == 1 else "directories"
        lines.append(f"{stale} stale {what} outside study.json left out.")
    return [*lines, *(f"{line}." for line in other_versions(cells))]


def _written(*arguments: str) -> str:
    """A command line by the program's name, and without the place of outputs.

    A report's bytes depend on neither.
    """
    return shlex.join(
        ["study", *(each for each in arguments if not each.startswith("outputs_dir="))]
    )


def _summary(pivot: Pivot) -> str:
    if pivot.metric.per_cell:
        return f"One number per cell{_averaged(pivot)}."
    seeds = pivot.common_seeds
    if "seed" in (pivot.rows, pivot.columns) or seeds == 1:
        what = "One seed per entry, no interval"
    else:
        over = "over the seeds (n in each entry)" if seeds is None else f"over {seeds} seeds"
        what = f"Mean ± half-width of the 95 % t interval {over}"
    at = ", at each cell's chosen learning rate"
    if "lr" in (*pivot.over, *pivot.where):
        averaged = "lr" in pivot.over
        at = "" if averaged else ", at that learning rate whatever validation chose"
    if "lr" in (pivot.rows, pivot.columns):
        at = ", at each learning rate"
    return f"{what}{at}{_averaged(pivot)}."


def _averaged(pivot: Pivot) -> str:
    names = {factor: "the learning rates" if factor == "lr" else factor for factor in pivot.over}
    over = [f"{names[f]} ({', '.join(levels)})" for f, levels in pivot.over.items() if f != "seed"]
    if not over:
        return ""
    first = "" if pivot.metric.per_cell else ": first for each seed, then over seeds"
    return f", averaged over {' and '.join(over)}{first}"
