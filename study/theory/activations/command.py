"""`study activations`: the lecture's checklist for activation functions, as tables and a figure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import own
from study.config.configuration import level_defaults, levels, sound_levels, warn_once
from study.config.keys import parse_one
from study.console import Parser, as_path, importing, run_as_command, show
from study.errors import InputError, unknown
from study.files import parse_json, write_text

if TYPE_CHECKING:
    from study.networks import Arguments
    from study.theory.activations.facts import Checklist

Levels = dict[str, "Arguments"]
"""The configuration of each level, by name."""

OUTPUT = Path("outputs/activation_sheet")

_EPILOG = """\
Nothing is trained. Mean and gain are computed, in float64; the other properties are facts that the
tests check. Only the time needs a clock, and without it the same files come out each time.

examples:
  study activations
  study activations relu leaky_relu "leaky_relu slope=0.01" "elu alpha=2"
  study activations --no-timing --output sheet
"""


def main(arguments: Sequence[str]) -> int:
    """Prints the tables; writes activations.md, .csv, .svg and .png."""
    options = _parse(arguments)
    chosen = chosen_levels(options.names)
    _make_directory(options.output)
    sheet = _checked(chosen)
    from study.theory.activations.table import write_csv, write_markdown

    times, conditions = None, ""
    if options.timing:
        from study.theory.activations import timing

        times, conditions = timing.relative_times(chosen), timing.conditions()
    text = write_markdown(sheet, times, conditions)
    show(text)
    write_text(options.output / "activations.md", text)
    write_text(options.output / "activations.csv", write_csv(sheet, times))
    from study.report.figures.style import save_figure
    from study.theory.activations.figure import draw

    figure = draw(chosen, sheet)
    for kind in ("svg", "png"):
        save_figure(figure, options.output / f"activations.{kind}")
    show(f"wrote {options.output}/activations.md, .csv, .svg and .png")
    return 0


def printed(arguments: Sequence[str]) -> str:
    """The tables that `study activations ARGUMENTS --no-timing` prints."""
    from study.theory.activations.table import write_markdown

    return write_markdown(_checked(chosen_levels(_parse(arguments).names)))


def _checked(chosen: Levels) -> dict[str, Checklist]:
    """The checklist of each level; it needs PyTorch, which takes seconds to import."""
    with importing():
        from study.theory.activations.facts import check
    own.register()
    return {name: check(config) for name, config in chosen.items()}


def chosen_levels(names: Sequence[str]) -> Levels:
    """The configuration of each level, such as `relu` or `elu alpha=2`; of all if none is named.

    Raises InputError for an unknown level or key, and a value out of range.
    """
    if names:
        return {" ".join(name.split()): _configured(name) for name in names}
    from study.networks import ACTIVATIONS

    own.register()
    order, found = list(ACTIVATIONS), sound_levels("activation")
    for level in [level for level, keys in found.items() if keys["name"] not in ACTIVATIONS]:
        name = found.pop(level)["name"]
        warn_once(f"conf/activation/{level}.yaml: ACTIVATIONS has no entry {name!r}")
    return dict(sorted(found.items(), key=lambda item: order.index(str(item[1]["name"]))))


def _configured(text: str) -> Arguments:
    level, *changes = text.split() or [""]
    if level not in levels("activation"):
        raise unknown("activation", level, levels("activation"))
    config = dict(level_defaults("activation", level))
    if changes:
        from study.networks.registry import only_keys
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"{text!r}: write such as '{level} {change}=VALUE'")
        only_keys(f"activation {level}", [key], [name for name in config if name != "name"])
        given: Any = value
        with contextlib.suppress(ValueError):
            given = parse_json(value)
        config[key] = parse_one(f"activation.{key}", given)
    return config


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {path} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise InputError(f"--output {path} cannot be written to")


def _parse(arguments: Sequence[str]) -> Any:
    description = "Prints the lecture's checklist for activation functions and draws them."
    parser = Parser("study activations", description, _EPILOG)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a level; default: all of them")
    parser.add_argument(
        "--output", type=as_path, default=OUTPUT, metavar="DIR", help=f"default: {OUTPUT}"
    )
    parser.add_argument(
        "--no-timing", dest="timing", action="store_false", help="do not measure the time"
    )
    return parser.parse_args(list(arguments))


if __name__ == "__main__":
    run_as_command("activations")
