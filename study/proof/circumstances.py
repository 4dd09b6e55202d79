"""What differs between where a cell was trained and where it is trained again."""

from collections.abc import Iterator, Mapping
from typing import Any

MACHINE = {
    "processor": "processor",
    "processor_model": "processor model",
    "gpu": "GPU",
    "device": "device",
    "threads": "threads",
}
RESUMED = MACHINE | {
    "torch": "torch",
    "git_commit": "commit",
    "git_diff_sha256": "uncommitted changes",
    "packing": "packing",
}
"""What the record of a resume says of where the part before it was trained."""
UNKNOWN = "not recorded"


def differing_circumstances(then: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each difference between two provenances that may change the last bits.

    Processor, GPU, device, threads, the versions of Python and of packages, commit, uncommitted
    changes, how replicas were packed, and each time that the first was stopped and resumed. What
    the first does not say is not compared.
    """
    return [*_machine(then, here), *_versions(then, here), *_code(then, here), *_course(then, here)]


def _machine(then: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for key, words in MACHINE.items():
        if key in then and then[key] != here.get(key):
            yield f"{words}: {_shown(then[key])} then, {_shown(here.get(key))} here"


def _versions(then: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    first = {"python": then.get("python")} | dict(then.get("packages") or {})
    second = {"python": here.get("python")} | dict(here.get("packages") or {})
    for name, version in first.items():
        if version != second.get(name):
            yield f"{name}: {_shown(version)} then, {_shown(second.get(name))} here"


def _code(then: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    commits = [each.get("git_commit") for each in (then, here)]
    if commits[0] != commits[1]:
        words = [commit[:10] if commit else UNKNOWN for commit in commits]
        yield f"commit: {words[0]} then, {words[1]} here"
    changes = [each.get("git_diff_sha256") for each in (then, here)]
    if changes[0] != changes[1]:
        words = ["uncommitted changes" if change else "a clean tree" for change in changes]
        words[1] = "other ones" if all(changes) else words[1]
        yield f"working tree: {words[0]} then, {words[1]} here"


def _course(then: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    if sorted(_packing(then)) != sorted(_packing(here)):
        yield f"packing: groups of {then.get('packing')} then, of {here.get('packing')} here"
    for part in then.get("resumed") or []:
        changed = [
            f"{words} {_shown(part[key])}"
            for key, words in RESUMED.items()
            if key in part and part[key] != _finished_with(then, key, part)
        ]
        if changed:
            yield f"resumed then: up to epoch {part.get('epoch')} it had {', '.join(changed)}"


def _finished_with(then: Mapping[str, Any], key: str, part: Mapping[str, Any]) -> Any:
    """What the machine that finished a cell has under a key of an earlier part's."""
    if key == "torch":
        return (then.get("packages") or {}).get("torch")
    return _packing(then)[: len(_packing(part))] if key == "packing" else then.get(key)


def _packing(made: Mapping[str, Any]) -> list[int]:
    """The sizes of the groups that were trained as one; the first records have a single number."""
    sizes = made.get("packing") or []
    return sizes if isinstance(sizes, list) else [sizes]


def _shown(value: Any) -> str:
    return UNKNOWN if value is None else str(value)
