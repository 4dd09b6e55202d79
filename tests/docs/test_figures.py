"""Documents show the figures that the outputs and the code give."""

from pathlib import Path

import pytest

from docs import figures
from docs.__main__ import TORCH_PRINTERS, main
from docs.quoted import refreshed
from study.errors import InputError

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/activations.md"
STALE = "stale: run `python -m docs docs/activations.md`"


def test_a_figure_is_compared_by_what_it_shows() -> None:
    svg = b'<path id="m0123456789" d="M 10.001 20.5"/>'
    moved = b'<path id="mabcdef0123" d="M 10.002 20.5"/>'
    assert figures.same(svg, moved)
    assert not figures.same(svg, svg.replace(b"20.5", b"21.5"))
    assert not figures.same(svg, svg + b"<g/>")


def test_a_figure_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="write study figure STUDY NAME FILE"):
        figures.printed(["outputs/published/quickstart"])


def test_the_activation_sheet_is_what_is_computed() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert refreshed(text, TORCH_PRINTERS) == text, STALE


def test_its_figure_is_what_is_drawn(tmp_path: Path) -> None:
    figures.draw_activations(tmp_path / "activations.svg")
    drawn = (tmp_path / "activations.svg").read_bytes()
    assert figures.same(drawn, DOCUMENT.with_suffix(".svg").read_bytes()), STALE


def test_a_tampered_sheet_is_mended_and_its_figure_drawn(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    copy = tmp_path / "activations.md"
    copy.write_text(text.replace("1.4142", "1.4124"), encoding="utf-8")
    assert main([str(copy), "--check"]) == 0, "its check is these tests'"
    assert not copy.with_suffix(".svg").exists()
    assert main([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == text
    assert copy.with_suffix(".svg").exists()
