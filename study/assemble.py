"""The cells of a sweep, put together from parts that Hydra composed once.

Hydra takes about 50 ms a configuration, whatever changes. But each group is a subtree of its own,
so it is asked once for each combination of the axes within a group and not for each cell: cells
multiply over groups, parts only add up.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from study.compose import Composed, Raw, compose_cell, compose_raw, composed
from study.keys import GROUPS

SUBTREES = (*GROUPS, "trainer")
"""The groups whose files write into the subtree of their name."""


class Assembler:
    """Composes the cells of one sweep; `base` is what `fixed`, the same in all of them, gives.

    A cell equals what Hydra composes of `fixed` and the cell's own overrides. One in which a group
    may depend on another is composed whole: where a value interpolates, a level's file writes
    outside its group or brings other files, or a defaults list says more than fixed levels.
    """

    def __init__(self, fixed: Sequence[str]) -> None:
        self._fixed = tuple(fixed)
        self._raw = compose_raw(fixed)
        self._parts: dict[tuple[str, ...], Raw | None] = {(): _separable(self._raw)}
        self.base = composed(self._raw.plain, self._raw.choices)

    def cell(self, combination: Mapping[str, tuple[str, ...]]) -> Composed:
        """The cell of a combination {axis: the overrides that set its value}, checked.

        Raises `InputError` for what cannot be composed, or is no valid configuration.
        """
        by_root: dict[str, tuple[str, ...]] = {"": ()}
        for name, overrides in combination.items():
            root = re.split(r"[./]", name, maxsplit=1)[0]
            by_root[root] = (*by_root.get(root, ()), *overrides)
        plain, choices = dict(self._raw.plain), dict(self._raw.choices)
        for root, overrides in by_root.items():
            part = self._part(overrides)
            if part is None:
                own = [text for overrides in combination.values() for text in overrides]
                return compose_cell([*self._fixed, *own])
            if root in plain:
                plain[root] = part.plain[root]
                choices[root] = part.choices.get(root)
        return composed(plain, choices)

    def _part(self, overrides: tuple[str, ...]) -> Raw | None:
        """What the axes of one subtree give; None where they may not be taken by themselves."""
        if overrides not in self._parts:
            self._parts[overrides] = _separable(compose_raw((*self._fixed, *overrides)))
        return self._parts[overrides]


def _separable(raw: Raw) -> Raw | None:
    """`raw` if none of its subtrees depends on another, else None.

    A file that is not where its choice says was taken from elsewhere, or into another group.
    """
    if raw.interpolates or not all(path.is_file() for path in raw.files):
        return None
    texts = [(path.parent.name, path.read_text(encoding="utf-8")) for path in raw.files]
    return raw if all(_keeps_to_itself(group, text) for group, text in texts) else None


@functools.lru_cache(maxsize=256)
def _keeps_to_itself(group: str, text: str) -> bool:
    """Whether a file of `group` leaves the subtrees of other groups alone.

    A file above the groups (config.yaml, an experiment) is the same for all cells: it may write
    anywhere and set levels, as long as they do not depend on those of a cell.
    """
    defaults = (yaml.safe_load(text) or {}).get("defaults") or []
    if group in SUBTREES:
        return not defaults and "@package" not in text
    return all(_is_fixed(entry) for entry in defaults)


def _is_fixed(entry: Any) -> bool:
    """Whether an entry of a defaults list is `_self_` or sets a group, under its own name."""
    if isinstance(entry, str):
        return entry == "_self_"
    return not any(mark in str(entry) for mark in ("${", "@", "["))
