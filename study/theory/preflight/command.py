"""`study preflight`: what signals do before training, predicted and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.config.configuration import own_files, use_levels
from study.config.labels import counted
from study.config.refused import check_flags
from study.console import Parser, add_config_dir, importing, run_as_command, show
from study.errors import InputError
from study.files import writable_directory
from study.outputs.ledger import FILE as LEDGER
from study.theory.preflight.page import agreement, by_layer, legend, marks, overview
from study.theory.preflight.record import write_checks

if TYPE_CHECKING:
    from study.config.sweep import Cell
    from study.theory.preflight.signal_check import SignalCheck

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
    parser = Parser("study preflight", DESCRIPTION)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides")
    add_config_dir(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep over KEY=A,B,C")
    parser.add_argument("--layers", action="store_true", help="a table of layers for each cell")
    options = parser.parse_intermixed_args(list(arguments))
    use_levels(options.overrides)

    from study.config.compose import hydra_ready
    from study.config.sweep import plan

    with own_files(options.config_dir), hydra_ready():
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
        from rich.console import Console
        from rich.progress import track

        from study.theory.preflight.signal_check import predict_and_measure

        bar = track(
            predict_and_measure([cell.config for cell in cells]),
            "before training",
            total=len(cells),
            console=Console(stderr=True),
            transient=True,
            disable=len(cells) == 1,
        )
        checks = list(bar)
    # A directory without a ledger is taken for a study of its own, whatever preflight it has.
    is_new = launch.remark is not None and not (study / LEDGER).exists()
    path = write_checks(study, cells, checks, replace=launch.replaces or is_new)
    show("\n".join(page(study, cells, checks, layers=options.layers or len(cells) == 1)))
    show(f"saved: {path}")
    return 0


def page(
    study: Path, cells: Sequence[Cell], checks: Sequence[SignalCheck], *, layers: bool
) -> list[str]:
    """The lines of the page; with `layers` a table for each cell."""
    seeds = sorted({len(cell.config.seeds) for cell in cells})
    examples = sorted({check.num_examples for check in checks})
    on = f"{_or(seeds)} seed{'' if seeds == [1] else 's'}, {_or(examples)} validation images"
    lines = [f"{study}: {counted(len(cells), 'cell')} before training; {on}", ""]
    if len(cells) > 1:
        lines += [*overview([cell.factors for cell in cells], checks), ""]
    for cell, check in zip(cells, checks, strict=True) if layers else ():
        found = marks(check)
        lines += [f"{cell.label}{f'   flags: {found}' if found else ''}"]
        lines += [*(by_layer(check) if check.layers else ["no hidden layer"]), ""]
    return [*lines, *legend(checks), "", *remarks(cells, checks), agreement(checks)]


def remarks(cells: Sequence[Cell], checks: Sequence[SignalCheck]) -> Iterator[str]:
    """What a reader must know about some of the cells."""
    pretrained = sum(cell.config.pretraining.name != "none" for cell in cells)
    if pretrained:
        yield (
            f"{counted(pretrained, 'cell')} with pretraining: what is shown is the start before it"
        )
    counts = Counter(remark for check in checks for remark in check.remarks)
    for remark, number in counts.items():
        yield f"{counted(number, 'cell')} {remark}: go by what is measured"
    for cell, check in zip(cells, checks, strict=True):
        if check.error:
            yield f"{cell.label}: {check.error}"


def _or(numbers: Sequence[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)


if __name__ == "__main__":
    run_as_command("preflight")
