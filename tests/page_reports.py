"""Reports made by hand, with something in every part, to render pages of."""

import io

from PIL import Image

from study.analysis.frames import Frames
from study.analysis.parts import Drawn, Outcome, Report, Sheet, Verdict
from study.analysis.pivot import Request, make_pivot

LEVEL = "<script>alert(1)</script>"
SVG = b"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="504pt" height="310pt"
 viewBox="0 0 504 310" xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata>made today</metadata>
 <defs><style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>
 <g id="figure_1"><!-- a label --><path d="M 0 310
L 504.123456 310
z
" clip-path="url(#p1)" style="fill: #ffffff"/>
  <defs><path id="m1" d="M 0 0 L 0 3.5" style="stroke: #666666"/></defs>
  <use xlink:href="#m1" x="83.987654" y="2" style="stroke: #666666; stroke-width: 0.6"/>
  <use xlink:href="#m1" x="84" y="2" style="stroke: #666666; stroke-width: 0.6"/>
  <use xlink:href="#m1" x="85" y="2" style="stroke: #666666; stroke-width: 0.6"/>
  <g transform="translate(10.123456 5) scale(0.015625)"><path d="M 1 1"/></g>
 </g>
 <defs><clipPath id="p1"><rect x="1" y="2" width="3" height="4"/></clipPath></defs>
</svg>
"""


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2000, 1000), "white").save(file, "PNG")
    return file.getvalue()


PNG = _png()


def drawn(name: str, svg: bytes = SVG, cells: tuple[str, ...] = ()) -> Drawn:
    """A figure."""
    return Drawn(name, f"The {name}", "Mean over n = 3 seeds.", svg, PNG, cells)


def verdict(
    outcome: Outcome = "supported",
    *,
    kind: str = "lower by",
    effect: tuple[float | None, float | None, float | None] = (3.0, 2.0, 4.0),
    cells: tuple[str, ...] = (),
) -> Verdict:
    """A verdict on a claim whose smallest effect that matters is 1."""
    estimate, low, high = effect
    return Verdict(
        id="a-claim",
        statement=f"A {LEVEL} net learns",
        source="lecture 3",
        outcome=outcome,
        kind=kind,
        measure="difference of the test error",
        estimate=estimate,
        low=low,
        high=high,
        p=None if estimate is None else 0.01,
        num_seeds=3,
        smallest=1.0,
        unit="%",
        published="some paper",
        command="study train experiment=x",
        reason="" if estimate is not None else "no cell has it",
        cells=cells,
    )


def sheet(name: str, *rows: tuple[str, ...]) -> Sheet:
    """An analysis of two columns."""
    return Sheet(name, f"The {name}", "What it shows.", ("what", "how much"), rows, ("A note.",))


def wide_sheet() -> Sheet:
    """An analysis of as many columns as one has."""
    columns = tuple(f"column {number}" for number in range(14))
    row = ("activation", "he_normal", *("[-84.10, -83.88]" for _ in columns[2:]))
    return Sheet("wide", "The wide one", "What it shows.", columns, (row,) * 3)


def make_report(frames: Frames) -> Report:
    """A report with a verdict of each outcome, two figures, tables and analyses."""
    first = (frames.finished[0].directory,)
    nothing = (None, None, None)
    return Report(
        frames=frames,
        title=frames.name,
        remarks=("All cells count.", f"{LEVEL} is not used."),
        verdicts=(
            verdict(cells=first),
            verdict("refuted", kind="same within"),
            verdict("undecided", kind="at least as low within"),
            verdict("not decidable", effect=nothing),
        ),
        pivots=(make_pivot(frames.cells, Request()),),
        sheets=(
            sheet("ranking", (LEVEL, "1.25 ± 0.10"), ("tanh", "2")),
            wide_sheet(),
            sheet("glossary", ("seed", "where a replica starts")),
        ),
        figures=(drawn("first"), drawn("second")),
        published=(sheet("papers", ("a paper", "1.4")),),
    )
