"""`study report`: the same bytes anywhere, nothing read twice, and what it refuses or notices."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import study.report.page
from study.analysis.sheets.scores import SHOWN
from study.errors import InputError
from study.outputs import records
from study.report import command
from study.report.build import build_report, read_studies
from tests import synthetic

TWO = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is tested by itself; here a line stands for it."""
    monkeypatch.setattr(study.report.page, "write_page", lambda report: f"<p>{report.title}</p>\n")


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_two_directories_get_the_same_bytes(tmp_path: Path) -> None:
    synthetic.make_probed_study(tmp_path / "here" / "s")
    shutil.copytree(tmp_path / "here", tmp_path / "in" / "another" / "place")
    first, second = tmp_path / "here" / "s", tmp_path / "in" / "another" / "place" / "s"
    assert command.main([str(first)]) == command.main([str(second)]) == 0
    files = contents(first / "report")
    assert files == contents(second / "report")
    assert {"index.html", "results.csv", "sheets/ranking.md", "sheets/glossary.csv"} <= set(files)
    assert any(name.startswith("tables/test_error") and name.endswith(".tex") for name in files)
    assert all(str(tmp_path).encode() not in content for content in files.values())
    assert command.main([str(first)]) == 0
    assert contents(first / "report") == files


@pytest.mark.usefixtures("no_page")
def test_what_a_report_no_longer_has_goes_and_other_files_stay(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    command.main([str(tmp_path / "s")])
    report = tmp_path / "s" / "report"
    (report / "sheets" / "old.md").write_text("old")
    (report / "sheets" / "notes.txt").write_text("mine")
    (report / "notes.md").write_text("mine")
    command.main([str(tmp_path / "s")])
    names = set(contents(report))
    assert "sheets/old.md" not in names
    assert {"sheets/notes.txt", "notes.md"} <= names


@pytest.mark.usefixtures("no_page")
def test_check_names_what_is_stale_in_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    directory = str(tmp_path / "s")
    assert command.main([directory, "--check"]) == 1
    assert not (tmp_path / "s" / "report").exists()
    command.main([directory])
    capsys.readouterr()
    assert command.main([directory, "--check"]) == 0
    assert capsys.readouterr().out == "everything is current\n"
    table = tmp_path / "s" / "report" / "sheets" / "ranking.md"
    table.write_text(table.read_text().replace("0", "1"))
    assert command.main([directory, "--check"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{table}: stale; run `")
    assert "0" in table.read_text() or "1" in table.read_text()


@pytest.mark.usefixtures("no_page")
def test_several_studies_get_a_report_beside_the_first(tmp_path: Path) -> None:
    for name in ("mine", "yours"):
        synthetic.make_study(tmp_path / name, TWO)
    assert command.main([str(tmp_path / "mine"), str(tmp_path / "yours")]) == 0
    report = tmp_path / "mine+yours" / "report"
    ranking = (report / "sheets" / "ranking.csv").read_text(encoding="utf-8")
    assert "mine / " in ranking or " / mine" in ranking
    assert len(ranking.splitlines()) == 1 + 8
    rows = (report / "results.csv").read_text(encoding="utf-8").splitlines()
    assert {row.split(",")[0] for row in rows[1:]} == {"mine", "yours"}
    assert not (tmp_path / "mine" / "report").exists()


@pytest.mark.usefixtures("no_page")
def test_a_study_may_be_named_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "yours"):
        synthetic.make_study(tmp_path / name, TWO)
    monkeypatch.chdir(tmp_path / "mine")
    assert command.main([".", "../yours"]) == 0
    assert (tmp_path / "mine+yours" / "report" / "results.csv").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "yours", "mine+yours"}
    assert not (tmp_path / "mine" / "report").exists()


@pytest.mark.usefixtures("no_page")
def test_each_result_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = synthetic.make_study(tmp_path / "s", seeds=2)
    read: Counter[str] = Counter()
    before, opened = records.read_json, Path.open

    def counted(path: Path) -> dict[str, Any]:
        read[path.parent.name] += 1
        return before(path)

    def counted_open(self: Path, *arguments: Any, **named: Any) -> Any:
        read[self.name] += 1
        return opened(self, *arguments, **named)

    monkeypatch.setattr(records, "read_json", counted)
    monkeypatch.setattr(Path, "open", counted_open)
    command.main([str(tmp_path / "s")])
    assert all(read[path.name] == 1 for path in paths)
    assert read["probes.csv"] == 0


def test_no_sheet_grows_with_the_study(tmp_path: Path) -> None:
    levels = [f"relu slope=0.{number:04d}" for number in range(1, 150)]
    synthetic.make_study(tmp_path / "s", {"activation": levels}, seeds=2, rates=(0.1, 1.0))
    report = build_report(read_studies([str(tmp_path / "s")]))
    by_name = {sheet.name: sheet for sheet in report.sheets}
    for name in ("ranking", "pairs", "levels", "learning-rates"):
        assert len(by_name[name].rows) == SHOWN
        assert by_name[name].notes[0].startswith(f"The first {SHOWN} of 14")


def test_a_study_without_a_finished_cell_is_refused(tmp_path: Path) -> None:
    for path in synthetic.make_study(tmp_path / "s", TWO):
        synthetic.fail(path)
    with pytest.raises(InputError, match="no finished cell"):
        command.main([str(tmp_path / "s")])
    assert not (tmp_path / "s" / "report").exists()


def test_a_study_that_is_not_there_is_not_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        command.main([str(tmp_path / "nowhere"), "--check"])


@pytest.mark.parametrize(
    "arguments", [[], ["--check"], ["--output", "x", "--check"], ["a", "--chekc"]]
)
def test_a_mistyped_command_is_one_line(arguments: list[str]) -> None:
    with pytest.raises(InputError) as error:
        command.main(arguments)
    assert "\n" not in str(error.value)


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        command.main([str(tmp_path / "s"), "--output", str(tmp_path / "file" / "report")])


def test_files_that_are_not_used_are_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, foreign, *_ = synthetic.make_study(tmp_path / "s", TWO)
    (cut / "result.json").write_text((cut / "result.json").read_text()[:100])
    synthetic.change_result(foreign, lambda result: result.update(signature="0" * 64))
    assert command.main([str(tmp_path / "s")]) == 0
    said = capsys.readouterr().err
    page = (tmp_path / "s" / "report" / "index.html").read_text(encoding="utf-8")
    for text in (f"{cut.name}/result.json", f"{foreign.name}/result.json", "2 files result.json"):
        assert text in said
        assert text in page
    assert "2 of 4 cells are finished" in said


@pytest.mark.parametrize("kind", ["one seed", "one rate", "one cell", "all diverged", "not finite"])
def test_a_poor_study_gets_a_report_without_invented_intervals(tmp_path: Path, kind: str) -> None:
    seeds = 1 if kind == "one seed" else 3
    rates = (0.1,) if kind == "one rate" else (0.1, 1.0)
    factors: dict[str, list[Any]] = {"activation": ["relu"]} if kind == "one cell" else dict(TWO)
    for path in synthetic.make_study(tmp_path / "s", factors, seeds=seeds, rates=rates):
        if kind == "all diverged":
            synthetic.change_result(path, synthetic.diverge(*range(seeds)))
        if kind == "not finite":
            synthetic.change_result(path, synthetic.set_metric([None] * seeds))
    report = build_report(read_studies([str(tmp_path / "s")]))
    (ranking,) = (sheet for sheet in report.sheets if sheet.name == "ranking")
    assert len(ranking.rows) == (1 if kind == "one cell" else 4)
    if kind in ("one seed", "all diverged", "not finite"):
        assert not any("±" in text or "[" in text for row in ranking.rows for text in row)
    if kind == "one seed":
        assert any("fewer than 2 seeds" in remark for remark in report.remarks)
        assert "pairs" not in {sheet.name for sheet in report.sheets}


def test_several_origins_are_analysed_apart(tmp_path: Path) -> None:
    for number, path in enumerate(synthetic.make_study(tmp_path / "s", TWO)):
        origin = "aaaa" if number < 3 else "bbbb"

        def change(result: dict[str, Any], origin: str = origin) -> None:
            result["provenance"]["data_fingerprint"] = origin

        synthetic.change_result(path, change)
    report = build_report(read_studies([str(tmp_path / "s")]))
    rows = {s.name: len(s.rows) for s in report.sheets if s.name.startswith("ranking")}
    assert rows == {"ranking-1": 3, "ranking-2": 1}


def test_the_experiments_own_tables_are_in_the_report(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    path = tmp_path / "s" / "study.json"
    ledger = json.loads(path.read_text())
    text = "report: {tables: ['--rows norm --over activation --metric val_error']}"
    ledger["experiment"] = {"name": "s", "text": text, "sha256": "0", "commit": None}
    path.write_text(json.dumps(ledger))
    report = build_report(read_studies([str(tmp_path / "s")]))
    assert [(pivot.rows, pivot.metric.name) for pivot in report.pivots] == [("norm", "val_error")]
