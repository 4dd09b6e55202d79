"""Documents quote the tables that the saved outputs give."""

from pathlib import Path

import pytest

from docs import quoted

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["README.md", "docs/studies.md"])
def test_documents_quote_what_the_published_outputs_give(
    monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / document).read_text(encoding="utf-8")
    assert quoted.quotations("study table").search(text), "it quotes no table"
    assert quoted.refreshed(text) == text, "stale: run `make published`"


def test_a_tampered_number_is_found_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    document = tmp_path / "README.md"
    document.write_text(text.replace("88.65 ± 0.00", "88.56 ± 0.00"), encoding="utf-8")
    assert quoted.main([str(document), "--check"]) == 1
    assert "stale" in capsys.readouterr().out
    assert quoted.main([str(document)]) == 0
    assert document.read_text(encoding="utf-8") == text
