import base64
import gzip
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from study.report.figures.style import styled
from study.report.page.packing import (
    charting_library,
    packed,
    png_uri,
    rounded,
    script_hash,
    share_of_width,
    svg_uri,
)
from tests.page_reports import PNG, SVG

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


@given(VALUES)
def test_what_is_packed_comes_back_and_is_no_markup(value: Any) -> None:
    text = packed(value)
    assert unpacked(text) == value
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", text)
    assert packed(value) == text


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        packed([math.nan])


@given(st.floats(allow_nan=True))
def test_rounding_is_near_and_json(number: float) -> None:
    short = rounded(number, 5)
    if short is None:
        assert not math.isfinite(number) or abs(number) > 1.797e308
    else:
        assert short == pytest.approx(number, rel=1e-4, abs=1e-320)
        assert json.loads(json.dumps(short, allow_nan=False)) == short


def test_the_library_is_the_packages_and_has_the_hash_that_the_page_allows() -> None:
    text, digest = charting_library()
    library = gzip.decompress(base64.b64decode(text)).decode("utf-8")
    assert "plotly.js" in library[:200]
    assert script_hash(library) == digest
    assert len(text) < 2_200_000


def shown_svg(svg: bytes) -> str:
    """The SVG that a browser finds in a figure's data URI."""
    head, _, text = svg_uri(svg).partition(",")
    assert head == "data:image/svg+xml"
    return unquote(text)


def drawn_svg() -> bytes:
    """A figure as matplotlib writes it."""
    with styled():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2, 3], [1, 4, 9], "o-", label='<script>alert("1")</script> & it\'s')
        axes.legend()
        file = BytesIO()
        figure.savefig(file, format="svg")
    return file.getvalue()


def looks(text: str) -> list[tuple[str, str]]:
    """Of every element its name and its style, whether it says it itself or by a class."""
    root = ElementTree.fromstring(text)
    sheet = "".join(e.text or "" for e in root.iter() if e.tag.endswith("}style"))
    rules = dict(re.findall(r"\.(s\d+)\{([^}]*)\}", sheet))
    styles = [(e.tag, e.get("style") or rules.get(e.get("class", ""), "")) for e in root.iter()]
    return [
        (tag, re.sub(r"\d+\.\d+", lambda f: f"{float(f[0]):.5g}", text)) for tag, text in styles
    ]


@pytest.mark.parametrize("svg", [SVG, drawn_svg()])
def test_a_figure_in_a_data_uri_looks_as_its_file(svg: bytes) -> None:
    text = shown_svg(svg)
    assert looks(text) == looks(svg.decode())
    names = set(re.findall(r" id='([^']*)'", text))
    assert set(re.findall(r"(?:href='#|url\(#)([^')]*)", text)) <= names
    assert len(svg_uri(svg)) < len(svg)


def test_a_figures_data_uri_ends_no_attribute() -> None:
    for svg in (drawn_svg(), SVG.replace(b"<!-- a label -->", b'<!-- "><script> & -->')):
        assert re.search(r'["&\s#]', svg_uri(svg).replace(" ", "")) is None
        assert "<script>" not in svg_uri(svg)


def test_coordinates_of_a_figure_are_short_and_scales_are_whole() -> None:
    text = shown_svg(SVG)
    assert "L 504.12 310" in text
    assert "x='83.988'" in text
    assert "translate(10.123 5) scale(0.015625)" in text
    assert text.count("stroke-width: 0.6") == 1


def test_letters_of_a_narrow_figure_are_as_large_as_those_of_a_wide_one() -> None:
    assert share_of_width(SVG) == 1
    assert share_of_width(SVG.replace(b'width="504pt"', b'width="252pt"')) == 0.5
    assert share_of_width(SVG.replace(b'width="504pt"', b'width="900pt"')) == 1


def test_a_picture_is_a_data_uri_that_a_screen_can_show() -> None:
    head, _, content = png_uri(PNG).partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(content)))
    assert image.size == (1200, 600)
    assert image.convert("RGB").getpixel((600, 300)) == (255, 255, 255)
