"""The activation sheet as text: Markdown for the eye, CSV for scripts."""

import csv
import io
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from study.analysis.formats import align
from study.theory.activations.checklist import Checklist, Kink
from study.theory.activations.search import Interval

Sheet = Mapping[str, Checklist]
"""The checklist of each level, by name."""

_LEGEND = (
    "continuous, differentiable: if not, where f or f' jumps, with f' on the left and the right.",
    "non-decreasing: if not, where f turns. bounded: on which side, and the range of f.",
    "zero-centred: whether E f(z) = 0 for z ~ N(0, 1), and this mean. gain: 1 / sqrt(E[f(z)^2]).",
    "saturated: where |f'| is below 1 % of the largest slope, which is the largest value of |f'|; "
    "a function that is flat on one side alone, as ReLU, is called off there.",
)
_MAXOUT = (
    "maxout: one linear piece varies and the others are 0, or all are equal. Its mean and gain are "
    "those of the largest of independent normals, its slope is the one along its largest piece."
)
WIDTH = 108


def write_markdown(
    sheet: Sheet, times: Mapping[str, float] | None = None, conditions: str = ""
) -> str:
    """A table of yes and no, a table of numbers, and a legend.

    `times` are relative to ReLU, `conditions` says how they were measured.
    """
    checks, numbers = dict(_CHECKS), dict(_NUMBERS)
    blocks = [_grid(sheet, checks), _grid(sheet, numbers)]
    legend = [*_LEGEND, *([_MAXOUT] if any(name.split()[0] == "maxout" for name in sheet) else [])]
    if times:
        blocks[1][0].append("time")
        for row in blocks[1][1:]:
            row.append(f"{times[row[0]]:.2f}")
        legend.append(f"time: {conditions}.")
    lines = (textwrap.fill(f"- {line}", WIDTH, subsequent_indent="  ") for line in legend)
    return "\n\n".join([*map(align, blocks), "\n".join(lines)]) + "\n"


def write_csv(sheet: Sheet, times: Mapping[str, float] | None = None) -> str:
    """A line for each activation. Places and intervals stand apart by `;`.

    A bound that does not exist is `inf` or `-inf`; `relative_time` is empty if not measured.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["activation", *_COLUMNS, "relative_time"])
    for name, facts in sheet.items():
        row = [write(facts) for write in _COLUMNS.values()]
        writer.writerow([name, *row, _digits(times[name]) if times else ""])
    return stream.getvalue()


def number(value: float, digits: int = 4) -> str:
    """As many significant digits; what is below half a millionth is 0.

    >>> number(-1.7580993408473766), number(-1e-17), number(float("-inf"))
    ('-1.758', '0', '-∞')
    """
    return f"{round(value, 6) + 0.0:.{digits}g}".replace("inf", "∞")


def _grid(sheet: Sheet, columns: Mapping[str, Callable[[Checklist], str]]) -> list[list[str]]:
    rows = [[name, *(write(facts) for write in columns.values())] for name, facts in sheet.items()]
    return [["activation", *columns], *rows]


def _continuous(facts: Checklist) -> str:
    return "yes" if facts.continuous else f"no: at {_places(facts.jumps)}"


def _differentiable(facts: Checklist) -> str:
    kinks = _some(map(_kink, facts.kinks))
    if kinks:
        return f"no: at {kinks}"
    return "yes" if facts.differentiable else "no"


def _kink(kink: Kink) -> str:
    return f"{number(kink.place)} ({number(kink.left)}, {number(kink.right)})"


def _non_decreasing(facts: Checklist) -> str:
    if facts.non_decreasing:
        return "yes"
    return f"no: at {_places(facts.turns)}" if facts.turns else "no"


def _bounded(facts: Checklist) -> str:
    below, above = math.isfinite(facts.lower.value), math.isfinite(facts.upper.value)
    if not below and not above:
        return "no"
    side = "yes" if below and above else "below" if below else "above"
    opening = "[" if facts.lower.attained else "("
    closing = "]" if facts.upper.attained else ")"
    return f"{side}: {opening}{number(facts.lower.value)}, {number(facts.upper.value)}{closing}"


def _zero_centred(facts: Checklist) -> str:
    return "yes: 0" if facts.zero_centred else f"no: {number(facts.mean_output)}"


def _saturated(facts: Checklist) -> str:
    return _some(map(_region, facts.saturated)) or "nowhere"


def _region(region: Interval) -> str:
    if region == Interval(-math.inf, math.inf):
        return "everywhere"
    if math.isinf(region.low):
        return f"z < {number(region.high)}"
    if math.isinf(region.high):
        return f"z > {number(region.low)}"
    return f"{number(region.low)} < z < {number(region.high)}"


def _largest_slope(facts: Checklist) -> str:
    steepest = facts.steepest
    if math.isinf(steepest.value):
        return "no bound"
    if steepest.attained:
        where = _some(_place(region, facts.kinks) for region in steepest.where)
    else:
        ends = [end for region in steepest.where for end in (region.low, region.high)]
        where = "as z to " + ", ".join(number(end) for end in ends if math.isinf(end))
    return f"{number(steepest.value)} {where}"


def _place(region: Interval, kinks: Sequence[Kink]) -> str:
    """`at 1.414`, `for z > 0`, or the side of a kink on which the slope is the larger one."""
    if region.low < region.high:
        text = _region(region)
        return text if text == "everywhere" else f"for {text}"
    for kink in kinks:
        if abs(region.low - kink.place) < 1e-5 and abs(kink.left) != abs(kink.right):
            side = "left" if abs(kink.left) > abs(kink.right) else "right"
            return f"{side} of {number(kink.place)}"
    return f"at {number(region.low)}"


def _places(places: Iterable[float]) -> str:
    return _some(map(number, places))


def _some(texts: Iterable[str]) -> str:
    """The texts, or the first three of more than four."""
    texts = list(texts)
    return ", ".join(texts if len(texts) <= 4 else [*texts[:3], "..."])


_CHECKS: dict[str, Callable[[Checklist], str]] = {
    "continuous": _continuous,
    "differentiable": _differentiable,
    "non-decreasing": _non_decreasing,
    "bounded": _bounded,
    "zero-centred": _zero_centred,
}
_NUMBERS: dict[str, Callable[[Checklist], str]] = {
    "saturated": _saturated,
    "largest slope": _largest_slope,
    "gain": lambda facts: f"{facts.gain:.4f}",
}


def _truth(value: bool) -> str:
    return "yes" if value else "no"


def _digits(value: float) -> str:
    return number(value, 6).replace("∞", "inf")


def _list(values: Iterable[float]) -> str:
    return ";".join(map(_digits, values))


_COLUMNS: dict[str, Callable[[Checklist], str]] = {
    "continuous": lambda facts: _truth(facts.continuous),
    "jumps": lambda facts: _list(facts.jumps),
    "differentiable": lambda facts: _truth(facts.differentiable),
    "kinks": lambda facts: _list(kink.place for kink in facts.kinks),
    "slopes_left": lambda facts: _list(kink.left for kink in facts.kinks),
    "slopes_right": lambda facts: _list(kink.right for kink in facts.kinks),
    "non_decreasing": lambda facts: _truth(facts.non_decreasing),
    "turns": lambda facts: _list(facts.turns),
    "lower_bound": lambda facts: _digits(facts.lower.value),
    "lower_attained": lambda facts: _truth(facts.lower.attained),
    "upper_bound": lambda facts: _digits(facts.upper.value),
    "upper_attained": lambda facts: _truth(facts.upper.attained),
    "mean_output": lambda facts: _digits(facts.mean_output),
    "zero_centred": lambda facts: _truth(facts.zero_centred),
    "saturated_from": lambda facts: _list(region.low for region in facts.saturated),
    "saturated_to": lambda facts: _list(region.high for region in facts.saturated),
    "largest_slope": lambda facts: _digits(facts.steepest.value),
    "largest_slope_attained": lambda facts: _truth(facts.steepest.attained),
    "largest_slope_from": lambda facts: _list(region.low for region in facts.steepest.where),
    "largest_slope_to": lambda facts: _list(region.high for region in facts.steepest.where),
    "gain": lambda facts: _digits(facts.gain),
}
