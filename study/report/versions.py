"""Finished cells of which a level is another by now, told from records and source text alone."""

import functools
from collections import Counter
from collections.abc import Sequence

from study.configuration import VERSIONED, level_defaults, level_versions, version_changes
from study.errors import InputError
from study.level_source import OWN, ROOT, source_of
from study.outputs.records import CellRecord
from study.words import counted


def other_versions(cells: Sequence[CellRecord]) -> list[str]:
    """A line for each level of which finished cells had another version than there is now."""
    changed = Counter(level for cell in cells for level in changed_levels(cell))
    return [
        f"{counted(number, 'cell')} {'was' if number == 1 else 'were'} trained by another version "
        f"of {level} ({_now(level)[1]}): launching the study again trains "
        f"{'it' if number == 1 else 'them'} anew"
        for level, number in changed.items()
    ]


def changed_levels(cell: CellRecord) -> list[str]:
    """The levels, such as `activation=swish`, of which a finished cell had another version."""
    if cell.result is None:
        return []
    trained = cell.result["provenance"].get("levels", {})
    groups = [group for group in cell.factors if f"{group}.name" in VERSIONED]
    named = [_named(group, str(cell.factors[group])) for group in groups]
    now = {level: _now(level)[0] for level in (*trained, *named)}
    return version_changes(trained, {level: it for level, it in now.items() if it is not None})


@functools.cache
def _named(group: str, factor: str) -> str:
    """`model=cnn` for the factor `small_vgg pool=average`: the name that its file has for it."""
    choice = factor.partition(" ")[0]
    try:
        return f"{group}={level_defaults(group, choice)['name']}"
    except (OSError, InputError):
        return f"{group}={choice}"


def _now(level: str) -> tuple[int | str | None, str]:
    """The version of a level, and where it is.

    None for one of the project's at its first recipe, or one that no source says anything of.
    """
    key, _, name = level.partition("=")
    key = key if key in VERSIONED else f"{key}.name"
    if name in OWN.get(key, ()):
        version = level_versions({key: name}).get(level)
        return version, f"now of recipe {version}" if version else "now the project's own"
    try:
        source = source_of(key, name) if key in VERSIONED else None
    except InputError as unreadable:
        return None, str(unreadable)
    file = source.files[0].relative_to(ROOT) if source and source.files else None
    return (source.sha256 if source else None), (file.as_posix() if file else "now in no file")
