"""From overrides to cells: the axes of a sweep, multiplied out."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from study.config.compose import Assembler, Composed, axis_of, parse_overrides
from study.config.configuration import Config, factors, flatten, levels, plain
from study.config.keys import GROUPS, NUISANCE
from study.config.labels import level_words
from study.console import command
from study.errors import InputError, shown, unknown


@dataclass(frozen=True)
class Cell:
    """What is to be trained: as a command line plans it, and, its data once read, as it is known.

    `choices` names the file of each group, `overrides` compose the cell again. What follows is
    empty until the data are read (`study.launch.cells.identify`): `label` sets the cell apart in
    its launch, `directory` is the name of its own and `family` its signature without the seeds;
    `epochs` are those of a replica, `pretraining_epochs` of a seed, and `pretraining` the files,
    below the study's directory, of the weights that its seeds start from.
    """

    config: Config
    choices: Mapping[str, str]
    factors: dict[str, Any]
    overrides: tuple[str, ...]
    label: str = ""
    directory: str = ""
    signature: str = ""
    family: str = ""
    network_bytes: int = 0
    epochs: int = 0
    pretraining_epochs: int = 0
    pretraining: tuple[Path, ...] = ()

    @property
    def replica_epochs(self) -> int:
        """Epochs of all replicas, and of their pretraining: the unit of the progress bar."""
        seeds = len(self.config.seeds)
        return self.config.num_replicas * self.epochs + seeds * self.pretraining_epochs


@dataclass(frozen=True)
class Plan:
    """What a command line asks for: the shared configuration and the cells.

    `given` are the names of the keys and groups that it sets.
    """

    base: Composed
    experiment: str | None
    hydra_overrides: tuple[str, ...]
    cells: list[Cell]
    given: frozenset[str] = frozenset()

    def renamed(self, study: str) -> "Plan":
        """What the same command line with `study=...` asks for."""
        named = {"study": study}
        return replace(
            self,
            base=replace(self.base, config=self.base.config.changed(named)),
            cells=[
                replace(
                    cell,
                    config=cell.config.changed(named),
                    overrides=(*cell.overrides, f"study={study}"),
                )
                for cell in self.cells
            ],
            given=self.given | {"study"},
        )


def plan(arguments: Sequence[str], *, multirun: bool) -> Plan:
    """The cells of a command line, in the order of its axes.

    An experiment's file brings its own axes; an override of the same name replaces one. Raises
    `InputError` for overrides that cannot be, for a sweep without `-m`, and for a sweep that
    leaves nothing.
    """
    given = {axis.name: axis for axis in parse_overrides(arguments)}
    fixed = [axis.values[0] for axis in given.values() if len(axis.values) == 1]
    assembler = Assembler(_joined(fixed))
    base = assembler.base
    own = {name: axis_of(name, values) for name, values in base.axes.items() if name not in given}
    swept = {name: axis for name, axis in given.items() if len(axis.values) > 1}
    if swept and not (multirun or base.axes):
        name, axis = next(iter(swept.items()))
        values = ",".join(value[0].partition("=")[2] for value in axis.values)
        raise InputError(f"{name}={values} is a sweep: add -m ({command('train')} -m ...)")
    # The experiment's axes in its order, replaced where overridden, then the others.
    in_order = dict.fromkeys([*base.axes, *swept])
    axes = [swept.get(name) or own[name] for name in in_order if name in swept or name in own]
    names = {axis.name for axis in axes} | set(base.axes)
    cells = []
    for chosen in itertools.product(*(axis.values for axis in axes)):
        combination = {axis.name: value for axis, value in zip(axes, chosen, strict=True)}
        overrides = _joined([*fixed, *chosen])
        cells.append(planned_cell(assembler.cell(combination), overrides, names))
    kept = _without_excluded(cells, base.config.sweep.exclude)
    if not kept:
        raise InputError("sweep.exclude leaves out every cell of the sweep")
    named = given.get("experiment")
    experiment = named.values[0][0].partition("=")[2] if named else None
    hydra = _joined([axis.values[0] for name, axis in given.items() if name.startswith("hydra")])
    return Plan(base, experiment, hydra, _distinct(kept), frozenset(given))


def _joined(parts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(parts))


def planned_cell(
    composed: Composed, overrides: tuple[str, ...], swept: Collection[str] = ()
) -> Cell:
    """A composed configuration as a cell, with its factors; `swept` are the names of the axes."""
    named = factors(composed.config.mapping, composed.choices, swept)
    return Cell(composed.config, composed.choices, named, overrides)


def _without_excluded(cells: list[Cell], exclude: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """The cells that no combination of `exclude` matches."""
    for combination in exclude:
        for name, wanted in combination.items():
            if name in NUISANCE or name not in cells[0].factors:
                raise unknown("factor in sweep.exclude", name, cells[0].factors)
            for level in _listed(wanted):
                if name in GROUPS and level.partition(" ")[0] not in levels(name):
                    raise unknown(f"{name} in sweep.exclude", level, levels(name))
    return [cell for cell in cells if not any(_matches(cell, each) for each in exclude)]


def _matches(cell: Cell, combination: Mapping[str, Any]) -> bool:
    """Whether each named factor has (one of) the given level(s), by full name or by file."""
    return all(
        {str(level_words(name, cell.factors[name])), cell.choices.get(name)}
        & {level_words(name, level) for level in _listed(wanted)}
        for name, wanted in combination.items()
    )


def _listed(wanted: Any) -> list[str]:
    """The levels that a combination names for one factor, as factors show them."""
    return [str(plain(level)) for level in (wanted if isinstance(wanted, list) else [wanted])]


def _distinct(cells: list[Cell]) -> list[Cell]:
    """Each combination of factors once, in order.

    Raises `InputError` where two of equal factors are not the same cell: one of them would be lost.
    """
    kept: dict[str, Cell] = {}
    for cell in cells:
        first = kept.setdefault(str(cell.factors), cell)
        one, other = dict(flatten(first.config.mapping)), dict(flatten(cell.config.mapping))
        differ = [name for name, value in one.items() if other.get(name) != value]
        if differ:
            raise InputError(
                f"two cells of the sweep have the same factors and differ in {differ[0]}: "
                f"{shown(one[differ[0]])} and {shown(other[differ[0]])}"
            )
    return list(kept.values())
