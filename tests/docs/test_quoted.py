"""Documents quote what their printers give, between marks that are whole."""

from pathlib import Path

import pytest

from docs import quoted
from docs.__main__ import PRINTERS, TORCH_PRINTERS, main
from study.errors import InputError

ROOT = Path(__file__).parents[2]
OPENING = "<!-- study table outputs/published/quickstart -->"
END = "<!-- end -->"
MARKS = (
    (OPENING, "<!--  study  table   outputs/published/quickstart -->", ""),
    (END, "<!--  end-->", ""),
    (OPENING, "<!-- study table outputs/published/quickstart ->", "is not whole"),
    (OPENING, "<!-- stduy table outputs/published/quickstart -->", "end no quotation"),
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the project's outputs and pages, and a README.md to write in."""
    for name in ("docs", "outputs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", ["README.md", "docs/studies.md", "docs/notebook.md"])
def test_a_page_of_results_quotes_a_table(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert quoted.quotations("study table").search(text)


def test_a_tampered_number_is_found_and_mended(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "88.65 ± 0.00" in text
    (root / "README.md").write_text(text.replace("88.65 ± 0.00", "88.56 ± 0.00"), encoding="utf-8")
    assert main(["README.md", "--check"]) == 1
    assert capsys.readouterr().out == "README.md: stale; run `make published`\n"
    assert main(["README.md"]) == 0
    assert (root / "README.md").read_text(encoding="utf-8") == text
    capsys.readouterr()
    assert main(["README.md", "--check"]) == 0
    assert capsys.readouterr().out == "everything is current\n"


@pytest.mark.parametrize(("whole", "mark", "says"), MARKS)
@pytest.mark.parametrize("tampered", [False, True])
def test_a_mark_that_is_spaced_otherwise_is_read_and_a_broken_one_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], whole: str, mark: str, says: str, tampered: bool
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert whole in text
    text = text.replace(whole, mark, 1)
    text = text.replace("88.65 ± 0.00", "88.56 ± 0.00", 1) if tampered else text
    (root / "README.md").write_text(text, encoding="utf-8")
    assert main(["README.md", "--check"]) == int(tampered or bool(says))
    said = capsys.readouterr().out
    for line in ("is not whole", "end no quotation"):
        assert (line in said) == (line == says)


def test_a_readme_without_tables_is_wrong_and_one_that_is_not_there_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"README.md does not exist; name a page as docs/"):
        main(["README.md", "--check"])
    (root / "README.md").write_text("# No table\n", encoding="utf-8")
    assert main(["README.md", "--check"]) == 1
    assert "README.md: quotes no study table" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [*PRINTERS, *TORCH_PRINTERS])
def test_every_kind_is_quoted_somewhere_and_refuses_what_it_does_not_know(kind: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pattern = quoted.quotations(kind)
    assert any(pattern.search(page.read_text(encoding="utf-8")) for page in pages)
    if kind != "study effects":
        with pytest.raises(InputError):
            quoted.refreshed(f"<!-- {kind} --no such -->\n<!-- end -->", PRINTERS | TORCH_PRINTERS)
