from pathlib import Path

from page_reports import make_report, sheet
from synthetic import change_result, diverge, make_study

from study.page.tables import column_kinds, glossary_of, shown_pivots
from study.report.caption import number_text
from study.report.frames import Frames
from study.report.parts import Report
from study.report.pivot import Request, make_pivot

FACTORS = {
    "activation": ["relu", "tanh"],
    "init": ["he_normal", "zeros"],
    "norm": ["none", "batch"],
}


def report_of(directory: Path, **request: object) -> Report:
    frames = Frames.read(directory)
    pivot = make_pivot(frames.cells, Request(**request))  # type: ignore[arg-type]
    return Report(frames, frames.name, (), (), (pivot,), (), (), ())


def test_numbers_marks_and_best_are_the_pivots(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS)
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
    make_study(tmp_path / "s", FACTORS)
    report = report_of(tmp_path / "s")
    levels = {c.directory: c.factors for c in report.frames.cells}
    for table, of in zip(shown_pivots(report)[0].tables, report.pivots[0].tables, strict=True):
        for row, cells in table.rows:
            for column, cell in zip(table.columns, cells, strict=True):
                found = levels[cell.directory]
                assert (found["init"], found["activation"]) == (row, column)
                assert found["norm"] == of.levels["norm"]


def test_an_entry_of_several_cells_opens_none(tmp_path: Path) -> None:
    make_study(tmp_path / "s", FACTORS)
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
    make_study(tmp_path / "s", FACTORS)
    report = make_report(Frames.read(tmp_path / "s"))
    assert glossary_of(report.sheets) == (("seed", "where a replica starts"),)
    assert glossary_of(()) == ()
