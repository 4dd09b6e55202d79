"""The command that trains again the cells which decide a claim, and no others."""

import shlex
from collections.abc import Mapping, Sequence

from study.claims.cells import RATE
from study.keys import GROUPS
from study.outputs.provenance import launch_overrides
from study.outputs.records import CellRecord
from study.report.factors import DEFAULT_LEVEL, cell_level
from study.report.frames import Frames

OWN_NAMES = ("study", "outputs_dir")
Levels = Mapping[str, Sequence[str]]


def rerun_command(frames: Frames, known: Levels, cells: Sequence[CellRecord]) -> str:
    """Trains the cells' combinations of levels, as a study of its own.

    The launch that the cells were trained by, narrowed to their levels; that of the experiment's
    file where they were not all trained by one launch. Without `cells`, the study's own launch,
    which trains what is not finished. `known`: all levels of each factor.
    """
    given = _launched(cells or frames.finished)
    if given is None:
        name = (frames.ledger.experiment or {}).get("name")
        given = [f"experiment={name}"] if name else []
    narrowed = _narrowed(known, cells)
    kept = [text for text in given if text.partition("=")[0] not in (*OWN_NAMES, *narrowed)]
    if not any(text.startswith("experiment=") for text in kept) and "-m" not in kept:
        kept.insert(0, "-m")
    own = [f"study={frames.name}_again" if cells else f"study={frames.name}"]
    return shlex.join(["study", "train", *kept, *own, *narrowed.values()])


def _launched(cells: Sequence[CellRecord]) -> list[str] | None:
    """The overrides of the launch that trained the cells, and -m; None if there were several."""
    commands = {(cell.result or {}).get("provenance", {}).get("command") for cell in cells}
    return launch_overrides(commands.pop()) if len(commands) == 1 else None


def _narrowed(known: Levels, cells: Sequence[CellRecord]) -> dict[str, str]:
    """{factor: the override that gives it the cells' levels}, where they have not all of them."""
    narrowed = {}
    for factor, every in known.items():
        found = {cell_level(cell, factor) for cell in cells} if factor != RATE else set()
        levels = [level for level in every if level in found and level != DEFAULT_LEVEL]
        if levels and len(levels) < len(every):
            narrowed[factor] = f"{factor}={','.join(_quoted(factor, each) for each in levels)}"
    return narrowed


def _quoted(factor: str, level: str) -> str:
    """A level as Hydra takes it: one with keys of its own in quotes."""
    return f"'{level}'" if factor in GROUPS and " " in level else level
