"""A truncated, a bit-flipped and an empty copy of every kind of file that a study has."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from faults.launches import Launch
from faults.workshop import Row, Study, Workshop
from study.errors import InputError
from study.locks import OWNER
from study.outputs.cell import CONTENT
from study.outputs.checkpoint import CHECKPOINT

LONG_AGO = 3600.0
FEW = ("study.json", "result.json", "owner.json", "pretrained weights")
"""The kinds of files of the short version."""


def _truncated(content: bytes, workshop: Workshop) -> bytes:
    return content[: workshop.draw.randrange(1, len(content))]


def _flipped(content: bytes, workshop: Workshop) -> bytes:
    changed = bytearray(content)
    changed[workshop.draw.randrange(len(content))] ^= 1 << workshop.draw.randrange(8)
    return bytes(changed)


WAYS: Mapping[str, Callable[[bytes, Workshop], bytes]] = {
    "truncated": _truncated,
    "bit-flipped": _flipped,
    "empty": lambda content, workshop: b"",
}


@dataclass(frozen=True)
class Kind:
    """A kind of file: where a study in a certain state has one, and what becomes of it.

    `is_named`: `study verify` or the next launch must name it. The others hold nothing that
    anything depends on.
    """

    name: str
    study: Callable[[Workshop, dict[str, Study]], Study]
    pattern: str
    is_named: bool = True


def damages(workshop: Workshop, *, few: bool = False) -> Iterator[Row]:
    """Every kind of file in every way, or a few."""
    made: dict[str, Study] = {}
    for kind in [each for each in KINDS if each.name in FEW] if few else KINDS:
        row = Row(kind.name)
        for way in [workshop.draw.choice(list(WAYS))] if few else WAYS:
            _damage(row, workshop, kind, kind.study(workshop, made), way)
        row.result = "named, and made good" if kind.is_named else "not depended on"
        yield row


def _damage(row: Row, workshop: Workshop, kind: Kind, study: Study, way: str) -> None:
    path = workshop.draw.choice(sorted(study.directory.glob(kind.pattern)))
    row.struck += 1
    path.write_bytes(WAYS[way](path.read_bytes(), workshop))
    if path.name == OWNER:
        # Whoever it names now is taken for alive as long as the file is young.
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - LONG_AGO))
    said = _verified(study)
    running = study.launch()
    status = running.end()
    said += running.output
    if status == 2 and path.name == "study.json":
        path.unlink()
        status = study.launch().end()
    if path.name == "preflight.json":
        status = study.launch(command="preflight").end()
    what = f"{running.log}: {path.name}, {way}"
    row.expect(status == 0, f"{what}: exit status {status}: {running.output}")
    row.expect(not kind.is_named or path.name in said, f"{what}: nothing names it: {said}")
    row.expect("Traceback" not in said, f"{what}: it printed a traceback: {said}")
    study.check_finished(row)


def _verified(study: Study) -> str:
    try:
        return "\n".join(study.problems()) + "\n"
    except InputError as error:
        return f"{error}\n"


def _finished(workshop: Workshop, made: dict[str, Study]) -> Study:
    """A finished study with a preflight."""
    if "finished" not in made:
        made["finished"] = workshop.copy(workshop.reference().study)
        made["finished"].launch(command="preflight").end()
    return workshop.copy(made["finished"])


def _lacking_cells(workshop: Workshop, made: dict[str, Study]) -> Study:
    """A study that lacks its pretrained cells, but not what they start from."""
    study = _finished(workshop, made)
    for cell in study.cells:
        if "-autoencoder-" in cell.name or "-rbm-" in cell.name:
            cell.rename(study.directory.with_name(cell.name))
    return study


def _killed_with(pattern: str) -> Callable[[Workshop, dict[str, Study]], Study]:
    """A study whose launch was killed while there was such a file."""

    def state(workshop: Workshop, made: dict[str, Study]) -> Study:
        while pattern not in made:
            study = workshop.study()
            running = study.launch()
            while not list(study.directory.glob(pattern)) and _goes_on(running):
                pass
            running.send(signal.SIGKILL)
            running.end()
            if list(study.directory.glob(pattern)):
                made[pattern] = study
        return workshop.copy(made[pattern])

    return state


def _goes_on(running: Launch) -> bool:
    return running.wait(0.001) is None


def _interrupted(pattern: str, *, is_named: bool = True, called: str = "") -> Kind:
    return Kind(called or pattern, _killed_with(pattern), pattern, is_named)


KINDS = (
    Kind("study.json", _finished, "study.json"),
    Kind("preflight.json", _finished, "preflight.json"),
    *(Kind(name, _finished, f"*-*/{name}") for name in ("result.json", *CONTENT)),
    Kind("pretraining's curves", _lacking_cells, "pretraining/*/seed=*.csv"),
    _interrupted(f"*-*/{CHECKPOINT}", called="checkpoint"),
    _interrupted(f"pretraining/*/{CHECKPOINT}", called="pretraining's checkpoint"),
    _interrupted(f"*-*/{OWNER}", is_named=False, called="owner.json"),
    Kind("pretrained weights", _lacking_cells, "pretraining/*/seed=*.safetensors"),
    Kind("cache of the images", _lacking_cells, "../../images/.study-tensors.safetensors"),
)
"""Every kind of file but locks, which are empty, and TensorBoard's events, which nobody reads."""
