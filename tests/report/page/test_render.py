import html.parser
import json
import re
from pathlib import Path

import pytest

from study.analysis.caption import number_text
from study.analysis.frames import Frames
from study.analysis.parts import Report
from study.analysis.pivot import Request, make_pivot
from study.report.build import build_report, read_studies
from study.report.page import write_page
from study.report.page.details import DETAILED
from study.report.page.packing import script, style
from study.report.page.render import (
    column_kinds,
    extent,
    facts,
    glossary_of,
    question,
    shown_pivots,
)
from tests.figure_studies import write_preflight
from tests.page_reports import LEVEL, make_report, sheet
from tests.synthetic import change_result, diverge, fail, make_probes, make_study, write_probes
from tests.whole_cells import make_whole_study

FACTORS = {"activation": ["relu", LEVEL], "init": ["he_normal", "zeros"], "norm": ["none", "batch"]}
VOID = {"meta", "link", "img", "input", "br"}


class Elements(html.parser.HTMLParser):
    """Every element of a page, its attributes, and whether all are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("outputs") / "mine"
    paths = make_whole_study(directory, FACTORS)
    change_result(paths[1], diverge(0))
    fail(paths[2])
    return make_report(Frames.read(directory))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return write_page(report)


def test_the_same_report_gives_the_same_bytes(report: Report, page: str) -> None:
    assert write_page(report) == page


def test_another_place_gives_the_same_bytes(tmp_path: Path, page: str) -> None:
    paths = make_whole_study(tmp_path / "elsewhere" / "mine", FACTORS)
    change_result(paths[1], diverge(0))
    fail(paths[2])
    again = make_report(Frames.read(tmp_path / "elsewhere" / "mine"))
    assert write_page(again) == page
    assert str(tmp_path) not in page


def test_elements_are_closed_and_identifiers_are_one_elements_own(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    names = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(set(names)) == len(names)


def test_what_refers_to_an_identifier_finds_it(page: str) -> None:
    found = Elements(page).found
    names = {attributes.get("id") for _, attributes in found}
    for _, attributes in found:
        for key in ("href", "xlink:href"):
            target = attributes.get(key) or ""
            assert not target.startswith("#") or target[1:] in names, target
        for key in ("aria-labelledby", "for"):
            assert attributes.get(key) is None or attributes[key] in names
    assert set(re.findall(r"url\(#([\w-]+)\)", page)) <= names


def test_no_name_of_the_study_is_markup(page: str) -> None:
    assert LEVEL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert [tag for tag, _ in Elements(page).found].count("script") == 5


def test_nothing_leads_outside(page: str) -> None:
    for tag, attributes in Elements(page).found:
        for key in ("src", "href", "xlink:href", "action", "srcset"):
            target = attributes.get(key)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    assert "@import" not in style()
    assert "url(" not in style()


def test_the_policy_forbids_what_is_not_in_the_page(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'unsafe-inline'" not in policy[1]


def test_no_script_or_style_ends_its_own_element() -> None:
    assert "</script" not in script()
    assert "<!--" not in script()
    assert "</style" not in style()


def test_sections_come_in_the_order_of_reading(page: str) -> None:
    titles = re.findall(r"<h2 id=\"[\w-]+\">([^<]+)</h2>", page)
    assert titles == [
        "Verdicts",
        "Explorer",
        "Cells",
        "Figures",
        "Tables",
        "Analyses",
        "Published numbers beside ours",
        "Glossary",
        "Provenance",
    ]
    links = re.findall(r'<a href="#([\w-]+)">', page.partition("</nav>")[0])
    sections = re.findall(r'<section id="([\w-]+)"', page)
    assert links == sections


def test_a_report_with_nothing_but_cells_has_a_page(tmp_path: Path) -> None:
    make_study(tmp_path / "bare", {"activation": ["relu"]}, seeds=1, rates=(0.1,))
    frames = Frames.read(tmp_path / "bare")
    page = write_page(Report(frames, "bare", (), (), (), (), (), ()))
    assert Elements(page).open == []
    assert 'id="verdicts"' not in page
    assert 'id="explorer"' in page


def test_a_large_figure_is_a_picture(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [a["src"] or "" for tag, a in Elements(write_page(report)).found if tag == "img"]
    assert [uri.partition(",")[0] for uri in shown] == ["data:image/svg+xml"] * 2
    monkeypatch.setattr("study.report.page.render.LARGEST", 10)
    shown = [a["src"] or "" for tag, a in Elements(write_page(report)).found if tag == "img"]
    assert [uri.partition(",")[0] for uri in shown] == ["data:image/png;base64"] * 2


def test_a_page_that_opens_only_some_cells_with_their_curves_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_study(tmp_path / "s", {"activation": ["relu", "tanh", "elu"]})
    words = "Of the 3 finished cells 2 open with curves and probes"
    for most, shown in ((DETAILED, False), (len(paths), False), (2, True)):
        monkeypatch.setattr("study.report.page.details.DETAILED", most)
        assert (words in write_page(make_report(Frames.read(tmp_path / "s")))) is shown


def test_two_hundred_cells_fit(tmp_path: Path) -> None:
    """With curves, probes and filters of every cell, and all that a report draws of them."""
    factors = {
        "activation": [f"activation{n}" for n in range(10)],
        "init": [f"init{n}" for n in range(10)],
        "norm": ["none", "batch"],
    }
    paths = make_whole_study(tmp_path / "large", factors, seeds=5, epochs=20)
    for path in paths:
        write_probes(path, make_probes(path, depth=5))
    write_preflight(tmp_path / "large", paths)
    report = build_report(read_studies([str(tmp_path / "large")]))
    assert len(report.figures) == 11
    assert len(write_page(report).encode()) < 5_000_000


TABLE_FACTORS = {
    "activation": ["relu", "tanh"],
    "init": ["he_normal", "zeros"],
    "norm": ["none", "batch"],
}


def report_of(directory: Path, **request: object) -> Report:
    frames = Frames.read(directory)
    pivot = make_pivot(frames.cells, Request(**request))  # type: ignore[arg-type]
    return Report(frames, frames.name, (), (), (pivot,), (), (), ())


def test_numbers_marks_and_best_are_the_pivots(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", TABLE_FACTORS)
    change_result(paths[0], diverge(0))
    report = report_of(tmp_path / "s")
    [shown] = shown_pivots(report)
    for table, of in zip(shown.tables, report.pivots[0].tables, strict=True):
        cells = [cell for _, row in table.rows for cell in row]
        for cell, entry in zip(cells, of.entries.values(), strict=True):
            text = " ".join(filter(None, [cell.number, cell.spread]))
            assert text == number_text(report.pivots[0], entry)
            assert cell.best == entry.best


def test_an_entry_of_one_cell_opens_it(tmp_path: Path) -> None:
    make_study(tmp_path / "s", TABLE_FACTORS)
    report = report_of(tmp_path / "s")
    levels = {c.directory: c.factors for c in report.frames.cells}
    for table, of in zip(shown_pivots(report)[0].tables, report.pivots[0].tables, strict=True):
        for row, cells in table.rows:
            for column, cell in zip(table.columns, cells, strict=True):
                found = levels[cell.directory]
                assert (found["init"], found["activation"]) == (row, column)
                assert found["norm"] == of.levels["norm"]


def test_an_entry_of_several_cells_opens_none(tmp_path: Path) -> None:
    make_study(tmp_path / "s", TABLE_FACTORS)
    report = report_of(tmp_path / "s", rows="activation", over=["init", "norm"])
    for _, cells in shown_pivots(report)[0].tables[0].rows:
        assert [cell.directory for cell in cells] == [""]


def test_entries_of_one_learning_rate_open_their_cell(tmp_path: Path) -> None:
    make_study(tmp_path / "s", {"activation": ["relu", "tanh"]})
    report = report_of(tmp_path / "s", rows="activation", columns="lr")
    for _, cells in shown_pivots(report)[0].tables[0].rows:
        assert len({cell.directory for cell in cells}) == 1


def test_columns_of_numbers_stand_to_the_right() -> None:
    texts = ("1.25 ± 0.10", "–", "[0.1, 0.2]", "+0.03", "< 0.0001", "12 %")
    long = "a sentence that says what is different in the protocol"
    assert column_kinds(sheet("a", *((long, text) for text in texts))) == ["long", "number"]
    assert column_kinds(sheet("a", ("relu", "relu"), ("2", "2"))) == ["short", "short"]
    assert column_kinds(sheet("a", (2 * long, ""))) == ["prose", "number"]


def test_the_glossary_is_found_among_the_sheets(tmp_path: Path) -> None:
    make_study(tmp_path / "s", TABLE_FACTORS)
    report = make_report(Frames.read(tmp_path / "s"))
    assert glossary_of(report.sheets) == (("seed", "where a replica starts"),)
    assert glossary_of(()) == ()


TWO_CELLS = {"activation": ["relu", "tanh"]}


def with_experiment(directory: Path, text: str) -> Frames:
    ledger = json.loads((directory / "study.json").read_text())
    ledger["experiment"] = {"name": "x", "text": text, "sha256": "ab", "commit": "cd"}
    (directory / "study.json").write_text(json.dumps(ledger))
    return Frames.read(directory)


def test_the_extent_counts_what_is_finished(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", TWO_CELLS, seeds=4, rates=(0.1, 1.0))
    assert extent(Frames.read(tmp_path / "s")) == [
        ("2", "cells"),
        ("4", "seeds"),
        ("2", "learning rates"),
        ("16", "networks"),
    ]
    fail(paths[0])
    assert extent(Frames.read(tmp_path / "s"))[0] == ("1 of 2", "cells")


def test_facts_that_differ_between_cells_are_all_told(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", TWO_CELLS)
    change_result(paths[1], lambda r: r["provenance"].update(threads=8, packages={"numpy": "2"}))
    found = dict(facts(Frames.read(tmp_path / "s")))
    assert found["threads"] == "2, 8"
    assert found["numpy"] == "2"
    assert "GPU" not in found


def test_the_question_is_what_the_experiments_file_says_first(tmp_path: Path) -> None:
    make_study(tmp_path / "s", TWO_CELLS)
    assert question(Frames.read(tmp_path / "s")) == ""
    text = "# @package _global_\n# x: does it train? small\n#\n# More.\nseeds: 3\n"
    frames = with_experiment(tmp_path / "s", text)
    assert question(frames) == "Does it train? small"
    assert dict(facts(frames))["commit of the experiment's file"] == "cd"
    assert question(with_experiment(tmp_path / "s", "seeds: 3\n# late\n")) == ""
