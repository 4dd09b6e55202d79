"""docs/activations.md quotes the tables, and shows the figure, that the code gives."""

import re
from pathlib import Path

import pytest

from docs import quoted
from docs import refresh as document

DOCUMENT = Path(__file__).parents[2] / "docs/activations.md"
STALE = "stale: run `python -m docs.refresh docs/activations.md`"


def test_it_quotes_what_is_computed() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert quoted.quotations("study activations").search(text), "it quotes no table"
    assert quoted.refreshed(text, document.PRINTERS) == text, STALE


def test_its_figure_is_what_is_drawn(tmp_path: Path) -> None:
    document.write_figure(tmp_path / "activations.svg")
    drawn, shown = (
        apart(path.read_text(encoding="utf-8"))
        for path in (tmp_path / "activations.svg", DOCUMENT.with_suffix(".svg"))
    )
    assert drawn[0] == shown[0], STALE
    assert drawn[1] == pytest.approx(shown[1], abs=0.01), STALE


def apart(svg: str) -> tuple[list[str], list[float]]:
    """An SVG's text and its numbers, whose last digits depend on the processor.

    Identifiers, which are hashes of such numbers, are left out.
    """
    svg = re.sub(r"\b[a-z][0-9a-f]{10}\b", "", svg)
    pieces = re.split(r"(-?\d+\.\d+)", svg)
    return pieces[::2], [float(piece) for piece in pieces[1::2]]


def test_a_tampered_table_is_found_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    copy = tmp_path / "activations.md"
    copy.write_text(text.replace("1.4142", "1.4124"), encoding="utf-8")
    assert document.document_main([str(copy), "--check"]) == 1
    assert not copy.with_suffix(".svg").exists()
    assert document.document_main([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == text
    assert copy.with_suffix(".svg").exists()
