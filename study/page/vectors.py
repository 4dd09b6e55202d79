"""Figures inside the page: SVG whose identifiers are its own, as small as it can be."""

import base64
import html
import io
import re
from collections import Counter

from study.report.parts import Drawn

LARGEST = 300_000
"""Bytes of SVG beyond which a figure is shown as the picture it also is."""
FULL_WIDTH = 504.0
"""Points of a figure that is as wide as a page."""
WIDEST = 1200
COLOURS = 64
_PROLOG = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_LEFT_OUT = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style\b.*?</style>", re.DOTALL)
"""Style too: in a page it would be everyone's. The page's own sheet says the same of figures."""
_OWN_SIZE = re.compile(r'(<svg\b[^>]*?) (?:width|height)="[^"]*"')
_ID = re.compile(r'\bid="([^"]*)"')
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]*)')
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_DRAWN = re.compile(r'\b(?:d|points|x|y|x1|y1|x2|y2)="[^"]*"|translate\([^)]*\)')
_WIDTH = re.compile(rb'<svg\b[^>]*? width="([\d.]+)pt"')
_PATH = re.compile(r' d="([^"]*)"')
_STYLE = re.compile(r' style="([^"]*)"')
_ACTIVE = re.compile(r"<(?:script|foreignObject|iframe|a)\b|\bon\w+\s*=|javascript:", re.IGNORECASE)


def inline_svg(figure: Drawn, prefix: str) -> str | None:
    """The figure's SVG element, its identifiers led by `prefix`; None where it is too large.

    Coordinates keep two decimals of a point. An SVG with something that runs or leads elsewhere
    is none of ours: ValueError.
    """
    raw = figure.svg.decode("utf-8")
    if _ACTIVE.search(_LEFT_OUT.sub("", raw)):
        raise ValueError(f"the figure {figure.name} has active content")
    text = _LEFT_OUT.sub("", _PROLOG.sub("", raw, count=1))
    text = _OWN_SIZE.sub(r"\1", _OWN_SIZE.sub(r"\1", text, count=1), count=1)
    text = _DRAWN.sub(lambda found: _NUMBER.sub(_short, found[0]), text)
    text = _PATH.sub(_tight, text)
    text = _styled_once(_referenced(text, prefix), prefix)
    text = re.sub(r"\s*\n\s*", "\n", text).strip()
    return None if len(text) > LARGEST else text


def share_of_width(figure: Drawn) -> float:
    """How wide a figure is beside the widest, so that the letters of all are of one size."""
    found = _WIDTH.search(figure.svg)
    return min(1.0, round(float(found[1]) / FULL_WIDTH, 3)) if found else 1.0


def picture(figure: Drawn) -> str:
    """The figure's PNG as a data URI, no wider than a screen needs and of 64 colours."""
    from PIL import Image

    with Image.open(io.BytesIO(figure.png)) as found:
        image = found.convert("RGB")
    if image.width > WIDEST:
        height = round(image.height * WIDEST / image.width)
        image = image.resize((WIDEST, height), Image.Resampling.BOX)
    file = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", compress_level=9)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _referenced(text: str, prefix: str) -> str:
    """Identifiers that something refers to, renamed; the others left out."""
    used = {found[2] for found in _REFERENCE.finditer(text)}
    names = {name: f"{prefix}-{place}" for place, name in enumerate(sorted(used))}
    text = _ID.sub(lambda f: f'id="{names[f[1]]}"' if f[1] in names else "", text)
    text = _REFERENCE.sub(lambda f: f"{f[1]}{names[f[2]]}", text)
    return re.sub(r" +(?=/?>)", "", text)


def _styled_once(text: str, prefix: str) -> str:
    """Styles that come often, as classes: matplotlib repeats one at every marker."""
    counts = Counter(found[1] for found in _STYLE.finditer(text))
    often = [style for style, number in sorted(counts.items()) if number > 2]
    names = {style: f"{prefix}-s{place}" for place, style in enumerate(often)}
    text = _STYLE.sub(lambda f: f' class="{names[f[1]]}"' if f[1] in names else f[0], text)
    rules = "".join(f".{name}{{{html.unescape(style)}}}" for style, name in names.items())
    return text.replace(">", f"><style>{rules}</style>", 1) if rules else text


def _tight(found: "re.Match[str]") -> str:
    """A path without the spaces that its letters make needless."""
    return ' d="' + re.sub(r"\s*([A-Za-z])\s*", r"\1", found[1]).strip() + '"'


def _short(found: "re.Match[str]") -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
