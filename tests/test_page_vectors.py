import base64
import re
import xml.etree.ElementTree as ElementTree
from io import BytesIO

import pytest
from matplotlib.figure import Figure
from page_reports import SVG, drawn
from PIL import Image

from study.figures import styled
from study.page.vectors import inline_svg, picture, share_of_width


def test_it_is_one_element_without_what_a_file_has_around_it() -> None:
    text = inline_svg(drawn("a"), "f0")
    assert text is not None
    assert ElementTree.fromstring(text).tag.endswith("svg")
    for part in ("<?xml", "DOCTYPE", "metadata", "<!--", 'width="504pt"', "*{"):
        assert part not in text


def test_letters_of_a_narrow_figure_are_as_large_as_those_of_a_wide_one() -> None:
    assert share_of_width(drawn("a")) == 1
    narrow = SVG.replace(b'width="504pt"', b'width="252pt"')
    assert share_of_width(drawn("a", narrow)) == 0.5
    assert share_of_width(drawn("a", SVG.replace(b'width="504pt"', b'width="900pt"'))) == 1


def test_identifiers_of_two_figures_differ_and_lead_where_they_led() -> None:
    texts = [inline_svg(drawn("a"), prefix) or "" for prefix in ("f0", "f1")]
    names = [set(re.findall(r'\bid="([^"]*)"', text)) for text in texts]
    assert names[0].isdisjoint(names[1])
    for text, known in zip(texts, names, strict=True):
        led = re.findall(r'(?:href="#|url\(#)([\w-]+)', text)
        assert set(led) == known
        assert len(known) == 2


def test_coordinates_are_short_and_scales_are_whole() -> None:
    text = inline_svg(drawn("a"), "f0") or ""
    assert "504.12" in text
    assert "504.123" not in text
    assert 'x="83.99"' in text
    assert "translate(10.12 5) scale(0.015625)" in text
    assert 'd="M0 310L504.12 310z"' in text


def test_styles_that_come_often_are_said_once() -> None:
    text = inline_svg(drawn("a"), "f0") or ""
    assert text.count("stroke-width: 0.6") == 1
    assert text.count('class="f0-s0"') == 3


@pytest.mark.parametrize(
    "active",
    [b"<script>1</script>", b'<g onload="1"/>', b"<foreignObject/>", b'<a href="http://x"/>'],
)
def test_what_runs_or_leads_elsewhere_is_refused(active: bytes) -> None:
    with pytest.raises(ValueError, match="active content"):
        inline_svg(drawn("a", SVG.replace(b"</svg>", active + b"</svg>")), "f0")


def test_a_figure_of_ours_stays_what_it_is() -> None:
    with styled():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2, 3], [1, 4, 9], "o-", label="<script>alert(1)</script>")
        axes.set_title("onload=x javascript: <a>")
        axes.legend()
        file = BytesIO()
        figure.savefig(file, format="svg")
    text = inline_svg(drawn("a", file.getvalue()), "f0") or ""
    root = ElementTree.fromstring(text)
    assert len(text) < len(file.getvalue())
    assert sum(element.tag.endswith("use") for element in root.iter()) > 10


def test_a_picture_is_a_data_uri_that_a_screen_can_show() -> None:
    head, _, content = picture(drawn("a")).partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(content)))
    assert image.size == (1200, 600)
    assert image.convert("RGB").getpixel((600, 300)) == (255, 255, 255)
