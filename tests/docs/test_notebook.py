"""docs/notebook.md: its code runs on the published outputs and prints what it quotes."""

from pathlib import Path

import pytest

from docs import quoted
from docs.__main__ import PRINTERS
from docs.code import blocks, refreshed, workplace

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/notebook.md").read_text(encoding="utf-8")


def test_it_quotes_the_table_that_the_published_outputs_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert quoted.quotations("study table").search(TEXT)
    assert quoted.refreshed(TEXT, PRINTERS) == TEXT, "stale: run `make published`"


def test_it_explains_every_mark_of_its_table() -> None:
    table, _, rest = TEXT.partition("<!-- end -->")
    for mark in ("±", "≈", "lr↑", "lr↓", "88.65"):
        assert mark in table
        assert mark in rest.partition("## Load")[0]


def test_its_code_prints_what_it_quotes() -> None:
    with workplace():
        assert refreshed(TEXT) == TEXT, "stale: run `make published`"
        assert Path("gradients.svg").stat().st_size > 5_000


def test_every_block_of_code_that_prints_is_quoted() -> None:
    printing = [b for b in blocks(TEXT) if b.language == "python" and "print(" in b.code]
    assert len(printing) >= 6
    assert all(block.quoted for block in printing)
