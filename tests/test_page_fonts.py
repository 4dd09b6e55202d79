"""The page's fonts: whole, small, of even digits, and what their command makes."""

import re
from pathlib import Path
from typing import Any

import pytest
from fontTools.ttLib import TTFont

from study.page.font_files import LICENCE, make_font, sources
from study.page.fonts import FACES, FONTS, font_faces
from study.page.packing import SCRIPTS, asset
from study.page.render import TEMPLATES
from study.page.verdicts import GLYPHS

LICENCE_RECORD = 13


def font(path: Path) -> Any:
    return TTFont(path)


@pytest.mark.parametrize("name", FACES)
def test_digits_line_up(name: str) -> None:
    found = font(FONTS / f"{name}.woff")
    glyphs = found.getBestCmap()
    assert len({found["hmtx"][glyphs[ord(digit)]][0] for digit in "0123456789"}) == 1


@pytest.mark.parametrize("name", FACES)
def test_it_is_what_its_command_makes_of_matplotlibs_font(name: str, tmp_path: Path) -> None:
    make_font(sources() / f"{name}.ttf", tmp_path / "again.woff")
    kept, again = font(FONTS / f"{name}.woff"), font(tmp_path / "again.woff")
    assert kept.getBestCmap() == again.getBestCmap()
    for glyph in kept.getGlyphOrder():
        assert kept["glyf"][glyph] == again["glyf"][glyph]
        assert kept["hmtx"][glyph] == again["hmtx"][glyph]


@pytest.mark.parametrize("name", FACES)
def test_it_is_small_and_carries_its_licence(name: str) -> None:
    path = FONTS / f"{name}.woff"
    assert path.stat().st_size < 40_000
    record = font(path)["name"].getDebugName(LICENCE_RECORD)
    assert "Permission is hereby granted" in record
    assert "Permission is hereby granted" in (FONTS / LICENCE).read_text(encoding="utf-8")


def test_the_page_writes_nothing_that_its_font_cannot() -> None:
    texts = [*map(asset, SCRIPTS), *(path.read_text() for path in TEMPLATES.glob("*.html"))]
    written = set("".join([*texts, *GLYPHS.values(), "±≈∞–↑↓−≤≥σ"])) - set("\n")
    known = font(FONTS / "DejaVuSans.woff").getBestCmap()
    assert {each for each in written if ord(each) not in known} == set()


def test_every_family_that_the_style_asks_for_is_there() -> None:
    asked = set(re.findall(r'--(?:serif|sans|mono): "([^"]+)"', asset("colours.css")))
    assert asked == {family for family, _ in FACES.values()}
    assert set(re.findall(r'font-family: "([^"]+)"', font_faces())) == asked
