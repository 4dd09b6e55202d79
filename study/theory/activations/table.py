"""The activation sheet as text: Markdown for the eye, CSV for scripts."""

import csv
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from study.console import aligned_table
from study.theory.activations.facts import Checklist, Facts, Interval, Kink

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
_NOT_STATED = "not stated: FACTS in study/theory/activations/facts.py has no row of it."
WIDTH = 108

_CHECKS = ("continuous", "differentiable", "non-decreasing", "bounded", "zero-centred")
_NUMBERS = ("saturated", "largest slope", "gain")
_COLUMNS = (
    *("continuous", "jumps", "differentiable", "kinks", "slopes_left", "slopes_right"),
    *("non_decreasing", "turns", "lower_bound", "lower_attained", "upper_bound", "upper_attained"),
    *("mean_output", "zero_centred", "saturated_from", "saturated_to", "largest_slope"),
    *("largest_slope_attained", "largest_slope_from", "largest_slope_to", "gain", "relative_time"),
)


def write_markdown(
    sheet: Sheet, times: Mapping[str, float] | None = None, conditions: str = ""
) -> str:
    """A table of yes and no, a table of numbers, and a legend.

    `times` are relative to ReLU, `conditions` says how they were measured.
    """
    rows = {name: _texts(checklist) for name, checklist in sheet.items()}
    legend = list(_LEGEND)
    if any(name.split()[0] == "maxout" for name in sheet):
        legend.append(_MAXOUT)
    if any(checklist.facts is None for checklist in sheet.values()):
        legend.append(_NOT_STATED)
    if times:
        for name, row in rows.items():
            row["time"] = f"{times[name]:.2f}"
        legend.append(f"time: {conditions}.")
    blocks = [
        [
            ["activation", *columns],
            *(
                [name, *(row.get(column, "not stated") for column in columns)]
                for name, row in rows.items()
            ),
        ]
        for columns in (_CHECKS, (*_NUMBERS, *(["time"] if times else [])))
    ]
    lines = (textwrap.fill(f"- {line}", WIDTH, subsequent_indent="  ") for line in legend)
    return "\n\n".join([*map(aligned_table, blocks), "\n".join(lines)]) + "\n"


def write_csv(sheet: Sheet, times: Mapping[str, float] | None = None) -> str:
    """A line for each activation. Places and intervals stand apart by `;`.

    A bound that does not exist is `inf` or `-inf`; what is not stated or measured is empty.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["activation", *_COLUMNS], lineterminator="\n")
    writer.writeheader()
    for name, checklist in sheet.items():
        time = {"relative_time": _digits(times[name])} if times else {}
        writer.writerow({"activation": name, **_values(checklist), **time})
    return stream.getvalue()


def number(value: float, digits: int = 4) -> str:
    """As many significant digits; what is below half a millionth is 0.

    >>> number(-1.7580993408473766), number(-1e-17), number(float("-inf"))
    ('-1.758', '0', '-∞')
    """
    return f"{round(value, 6) + 0.0:.{digits}g}".replace("inf", "∞")


def _texts(checklist: Checklist) -> dict[str, str]:
    """The cells of both tables."""
    zero_centred, mean = _truth(_is_zero(checklist)), number(checklist.mean_output)
    computed = {"zero-centred": f"{zero_centred}: {mean}", "gain": f"{checklist.gain:.4f}"}
    facts = checklist.facts
    if facts is None:
        return computed
    kinks = _some(
        f"{number(at)} ({number(left)}, {number(right)})" for at, left, right in facts.kinks
    )
    turns = f"no: at {_some(map(number, facts.turns))}" if facts.turns else "no"
    return computed | {
        "continuous": f"no: at {_some(map(number, facts.jumps))}" if facts.jumps else "yes",
        "differentiable": f"no: at {kinks}" if kinks else "no" if facts.jumps else "yes",
        "non-decreasing": "yes" if facts.non_decreasing else turns,
        "bounded": _bounded(facts),
        "saturated": _some(map(_region, facts.saturated)) or "nowhere",
        "largest slope": _largest_slope(facts),
    }


def _bounded(facts: Facts) -> str:
    below, above = math.isfinite(facts.lower), math.isfinite(facts.upper)
    if not below and not above:
        return "no"
    side = "yes" if below and above else "below" if below else "above"
    opening = "[" if facts.lower_attained else "("
    closing = "]" if facts.upper_attained else ")"
    return f"{side}: {opening}{number(facts.lower)}, {number(facts.upper)}{closing}"


def _region(region: Interval) -> str:
    low, high = region
    if math.isinf(low) and math.isinf(high):
        return "everywhere"
    if math.isinf(low):
        return f"z < {number(high)}"
    if math.isinf(high):
        return f"z > {number(low)}"
    return f"{number(low)} < z < {number(high)}"


def _largest_slope(facts: Facts) -> str:
    if math.isinf(facts.largest_slope):
        return "no bound"
    if facts.slope_attained:
        where = _some(_place(region, facts.kinks) for region in facts.steepest)
    else:
        where = "as z to " + ", ".join(number(end) for end, _ in facts.steepest)
    return f"{number(facts.largest_slope)} {where}"


def _place(region: Interval, kinks: Sequence[Kink]) -> str:
    """`at 1.414`, `for z > 0`, or the side of a kink on which the slope is the larger one."""
    low, high = region
    if low < high:
        text = _region(region)
        return text if text == "everywhere" else f"for {text}"
    for place, left, right in kinks:
        if low == place and abs(left) != abs(right):
            return f"{'left' if abs(left) > abs(right) else 'right'} of {number(place)}"
    return f"at {number(low)}"


def _some(texts: Iterable[str]) -> str:
    """The texts, or the first three of more than four."""
    texts = list(texts)
    return ", ".join(texts if len(texts) <= 4 else [*texts[:3], "..."])


def _values(checklist: Checklist) -> dict[str, str]:
    """The cells of the CSV file."""
    computed = {
        "mean_output": _digits(checklist.mean_output),
        "zero_centred": _truth(_is_zero(checklist)),
        "gain": _digits(checklist.gain),
    }
    facts = checklist.facts
    if facts is None:
        return computed
    return computed | {
        "continuous": _truth(not facts.jumps),
        "jumps": _list(facts.jumps),
        "differentiable": _truth(not facts.jumps and not facts.kinks),
        "kinks": _list(kink.place for kink in facts.kinks),
        "slopes_left": _list(kink.left for kink in facts.kinks),
        "slopes_right": _list(kink.right for kink in facts.kinks),
        "non_decreasing": _truth(facts.non_decreasing),
        "turns": _list(facts.turns),
        "lower_bound": _digits(facts.lower),
        "lower_attained": _truth(facts.lower_attained),
        "upper_bound": _digits(facts.upper),
        "upper_attained": _truth(facts.upper_attained),
        "saturated_from": _list(low for low, _ in facts.saturated),
        "saturated_to": _list(high for _, high in facts.saturated),
        "largest_slope": _digits(facts.largest_slope),
        "largest_slope_attained": _truth(facts.slope_attained),
        "largest_slope_from": _list(low for low, _ in facts.steepest),
        "largest_slope_to": _list(high for _, high in facts.steepest),
    }


def _is_zero(checklist: Checklist) -> bool:
    return abs(checklist.mean_output) < 1e-6


def _truth(value: bool) -> str:
    return "yes" if value else "no"


def _digits(value: float) -> str:
    return number(value, 6).replace("∞", "inf")


def _list(values: Iterable[float]) -> str:
    return ";".join(map(_digits, values))
