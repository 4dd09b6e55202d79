"""What README.md and docs/ quote is current, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import study
from docs.__main__ import main

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
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_the_check_needs_no_torch() -> None:
    code = """
import sys
from docs.__main__ import main
main(["--check"])
print([module for module in ("torch", "lightning", "hydra") if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


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


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == study.__version__
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith(f"{citation['license']} License")
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_way_of_a_number_names_what_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\((\S+\.py)\)\s+`(\w+)`", text)
    assert len(named) > 10
    for path, name in named:
        module = (ROOT / "docs" / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", module, re.MULTILINE), (path, name)
