"""What the page carries: data as JSON, compressed; scripts, and their hashes for its policy."""

import base64
import gzip
import hashlib
import importlib.util
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from study.page.fonts import font_faces

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("start.js", "numbers.js", "explorer.js", "charts.js", "cell.js", "list.js", "page.js")
"""In this order they are one script, inside one function."""
STYLES = ("colours.css", "page.css", "explorer.css", "tables.css", "cell.css", "media.css")


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
    """The page's style sheet, fonts and all."""
    return "\n".join([font_faces(), *map(asset, STYLES)])


@lru_cache
def charting_library() -> tuple[str, str]:
    """Plotly's bundle, packed, and its hash for the page's policy.

    It is the library that the plotly package carries: pinned, whole, and 1.5 MB compressed, where
    a smaller bundle would be one more file to keep up to date. The page unpacks it when the first
    chart is asked for.
    """
    places = importlib.util.find_spec("plotly")
    assert places is not None
    assert places.submodule_search_locations
    path = Path(places.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    content = path.read_bytes()
    return _compressed(content), script_hash(content.decode("utf-8"))


def script_hash(text: str) -> str:
    """What a Content-Security-Policy calls a script that is in the page: `'sha256-...'`."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def asset(name: str) -> str:
    """The text of one of the page's own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def _compressed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")
