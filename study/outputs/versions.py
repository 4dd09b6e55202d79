"""Finished cells of which a level is another by now, told from records and source text alone."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from study.config.configuration import VERSIONED, level_defaults, level_versions, version_changes
from study.config.labels import counted
from study.config.level_source import OWN, shown_file, source_of
from study.errors import InputError
from study.outputs.records import CellRecord


def other_versions(cells: Sequence[CellRecord]) -> list[str]:
    """A line for each level of which finished cells had another version than there is now."""
    changed = Counter(level for cell in cells for level in changed_levels(cell))
    lines = []
    for level, number in changed.items():
        was, them = ("was", "it") if number == 1 else ("were", "them")
        now = _now(level)
        trained = f"{counted(number, 'cell')} {was} trained by"
        if now.is_lost:
            line = f"{trained} a version of {level} of which this code has no source{now.place}"
        else:
            again = f"launching the study again trains {them} anew"
            line = f"{trained} another version of {level}{now.place}: {again}"
        lines.append(line)
    return lines


def changed_levels(cell: CellRecord) -> list[str]:
    """The levels, such as `activation=swish`, of which a finished cell had another version."""
    if cell.result is None:
        return []
    trained = cell.result.provenance.levels
    groups = {key: key.removesuffix(".name") for key in VERSIONED}
    named = [
        _named(group, str(cell.factors[group])) if key != group else f"{key}={cell.factors[key]}"
        for key, group in groups.items()
        if group in cell.factors
    ]
    now = {level: _now(level).version for level in (*trained, *named)}
    return version_changes(trained, {level: it for level, it in now.items() if it is not None})


@functools.cache
def _named(group: str, factor: str) -> str:
    """`model=cnn` for the factor `small_vgg pool=average`: the name that its file has for it."""
    choice = factor.partition(" ")[0]
    try:
        return f"{group}={level_defaults(group, choice)['name']}"
    except (OSError, InputError):
        return f"{group}={choice}"


@dataclass(frozen=True)
class _Now:
    """A level as this code has it: its version, and its `place`, in brackets.

    The version is None for one of the project's at its first recipe, and for one that is lost: no
    source says what it is.
    """

    version: int | str | None
    place: str
    is_lost: bool = False


def _now(level: str) -> _Now:
    key, _, name = level.partition("=")
    key = key if key in VERSIONED else f"{key}.name"
    if name in OWN.get(key, ()):
        recipe = level_versions({key: name}).get(level)
        return _Now(recipe, f" (now of recipe {recipe})" if recipe else " (now the project's own)")
    try:
        source = source_of(key, name) if key in VERSIONED else None
    except InputError as unreadable:
        return _Now(None, f" ({unreadable})", is_lost=True)
    if source is None:
        return _Now(None, " (one of a folder of your own needs levels=DIR)", is_lost=True)
    return _Now(source.sha256, f" ({shown_file(source.files[0])})")
