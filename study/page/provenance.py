"""Where a study comes from: its experiment, code, machine and data, from its cells' records."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from study.report.frames import Frames
from study.words import counted

_FACTS = {
    "git_commit": "commit",
    "git_diff_sha256": "uncommitted changes (sha256)",
    "python": "Python",
    "platform": "platform",
    "processor": "processor",
    "gpu": "GPU",
    "device": "device",
    "threads": "threads",
    "engine": "engine",
    "data_fingerprint": "data fingerprint",
    "recipe": "recipe",
}
_SHOWN = 4
_TITLE = re.compile(r"^#\s*(?:[\w-]+:\s*)?(.+)$")


def facts(frames: Frames) -> list[tuple[str, str]]:
    """What the study rests on, a name and a text each; of what differs between cells all of it."""
    records = [(cell.result or {}).get("provenance") or {} for cell in frames.finished]
    experiment = frames.ledger.experiment or {}
    modified = ", with uncommitted changes" if experiment.get("modified") else ""
    commit = experiment.get("commit")
    first = {
        "experiment": experiment.get("name"),
        "commit of the experiment's file": commit and f"{commit}{modified}",
        "sha256 of the experiment's file": experiment.get("sha256"),
    }
    found = [(name, str(value)) for name, value in first.items() if value]
    found += [(label, text) for key, label in _FACTS.items() if (text := _values(records, key))]
    return [*found, *_packages(records)]


def experiment_text(frames: Frames) -> str:
    """The experiment's file as it was when the study was launched; empty without one."""
    return str((frames.ledger.experiment or {}).get("text") or "")


def question(frames: Frames) -> str:
    """The first line that the experiment's file says of itself; empty if it says nothing."""
    for line in experiment_text(frames).splitlines():
        found = _TITLE.match(line)
        if found and not found[1].startswith("@"):
            text = found[1].strip()
            return text[0].upper() + text[1:]
        if line.strip() and not line.startswith("#"):
            break
    return ""


def extent(frames: Frames) -> list[tuple[str, str]]:
    """How large the study is: numbers and what they count."""
    finished, total = len(frames.finished), len(frames.cells)
    replicas = [r for cell in frames.finished for r in (cell.result or {})["replicas"]]
    seeds = {replica["seed"] for replica in replicas}
    rates = {replica["lr"] for replica in replicas}
    share = f"{finished}" if finished == total else f"{finished} of {total}"
    return [
        (share, "cell" if total == 1 else "cells"),
        *(_count(number, noun) for number, noun in ((len(seeds), "seed"),)),
        _count(len(rates), "learning rate"),
        _count(len(replicas), "network"),
    ]


def _count(number: int, noun: str) -> tuple[str, str]:
    text = counted(number, noun)
    return text.split(" ", 1)[0], text.split(" ", 1)[1]


def _values(records: Sequence[Mapping[str, Any]], key: str) -> str:
    found = list(dict.fromkeys(str(r[key]) for r in records if r.get(key) is not None))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _packages(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    owners = [record.get("packages") or {} for record in records]
    for name in dict.fromkeys(name for owner in owners for name in owner):
        yield name, _values(owners, name)
