"""What a report is made of: figures, analyses and verdicts, and the whole that holds them."""

from dataclasses import dataclass, field
from typing import Literal

from study.analysis.frames import Frames
from study.analysis.pivot import Pivot

Outcome = Literal["supported", "refuted", "undecided", "not decidable"]


@dataclass(frozen=True)
class Drawn:
    """A figure: `name` is the stem of its files, `cells` the directories whose cells it shows.

    The caption says over how many seeds, and what its interval is.
    """

    name: str
    title: str
    caption: str
    svg: bytes = field(repr=False)
    png: bytes = field(repr=False)
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """An analysis as a table of text: `name` is the stem of its files, `notes` its legend."""

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A claim and what the study says about it.

    `estimate`, `low` and `high` are the effect and its bounds in `unit`, `p` is Holm-adjusted over
    the claims of the file, `smallest` the smallest effect that matters.
    `command` runs the cells that decide it again; `reason` says why it is not decidable or what
    the outcome hangs on, if there is anything to say.
    """

    id: str
    statement: str
    source: str
    outcome: Outcome
    kind: str
    measure: str
    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    num_seeds: int
    smallest: float
    unit: str
    published: str
    command: str
    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that is said about one study: what the page shows and the files hold.

    `remarks` stand in the header: how many cells count, every file that is not used, warnings.
    `published` sets numbers of papers beside the study's.
    """

    frames: Frames
    title: str
    remarks: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    pivots: tuple[Pivot, ...]
    sheets: tuple[Sheet, ...]
    figures: tuple[Drawn, ...]
    published: tuple[Sheet, ...]
