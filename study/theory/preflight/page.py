"""The page that `study preflight` prints: a line a cell, its layers on demand, the rules."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from study.config.labels import counted
from study.console import padded
from study.outputs.factors import DEFAULT_LEVEL, shown_level
from study.theory.preflight.rules import RULES

if TYPE_CHECKING:
    from study.networks.registry import Value
    from study.theory.preflight.signal_check import SignalCheck

ENDS = {"activation_variance": "activation variance", "gradient_variance": "gradient variance"}
BY_LAYER = {"preactivation_variance": "pre-activation variance", **ENDS}
"""The probes of the two tables, under their titles."""
LONGEST_LEVEL = 24
CLOSE = 2.0
UNKNOWN = "-"
WIDTH = 100
COLUMNS = (
    "first, last: hidden layers. measured: mean over seeds. seeds: the largest over the smallest. "
    "Flags are predicted and measured (at half of the seeds or more), or marked (p) or (m). "
    "-: no prediction, or not measured."
)

Column = tuple[Sequence[str], list[str]]
"""The lines of a heading, and the texts below it."""


def overview(cells: Sequence[Mapping[str, Value]], checks: Sequence[SignalCheck]) -> list[str]:
    """A line a cell: the levels that vary, variances in the first and last layer, flags."""
    columns: list[Column] = []
    for name in varying(cells):
        levels = [shown_level(name, cell.get(name, DEFAULT_LEVEL)) for cell in cells]
        cut = LONGEST_LEVEL - 2
        texts = [f"{each[:cut]}.." if len(each) > LONGEST_LEVEL else each for each in levels]
        columns.append((("", "", name), texts))
    num_left = len(columns)
    for probe, title in ENDS.items():
        for layer, end in ((0, "first"), (-1, "last")):
            texts = [_predicted(check, probe, layer) for check in checks]
            columns.append(((title if layer == 0 else "", "predicted" * (layer == 0), end), texts))
        for layer, end in ((0, "first"), (-1, "last")):
            texts = [_mean(check, probe, layer) for check in checks]
            columns.append((("", "measured" * (layer == 0), end), texts))
    columns.append((("", "", "seeds"), [_largest_spread(check) for check in checks]))
    return _table(columns, [*range(num_left)], [marks(check) for check in checks])


def by_layer(check: SignalCheck) -> list[str]:
    """A line a layer: every variance predicted and measured, dead units, distinct units."""
    places = range(len(check.layers))
    names = [
        f"{number} {layer.inputs}-{layer.units}"
        + (f" {layer.kernel}x{layer.kernel}" if layer.convolves else "")
        for number, layer in enumerate(check.layers, 1)
    ]
    columns: list[Column] = [(("", "", "layer"), names)]
    for probe, title in BY_LAYER.items():
        columns += [
            ((title, "", "predicted"), [_predicted(check, probe, place) for place in places]),
            (("", "", "measured"), [_mean(check, probe, place) for place in places]),
            (("", "", "seeds"), [_times(_ratio(check.spread(probe, place))) for place in places]),
        ]
    predicted = [_percent([check.predicted["dead_fraction"][place]]) for place in places]
    measured = [_percent(check.spread("dead_fraction", place)) for place in places]
    counts = [check.spread("distinct_units", place) for place in places]
    fewest = [f"{min(of_seeds):.0f}" if of_seeds else UNKNOWN for of_seeds in counts]
    distinct = [f"{few}/{layer.units}" for few, layer in zip(fewest, check.layers, strict=True)]
    columns += [(("dead units", "", "pred."), predicted), (("", "", "meas."), measured)]
    columns += [(("distinct", "", "units"), distinct)]
    return _table(columns, [0], None)


def marks(check: SignalCheck) -> str:
    """The flags: both predicted and measured, or marked (p) or (m); why it was not measured."""
    if check.error:
        return f"{' '.join(check.predicted_flags)} cannot start".strip()
    found = []
    for rule in RULES:
        sides = rule.code in check.predicted_flags, rule.code in check.measured_flags
        if any(sides):
            found.append(rule.code + ("" if all(sides) else "(p)" if sides[0] else "(m)"))
    return " ".join(found)


def legend(checks: Sequence[SignalCheck]) -> list[str]:
    """What the columns mean, and every rule with its threshold, its count and its reason."""
    predicted = [check.predicted_flags for check in checks]
    measured = [check.measured_flags for check in checks]
    columns: list[Column] = [
        (("", "", "rule"), [f"{rule.code:2} {rule.name}" for rule in RULES]),
        (("", "", "pred."), [_count(predicted, rule.code) for rule in RULES]),
        (("", "", "meas."), [_count(measured, rule.code) for rule in RULES]),
        (("", "", "holds where"), [rule.statement for rule in RULES]),
    ]
    reasons = dict.fromkeys(rule.reason for rule in RULES)
    codes = {why: " ".join(rule.code for rule in RULES if rule.reason == why) for why in reasons}
    return [
        *textwrap.wrap(COLUMNS, WIDTH),
        "",
        *_table(columns, [0, 3], None),
        *(line for why in reasons for line in textwrap.wrap(f"{codes[why]}: {why}", WIDTH)),
    ]


def _count(found: Iterable[Sequence[str]], code: str) -> str:
    return str(sum(code in codes for codes in found))


def agreement(checks: Sequence[SignalCheck]) -> str:
    """In how many layers a prediction is within a factor of 2 of the mean over seeds."""
    parts = []
    for probe, words in ENDS.items():
        pairs = [
            (check.predicted[probe][place], _average(check.spread(probe, place)))
            for check in checks
            if check.measured
            for place in range(len(check.layers))
        ]
        known = [(p, m) for p, m in pairs if not math.isnan(p)]
        close = sum(p == m or (m > 0 and p > 0 and max(p / m, m / p) <= CLOSE) for p, m in known)
        parts.append(f"{words} in {close} of {counted(len(known), 'layer')}")
    return f"predicted within a factor of {CLOSE:g} of measured: {', '.join(parts)}"


def varying(cells: Sequence[Mapping[str, Value]]) -> list[str]:
    """The factors that tell the cells apart."""
    names = dict.fromkeys(name for cell in cells for name in cell)
    return [name for name in names if len({str(cell.get(name)) for cell in cells}) > 1]


def _predicted(check: SignalCheck, probe: str, layer: int) -> str:
    return number(check.predicted[probe][layer]) if check.layers else UNKNOWN


def _mean(check: SignalCheck, probe: str, layer: int) -> str:
    return number(_average(check.spread(probe, layer))) if check.layers else UNKNOWN


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _largest_spread(check: SignalCheck) -> str:
    if not check.layers or len(check.measured) < 2:
        return UNKNOWN
    return _times(max(_ratio(check.spread(probe, end)) for probe in ENDS for end in (0, -1)))


def _ratio(values: Sequence[float]) -> float:
    """Largest over smallest; 1 if all are 0, inf if some are, one is no number or there is none."""
    if not values or not all(map(math.isfinite, values)):
        return math.inf
    low, high = min(values), max(values)
    return 1.0 if low == high else high / low if low > 0 else math.inf


def _times(ratio: float) -> str:
    return f"x{number(ratio)}" if math.isfinite(ratio) else UNKNOWN


def _percent(values: Sequence[float]) -> str:
    average = _average(values)
    return f"{100 * average:.1f}%" if math.isfinite(average) else UNKNOWN


def number(value: float) -> str:
    """Two digits, as short as they go: 0, 0.39, 12, 130, 2.1e4, 3.5e-20; - for none."""
    if not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else "inf"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = int(exponent)
    if -3 < power < 3:
        return f"{float(f'{value:.1e}'):.{max(0, 1 - power)}f}"
    return f"{mantissa}e{power}"


def _table(columns: Sequence[Column], left: Sequence[int], last: list[str] | None) -> list[str]:
    """Columns under headings of three lines; a group's title may run over those of its columns."""
    grid = [[heading[-1] for heading, _ in columns]]
    grid += [list(texts) for texts in zip(*(texts for _, texts in columns), strict=True)]
    rows = padded(grid, [place for place in range(len(columns)) if place not in left])
    widths = [len(text) for text in rows[0]]
    starts = [sum(widths[:place]) + 2 * place for place in range(len(widths))]
    lines = []
    for row in range(2):
        line = ""
        for start, (heading, _) in zip(starts, columns, strict=True):
            line = line.ljust(start) + heading[row] if heading[row] else line
        lines.append(line.rstrip())
    ends = ["flags", *last] if last is not None else [""] * len(rows)
    lines += ["  ".join([*row, end]).rstrip() for row, end in zip(rows, ends, strict=True)]
    return [line for line in lines if line]
