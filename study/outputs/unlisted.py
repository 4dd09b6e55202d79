"""Cells that lie in a study's directory and that its ledger does not list, or no longer."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.config.configuration import CONF, RECIPE
from study.console import CONFIG_DIR, command
from study.files import read_json
from study.outputs.cell import is_set_aside
from study.outputs.provenance import launch_overrides
from study.outputs.records import CellRecord, Ledger, LedgerCell, read_cell, stale_directories
from study.outputs.schema import RESULT_FILE
from study.outputs.versions import changed_levels


@dataclass(frozen=True)
class Unlisted:
    """What an unlisted cell's directory holds.

    `is_beginning`: a listed cell is the same with more seeds; it has copied all of its replicas, or
    will. `launch` is the command after which the study lists it again, where that is known; empty
    where none does, since this version of the code, or of a level, gives such cells other results.
    `edited` is the experiment's file of that launch, where it is no longer as it was.
    """

    record: CellRecord
    is_beginning: bool = False
    launch: tuple[str, ...] | None = None
    edited: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.record.result is not None

    @property
    def is_left_out(self) -> bool:
        """Whether tables lack something finished by not listing it."""
        return self.is_finished and not self.is_beginning


def unlisted_cells(ledger: Ledger, cells: Sequence[CellRecord]) -> list[Unlisted]:
    """All such cells, by name; `cells` are the records of the ledger."""
    seeds_of: dict[str, list[set[int]]] = {}
    for entry, cell in zip(ledger.cells, cells, strict=True):
        family = entry.family or (cell.result.family if cell.result else None)
        own = set(cell.result.seeds) if cell.result else set()
        seeds_of.setdefault(str(family), []).append(set(entry.seeds) or own)
    found = []
    for name in stale_directories(ledger):
        record = _record(ledger, name)
        if record.result is None:
            found.append(Unlisted(record))
            continue
        larger = seeds_of.get(str(record.result.family), [])
        seeds = set(record.result.seeds)
        begins = any(seeds <= others for others in larger)
        launch = _launch(ledger, record)
        found.append(Unlisted(record, begins, launch, _edited(ledger, name, launch or ())))
    return found


def listed_again(
    cells: Sequence[Unlisted], write: Callable[..., str] = command, *, does: str = "lists"
) -> str:
    """What lists the cells again, such as `study train experiment=a lists them again`.

    `write` makes a command line of its arguments; what it `does` to removed cells is to train them.
    """
    them = "it" if len(cells) == 1 else "them"
    launch, *others = {cell.launch for cell in cells}
    if launch == () and not others:
        return f"no launch of this version of the code lists {them} again"
    edited = sorted({cell.edited for cell in cells if cell.edited})
    since = f"{edited[0]} has changed since: as it was, " if edited else ""
    if not launch or others:
        return f"{since}the launch that trained {them} {does} {them} again"
    return f"{since}{write(*launch)} {does} {them} again"


def _record(ledger: Ledger, name: str) -> CellRecord:
    path = ledger.directory / name
    if is_set_aside(path) or path.is_symlink():
        return CellRecord(name, path, "", {}, "damaged")
    try:
        content = read_json(path / RESULT_FILE)
        entry = LedgerCell(name, str(content["signature"]), dict(content["factors"]))
    except (OSError, ValueError, KeyError, TypeError):
        entry = LedgerCell(name, "", {})
    return read_cell(path, entry)


def _launch(ledger: Ledger, record: CellRecord) -> tuple[str, ...] | None:
    """The launch that trained the cell, as a launch into this study, wherever that lies by now.

    Its name is left out where the experiment, seeds apart, is all that the launch was given: then
    the cell is of the study that the experiment's file names.
    """
    provenance = record.finished.provenance
    if provenance.recipe != RECIPE or changed_levels(record):
        return ()
    given = launch_overrides(provenance.command)
    if given is None or not record.directory.endswith(f"-{record.signature[:8]}"):
        return None
    kept = [text for text in given if not text.startswith(("study=", "outputs_dir="))]
    alone = [text for text in kept if not text.startswith("seeds=")]
    named = [] if alone == [f"experiment={ledger.study}"] else [f"study={ledger.study}"]
    outputs = ledger.directory.parent
    place = [] if outputs == Path("outputs") else [f"outputs_dir={outputs}"]
    return ("train", *kept, *named, *place)


def _edited(ledger: Ledger, directory: str, launch: Sequence[str]) -> str | None:
    """The experiment's file of a launch, if it is not as it was when the cell was first listed."""
    name = next((text.partition("=")[2] for text in launch if text.startswith("experiment=")), None)
    texts = []
    for entry in ledger.previous:
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # made by hand
            if any(cell["directory"] == directory for cell in entry["cells"]):
                texts.append(entry["experiment"]["text"])
    if not texts and ledger.experiment:
        texts = [ledger.experiment["text"]]
    given = (text.partition("=") for text in launch)
    own = [Path(value) for flag, _, value in given if flag in CONFIG_DIR]
    paths = [folder / "experiment" / f"{name}.yaml" for folder in (CONF, *own)]
    path = next((path for path in paths if path.is_file()), paths[0])
    if name is None or not texts or (path.is_file() and path.read_text("utf-8") == texts[0]):
        return None
    return str(path) if path in paths[1:] else f"conf/experiment/{name}.yaml"
