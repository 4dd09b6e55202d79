"""What the page carries: data as JSON, compressed; figures; scripts and their policy's hashes."""

import base64
import gzip
import hashlib
import io
import json
import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("start.js", "numbers.js", "explorer.js", "charts.js", "cell.js", "list.js", "page.js")
"""In this order they are one script, inside one function."""
STYLES = ("colours.css", "page.css", "explorer.css", "tables.css", "cell.css", "media.css")
LARGEST = 300_000
"""Bytes of a figure's SVG beyond which the page shows the picture that it also is."""
_UNSEEN = re.compile(r'<!--.*?-->|(?<=<g) id="[^"]*"')
FULL_WIDTH = 504.0
"""Points of a figure that is as wide as a page."""
_WIDTH = re.compile(rb'<svg\b[^>]*? width="([\d.]+)pt"')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_STYLE = re.compile(r'style="([^"]*)"')
_AS_IT_IS = " '<>=:;/(),.!+*@?$|{}[]^`~-_"
"""Characters besides letters and digits that a data URI within double quotes need not escape."""


def packed(value: Any) -> str:
    """A value as JSON, gzip and base64: letters and digits that end no element of a page.

    The same value gives the same text. Numbers must be finite, and are rounded by the caller.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _compressed(text.encode())


def rounded(number: float | None, digits: int = 5) -> float | int | None:
    """A number with so many significant digits; None where there is none or it is not finite."""
    short = math.nan if number is None else float(f"{number:.{digits}g}")
    if not math.isfinite(short):
        return None
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


@lru_cache
def script() -> str:
    """The page's own script."""
    parts = (asset(name).rstrip("\n") for name in SCRIPTS)
    return "(() => {\n" + '"use strict";\n' + "\n\n".join(parts) + "\n})();\n"


@lru_cache
def style() -> str:
    """The page's style sheet."""
    return "\n".join(map(asset, STYLES))


@lru_cache
def charting_library() -> tuple[str, str]:
    """Plotly's bundle, packed, and its hash for the page's policy.

    Compressed it takes 2.0 MB of the page, as it is 4.8; the package carries no smaller one. The
    page unpacks it when the first chart is asked for.
    """
    from plotly.offline import get_plotlyjs

    bundle = get_plotlyjs()
    return _compressed(bundle.encode()), script_hash(bundle)


def svg_uri(svg: bytes) -> str:
    """A figure of matplotlib's as a data URI that stands between double quotes.

    Of an image nothing runs, and its identifiers are its own. Five digits of each number, no names
    of groups and every style once halve it: the figures of 200 cells take 0.9 MB, whole and in
    base64 1.9, which is more than a page of 5 MB has room for.
    """
    text = " ".join(_UNSEEN.sub("", svg.decode()).split())
    text = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.5g}", text)
    often = [style for style, number in Counter(_STYLE.findall(text)).items() if number > 2]
    for place, style in enumerate(often):
        text = text.replace(f'style="{style}"', f'class="s{place}"')
    rules = "".join(f".s{place}{{{style}}}" for place, style in enumerate(often))
    text = text.replace("</style>", f"{rules}</style>", 1)
    return "data:image/svg+xml," + quote(text.replace('"', "'"), safe=_AS_IT_IS)


def share_of_width(svg: bytes) -> float:
    """How wide a figure is beside the widest, so that the letters of all are of one size."""
    found = _WIDTH.search(svg)
    return min(1.0, round(float(found[1]) / FULL_WIDTH, 3)) if found else 1.0


def png_uri(png: bytes) -> str:
    """A picture as a data URI, no wider than a screen needs and of 64 colours."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as found:
        image = found.convert("RGB")
    image.thumbnail((1200, image.height), Image.Resampling.BOX)
    image.quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def script_hash(text: str) -> str:
    """What a Content-Security-Policy calls a script that is in the page: `'sha256-...'`."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def asset(name: str) -> str:
    """The text of one of the page's own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def _compressed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")
