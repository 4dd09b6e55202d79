"""`study preflight`: what signals do before training, predicted and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.config.labels import counted
from study.config.refused import check_flags
from study.console import Parser, importing, run_as_command, show
from study.errors import InputError
from study.files import writable_directory
from study.outputs.ledger import FILE as LEDGER
from study.theory.preflight.page import agreement, by_layer, legend, marks, overview
from study.theory.preflight.record import write_flights

if TYPE_CHECKING:
    from study.launch.cells import LaunchCell
    from study.theory.preflight.flight import Flight

DESCRIPTION = """Predicts and measures signal propagation at initialization; trains nothing.

  study preflight experiment=initializations            every cell of a study
  study preflight -m activation=relu,tanh norm=none,batch
  study preflight activation=sigmoid --layers           layer by layer

It takes what `study train` takes, but no launcher. Variances of activations and back-propagated
gradients are predicted from fan, initialization, bias and activation, measured for every seed on
the probe batch, and judged by rules that the page prints. docs/preflight.md has the formulas."""


def main(arguments: Sequence[str]) -> int:
    """Prints the page, writes preflight.json into the study's directory; returns 0."""
    check_flags(arguments)
    options = _parser().parse_intermixed_args(list(arguments))

    from study.config.compose import hydra_ready
    from study.config.sweep import plan

    with hydra_ready():
        planned = plan(options.overrides, multirun=options.multirun)
        if planned.hydra_overrides:
            raise InputError(
                f"{planned.hydra_overrides[0]}: a preflight is made here; leave it out"
            )
        with importing():  # PyTorch takes seconds, and the command line is right by now
            from study.launch.place import prepared
        launch = prepared(planned)
        cells = launch.cells
        study = writable_directory(launch.study, within=launch.study.parent)
        if launch.remark:
            show(launch.remark)
        flights = list(_watched(cells))
    # A directory without a ledger is taken for a study of its own, whatever flights it has.
    is_new = launch.remark is not None and not (study / LEDGER).exists()
    path = write_flights(study, cells, flights, replace=launch.replaces or is_new)
    show("\n".join(page(study, cells, flights, layers=options.layers or len(cells) == 1)))
    show(f"saved: {path}")
    return 0


def _parser() -> Parser:
    parser = Parser("study preflight", DESCRIPTION)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides")
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep over KEY=A,B,C")
    parser.add_argument("--layers", action="store_true", help="a table of layers for each cell")
    return parser


def _watched(cells: Sequence[LaunchCell]) -> Iterator[Flight]:
    """The flight of each cell, under a bar that leaves nothing behind."""
    from rich.console import Console
    from rich.progress import track

    from study.theory.preflight.flight import fly

    yield from track(
        fly([cell.config for cell in cells]),
        "before training",
        total=len(cells),
        console=Console(stderr=True),
        transient=True,
        disable=len(cells) == 1,
    )


def page(
    study: Path, cells: Sequence[LaunchCell], flights: Sequence[Flight], *, layers: bool
) -> list[str]:
    """The lines of the page; with `layers` a table for each cell."""
    seeds = sorted({len(cell.config["seeds"]) for cell in cells})
    examples = sorted({flight.num_examples for flight in flights})
    on = f"{_or(seeds)} seed{'' if seeds == [1] else 's'}, {_or(examples)} validation images"
    lines = [f"{study}: {counted(len(cells), 'cell')} before training; {on}", ""]
    if len(cells) > 1:
        lines += [*overview([cell.entry.factors for cell in cells], flights), ""]
    for cell, flight in zip(cells, flights, strict=True) if layers else ():
        found = marks(flight)
        lines += [f"{cell.words}{f'   flags: {found}' if found else ''}"]
        lines += [*(by_layer(flight) if flight.layers else ["no hidden layer"]), ""]
    return [*lines, *legend(flights), "", *remarks(cells, flights), agreement(flights)]


def remarks(cells: Sequence[LaunchCell], flights: Sequence[Flight]) -> Iterator[str]:
    """What a reader must know about some of the cells."""
    pretrained = sum(cell.config["pretraining"]["name"] != "none" for cell in cells)
    if pretrained:
        yield (
            f"{counted(pretrained, 'cell')} with pretraining: what is shown is the start before it"
        )
    counts = Counter(remark for flight in flights for remark in flight.remarks)
    for remark, number in counts.items():
        yield f"{counted(number, 'cell')} {remark}: go by what is measured"
    for cell, flight in zip(cells, flights, strict=True):
        if flight.error:
            yield f"{cell.words}: {flight.error}"


def _or(numbers: Sequence[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)


if __name__ == "__main__":
    run_as_command("preflight")
