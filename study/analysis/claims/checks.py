"""What can be known of a file's claims before anything is trained."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.analysis.claims.cells import RATE, Levels, resolved, where_text
from study.analysis.claims.measures import MEASURES, check_claim
from study.analysis.claims.schema import Claim, check_unit, parse_claims
from study.analysis.origins import SHIFT_KEYS, SPLIT_KEYS
from study.config.configuration import plain, task_of
from study.errors import InputError
from study.outputs.factors import level_text, shown_level

if TYPE_CHECKING:
    from study.config.sweep import Cell

Known = Mapping[str, Sequence[str]]
IMAGES = ("name", "root", *SPLIT_KEYS, *SHIFT_KEYS)
"""The keys of `data` by which cells have the same test and validation images."""


def check_claims(
    claims: Sequence[Any], cells: Sequence["Cell"], axes: Mapping[str, Any]
) -> list[str]:
    """Raises `InputError` for a claim that could never be decided; returns warnings.

    `cells` are those of the launch, `axes` those of the experiment's file. A launch may have fewer
    levels than its file: a claim on one that it leaves out is a warning, on one that not even the
    file has an error.
    """
    parsed = parse_claims(claims)
    known = _known(cells)
    warnings = []
    for claim in parsed:
        try:
            check_claim(claim)
            if claim.over is not None:
                resolved({claim.over: ()}, known)
            _require_one_split(claim, cells, known, axes)
            lacking = []
            for change in ({}, *claim.wheres[1:]):
                whole = _whole({**claim.cells, **change}, known, axes)
                # Every level must be some cell's, and so must some combination of them.
                single = [{**whole, f: (each,)} for f, levels in whole.items() for each in levels]
                for where in [whole, *single]:
                    found = [cell for cell in cells if _matches(cell, where)]
                    lacking += [] if found else [where_text(where)]
                    for cell in found[:1]:
                        quantity = claim.quantity.of_task(task_of(cell.config))
                        check_unit(claim.expect, MEASURES[claim.measure].unit(quantity.unit))
            warnings += [
                f"claim {claim.id} is not decidable by this launch: no cell has {text}"
                for text in lacking[:1]
            ]
        except InputError as error:
            message = str(error).removeprefix(f"claim {claim.id}: ")
            raise InputError(f"claim {claim.id}: {message}") from None
    if parsed and any(len(cell.config.seeds) < 2 for cell in cells):
        warnings.append("no claim is decidable with 1 seed: an interval needs at least 2")
    return warnings


def _known(cells: Sequence["Cell"]) -> dict[str, list[str]]:
    """The levels of each factor over the cells of a launch, and its learning rates."""
    known: dict[str, dict[str, None]] = {}
    for cell in cells:
        for factor, level in cell.factors.items():
            known.setdefault(factor, {})[shown_level(factor, level)] = None
        for rate in cell.config.optimizer.lr:
            known.setdefault(RATE, {})[level_text(rate)] = None
    return {factor: list(levels) for factor, levels in known.items()}


def _require_one_split(
    claim: Claim, cells: Sequence["Cell"], known: Known, axes: Mapping[str, Any]
) -> None:
    """InputError where errors of other images would be set against each other."""
    if not claim.is_of_data:
        return
    for wheres in claim.compared:
        whole = [_whole(where, known, axes) for where in wheres]
        found = [cell for cell in cells if any(_matches(cell, where) for where in whole)]
        settings = dict.fromkeys(
            tuple(getattr(cell.config.data, k) for k in IMAGES) for cell in found
        )
        if len(settings) > 1:
            first, second, *_ = settings
            apart = [
                f"data.{key}={level_text(one)} and {level_text(other)}"
                for key, one, other in zip(IMAGES, first, second, strict=True)
                if one != other
            ]
            raise InputError(
                f"it sets errors of other images against each other ({', '.join(apart)}): name one "
                "data set and split, or compare differences (difference of differences)"
            )


def _whole(where: Levels, known: Known, axes: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The levels by their whole names, in the launch or at least in the file."""
    try:
        return resolved(where, known)
    except InputError:
        either = {
            factor: [*levels, *(shown_level(factor, plain(v)) for v in axes.get(factor) or ())]
            for factor, levels in known.items()
        }
        either = {factor: list(dict.fromkeys(levels)) for factor, levels in either.items()}
        return resolved(where, either)


def _matches(cell: "Cell", where: Levels) -> bool:
    rates = [level_text(rate) for rate in cell.config.optimizer.lr]
    return all(
        any(rate in levels for rate in rates)
        if factor == RATE
        else shown_level(factor, cell.factors[factor]) in levels
        for factor, levels in where.items()
    )
