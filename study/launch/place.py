"""Where a launch keeps its cells: the study of an experiment's file is for that file's cells alone.

A launch of all of them makes the study's list, one of some adds to it; other seeds are the same
cells. With overrides that make other cells it is another study: of the name that the launch gives
it, else `NAME-2`, `NAME-3`, ..., the first that is free or that an equal launch has made.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from study.config.configuration import file_shown, hashed
from study.config.keys import KEYS
from study.config.sweep import Cell, Plan, plan
from study.errors import InputError
from study.launch.cells import identify
from study.outputs.records import Ledger, read_ledger
from study.outputs.schema import LEDGER_FILE

CELLS = ("sweep.exclude", "data.root")
"""The keys that change nothing in a cell, but which cells there are."""


@dataclass(frozen=True)
class Launch:
    """A plan with its place.

    `study` is the directory, which need not be there yet. `of_claims` are the cells that the
    study's claims are about: all that the experiment's file makes where the launch has some of
    them, else its own. `replaces`: the study's list of cells becomes that of this launch, which
    else adds to it; `accepts` tells a ledger that may be there from that of another study. `remark`
    says where the cells go, if not where their experiment's do.
    """

    planned: Plan
    cells: list[Cell]
    study: Path
    of_claims: list[Cell]
    replaces: bool = False
    accepts: Callable[[Ledger], bool] = lambda ledger: True
    remark: str | None = None


def prepared(planned: Plan) -> Launch:
    """The launch of a plan, with Hydra ready.

    Raises `InputError` for cells that cannot be (see `identify`), and where the study that the
    launch names is another experiment's.
    """
    cells, experiment = identify(planned.cells), planned.experiment
    named = Path(planned.base.config.outputs_dir) / planned.base.config.study
    if experiment is None:
        return Launch(planned, cells, named, of_claims=planned.cells)
    of_file = _of_file(planned, experiment)
    # A file of a study of images in a folder may leave it to the launch which.
    by_folder = all(cell.config.data.root for cell in of_file)
    asked, own = _trained(planned.cells, by_folder), _trained(of_file, by_folder)
    if asked <= own or "study" in planned.given:
        if (named / LEDGER_FILE).exists() and not _is_of(ledger := read_ledger(named), experiment):
            other = (ledger.experiment or {})["name"]
            raise InputError(
                f"{named} is the study of experiment={other}: give that of "
                f"experiment={experiment} another name, by study=NAME or in its file (or move "
                f"{named / LEDGER_FILE} away: what is finished is found again)"
            )
        seeds = {"seeds": planned.base.config.seeds}
        whole = [replace(cell, config=cell.config.changed(seeds)) for cell in of_file]
        return Launch(
            planned,
            cells,
            named,
            of_claims=whole if asked <= own else planned.cells,
            replaces=asked == own,
            accepts=lambda ledger: _is_of(ledger, experiment),
        )
    families = {cell.family for cell in cells}

    def accepts(ledger: Ledger) -> bool:
        """Whether the study has the cells of the launch, or one has some of the other's."""
        listed = {cell.family for cell in ledger.cells}
        fits = None not in listed and (listed <= families or families <= listed)
        return fits and _is_of(ledger, experiment, strictly=True)

    for number in itertools.count(2):
        study = named.with_name(f"{named.name}-{number}")
        if not (study / LEDGER_FILE).exists() or accepts(read_ledger(study)):
            break
    moved = planned.renamed(study.name)
    return Launch(
        moved,
        [
            replace(cell, config=new.config, overrides=new.overrides)
            for cell, new in zip(cells, moved.cells, strict=True)
        ],
        study,
        of_claims=moved.cells,
        accepts=accepts,
        remark=f"other cells than those of {file_shown('experiment', experiment)}: they are a "
        f"study of their own, {study} (study=NAME gives it another name)",
    )


def _of_file(planned: Plan, experiment: str) -> list[Cell]:
    """The cells of the experiment's file alone; none where it lacks what every launch must give."""
    if all(
        name in ("experiment", "seeds")
        or name.startswith("hydra")
        or (name in KEYS and KEYS[name].effect != "result" and name not in CELLS)
        for name in planned.given
    ):
        return planned.cells
    with contextlib.suppress(InputError):
        return plan([f"experiment={experiment}"], multirun=False).cells
    return []


def _trained(cells: Sequence[Cell], by_folder: bool) -> set[str]:
    """What each cell trains, seeds apart: on equal data, cells of one family have it in common."""
    found = set()
    for cell in cells:
        keys, data = hashed(cell.config.mapping), cell.config.data
        keys.pop("seeds")
        if by_folder and data.name == "image_folder":
            keys["data.root"] = data.root
        found.add(json.dumps(keys, sort_keys=True))
    return found


def _is_of(ledger: Ledger, experiment: str, *, strictly: bool = False) -> bool:
    """Whether the study is of the experiment, or at least of no other."""
    name = (ledger.experiment or {}).get("name")
    return name == experiment or (name is None and not strictly)
