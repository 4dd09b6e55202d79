"""What README.md and docs/ quote is current, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import study
from docs import illustration, quoted, refresh
from study.errors import InputError

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"
)
LINK = re.compile(r"(?<!`)\]\(([^)\s#]+)(?:#[^)]*)?\)")


def test_nothing_is_stale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert refresh.main(["--check"]) == 0, capsys.readouterr().out


def test_every_kind_of_quotation_is_known() -> None:
    assert set(quoted.KINDS) >= {*refresh.printers(), *illustration.PRINTERS, "study claims"}


def test_the_check_needs_no_torch() -> None:
    code = "import sys; from study import refresh; print([m for m in ('torch', 'lightning', 'hydra') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/README.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(index.read_text("utf-8"))}
    pages = {*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/exercises").glob("*.md")}
    assert pages - listed == {index}


def test_a_figure_is_compared_by_what_it_shows() -> None:
    svg = b'<path id="m0123456789" d="M 10.001 20.5"/>'
    moved = b'<path id="mabcdef0123" d="M 10.002 20.5"/>'
    assert illustration.same(svg, moved)
    assert not illustration.same(svg, svg.replace(b"20.5", b"21.5"))
    assert not illustration.same(svg, svg + b"<g/>")


def test_a_figure_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="write study figure STUDY NAME FILE"):
        illustration.printed(["outputs/published/quickstart"])


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == study.__version__
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith(f"{citation['license']} License")
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
