"""The experiments as they were run for publication: what each took, and what it told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.lecture.verdicts import NOT_RUN, OUTCOMES, PUBLISHED, Finding, finished_frames
from study.outputs.results import training_seconds
from study.words import counted


@dataclass(frozen=True)
class Run:
    """A published study: its cells, their times added up (`seconds`), and what they ran on."""

    cells: str
    seconds: float
    machine: str


def published_run(name: str, folder: Path = PUBLISHED) -> Run | None:
    """What is saved of a study; None if no cell of it is finished."""
    frames = finished_frames(folder / name)
    if frames is None:
        return None
    results = [cell.result or {} for cell in frames.finished]
    provenance = [result["provenance"] for result in results]
    threads = " or ".join(counted(n, "thread") for n in _distinct(provenance, "threads"))
    done, total = len(results), len(frames.cells)
    return Run(
        cells=str(done) if done == total else f"{done} of {total}",
        seconds=sum(map(training_seconds, results)),
        machine=", ".join([threads, *_distinct(provenance, "processor")]),
    )


def outcomes(told: Sequence[Finding]) -> str:
    """`2 supported; refuted: a, b`: by outcome, and by name what is not as was expected."""
    names = {key: [each.id for each in told if each.outcome == key] for key in OUTCOMES}
    supported = [f"{len(names['supported'])} supported"] if names["supported"] else []
    others = [key for key in OUTCOMES[1:] if names[key] and key != NOT_RUN]
    return "; ".join([*supported, *(f"{key}: {', '.join(names[key])}" for key in others)])


def _distinct(provenance: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(each[key] for each in provenance if each.get(key)))
