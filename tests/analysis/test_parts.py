"""What a report is made from: settings, origins, joined studies, curves and protocols."""

import csv
import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from study.analysis.formats import SHEET_WRITERS
from study.analysis.frames import Frames, results_csv
from study.analysis.joined import distinct_names
from study.analysis.origins import by_origin
from study.analysis.parts import Sheet
from study.analysis.requests import make_pivots, parse_tables, pivot_names, tables_of
from study.analysis.sheets.scores import all_scores
from study.errors import InputError
from study.outputs.records import read_ledger
from study.report.build import build_report, header, read_studies
from tests import synthetic
from tests.figure_studies import make_full_study

TWO = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}


def from_data(path: Path, fingerprint: str, split_seed: int = 0) -> None:
    """Says in a cell's files on which data it was trained, and how they were split."""
    content = (
        "batch_size: 128\ndata:\n  name: mnist\n  val_size: 5000\n  test_size: null\n"
        f"  split_seed: {split_seed}\nmodel:\n  name: mlp\n"
    )
    synthetic.configure(path, content)
    synthetic.change_result(
        path, lambda result: result["provenance"].update(data_fingerprint=fingerprint)
    )


def write_experiment(directory: Path, text: str) -> None:
    ledger = json.loads((directory / "study.json").read_text(encoding="utf-8"))
    ledger["experiment"] = {"name": "x", "text": text, "sha256": "", "commit": None}
    (directory / "study.json").write_text(json.dumps(ledger), encoding="utf-8")


def test_the_results_have_every_replica_once(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", seeds=2)
    rows = list(csv.DictReader(io.StringIO(results_csv(Frames.read(tmp_path / "s")))))
    places = {(row["cell"], row["seed"], row["lr"]) for row in rows}
    assert len(places) == len(rows) == 12 * 2 * 3
    assert sum(int(row["chosen"]) for row in rows) == 12 * 2
    results = {row["cell"]: row for row in rows}
    assert all(row["study"] == "s" and row["norm"] in ("none", "batch") for row in rows)
    assert set(results) == {cell.directory for cell in read_ledger(tmp_path / "s").cells}


def test_numbers_of_the_results_are_those_recorded(tmp_path: Path) -> None:
    (path,) = synthetic.make_study(tmp_path / "s", {"activation": ["relu"]}, seeds=2)
    synthetic.change_result(path, synthetic.diverge(1))
    rows = list(csv.DictReader(io.StringIO(results_csv(Frames.read(tmp_path / "s")))))
    record = json.loads((path / "result.json").read_text())
    for row, replica in zip(rows, record["replicas"], strict=True):
        for name in ("test_error", "val_loss", "last_train_error"):
            assert (float(row[name]) if row[name] else None) == replica[name]


def test_an_experiment_asks_for_its_tables(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    text = "report:\n  tables:\n    - --rows norm --columns lr --metric val_error"
    write_experiment(tmp_path / "s", text)
    frames = Frames.read(tmp_path / "s")
    pivots, remarks = make_pivots(frames.cells, tables_of(frames.ledger))
    assert [(p.rows, p.columns, p.metric.name) for p in pivots] == [("norm", "lr", "val_error")]
    assert remarks == []


def test_without_a_wish_the_tables_come_from_the_factors(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    frames = Frames.read(tmp_path / "s")
    pivots, remarks = make_pivots(frames.cells, tables_of(frames.ledger))
    assert [p.metric.name for p in pivots] == ["test_error", "train_error"]
    assert pivot_names([*pivots, *pivots])[2:] == [f"{name}--2" for name in pivot_names(pivots)]
    assert remarks == []


def test_a_table_that_cannot_be_made_is_a_remark(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", TWO)
    cells = Frames.read(tmp_path / "s").cells
    pivots, remarks = make_pivots(cells, ["--rows depth", "--metric dead_fraction@end"])
    assert pivots == []
    assert "unknown factor 'depth'" in remarks[0]
    assert "no finished cell has probes" in remarks[1]


@pytest.mark.parametrize(
    "report",
    [
        3,
        {"table": []},
        {"tables": "--rows init"},
        {"tables": [3]},
        {"tables": ["outputs/quickstart"]},
        {"tables": ["--rows 'init"]},
        {"tables": ["--metric accuracy"]},
        {"targets": [0.1]},
    ],
)
def test_a_wish_that_is_none_is_refused_in_one_line(report: Any) -> None:
    with pytest.raises(InputError, match="report") as error:
        parse_tables(report)
    assert "\n" not in str(error.value)


def test_two_studies_are_kept_apart_by_name(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "mine", TWO)
    synthetic.make_study(tmp_path / "yours", {"activation": ["relu"], "norm": ["none"]})
    joined = read_studies([str(tmp_path / "mine"), str(tmp_path / "yours")])
    assert joined.name == "mine + yours"
    assert joined.factors[0] == "study"
    directories = [cell.directory for cell in joined.cells]
    assert len(set(directories)) == 5
    assert directories[-1].startswith("yours/")
    assert {cell.factors["study"] for cell in joined.cells} == {"mine", "yours"}
    (scores,) = all_scores(joined.cells)
    assert sum("yours" in score.words for score in scores.scores) == 1


def test_studies_of_one_name_are_numbered(tmp_path: Path) -> None:
    for place in ("a", "b"):
        synthetic.make_study(tmp_path / place / "s", TWO)
    joined = read_studies([str(tmp_path / "a/s"), str(tmp_path / "b/s")])
    assert joined.name == "s (1) + s (2)"
    assert distinct_names(["x", "y", "x"]) == ["x (1)", "y", "x (2)"]


@pytest.mark.parametrize(("fingerprint", "split_seed"), [("bbbb", 0), ("aaaa", 1)])
def test_studies_of_other_data_or_another_split_are_not_pooled(
    tmp_path: Path, fingerprint: str, split_seed: int
) -> None:
    for path in synthetic.make_study(tmp_path / "mine", TWO):
        from_data(path, "aaaa")
    for path in synthetic.make_study(tmp_path / "yours", TWO):
        from_data(path, fingerprint, split_seed)
    with pytest.raises(InputError, match="cannot be compared") as error:
        read_studies([str(tmp_path / "mine"), str(tmp_path / "yours")])
    assert "4 cells of mine: data aaaa" in str(error.value)
    assert f"split_seed={split_seed}" in str(error.value)


def test_what_studies_share_is_compared_and_the_rest_kept_apart(tmp_path: Path) -> None:
    mine = synthetic.make_study(tmp_path / "mine", TWO)
    yours = synthetic.make_study(tmp_path / "yours", TWO)
    for path in (*mine, *yours):
        from_data(path, "aaaa")
    from_data(yours[0], "bbbb")
    joined = read_studies([str(tmp_path / "mine"), str(tmp_path / "yours")])
    assert [len(cells) for cells in by_origin(joined.cells).values()] == [7, 1]
    assert any("neither pooled nor compared" in line for line in header(joined))


def test_the_header_names_and_counts_what_is_not_used(tmp_path: Path) -> None:
    cut, foreign, *_ = synthetic.make_study(tmp_path / "s", TWO, seeds=1)
    (cut / "result.json").write_text((cut / "result.json").read_text()[:300])
    synthetic.change_result(foreign, lambda result: result.update(signature="0" * 64))
    lines = header(Frames.read(tmp_path / "s"))
    assert lines[0].startswith("2 of 4 cells are finished (2 damaged)")
    assert "2 files result.json are not used, and the cells are skipped:" in lines
    assert any(line.startswith(f"{cut.name}/result.json is not used: trunc") for line in lines)
    assert any(
        line.startswith(f"{foreign.name}/result.json") and "foreign" in line for line in lines
    )
    assert any("fewer than 2 seeds" in line for line in lines)


def test_curves_are_those_of_the_chosen_learning_rate(tmp_path: Path) -> None:
    (path,) = synthetic.make_study(tmp_path / "s", {"activation": ["relu"]}, seeds=2)
    chosen = json.loads((path / "result.json").read_text())["chosen_lr"]
    rows = ["seed,lr,epoch,train_loss,train_error,val_loss,val_error,seconds"]
    for lr in (0.01, 0.1, 1.0):
        rows += [f"{s},{lr},{e},,,1,{'' if e else lr + s},{e}.5" for s in (0, 1) for e in (0, 1)]
    content = "\n".join(rows) + "\n"
    (path / "curves.csv").write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    synthetic.change_result(path, lambda result: result["files"].update({"curves.csv": digest}))
    (cell,) = Frames.read(tmp_path / "s").cells
    frames = Frames.read(tmp_path / "s")
    curves = frames.curve(cell, "val_error")
    assert {seed: curve[0] for seed, curve in curves.items()} == {0: chosen, 1: chosen + 1}
    assert all(math.isnan(curve[1]) for curve in curves.values())
    assert frames.curve(cell, "seconds")[1] == {0: 0.5, 1: 1.5}
    assert frames.curve(cell, "val_error", 1.0)[1][0] == 2.0
    (path / "curves.csv").write_text(content + "0,0.1,2,,,1,0.0,2.0\n")
    assert Frames.read(tmp_path / "s").curve(cell, "val_error") == {}


@pytest.mark.parametrize("name", ["curves.csv", "preflight.json"])
def test_a_file_that_is_not_the_recorded_one_is_named_in_the_header(
    tmp_path: Path, name: str
) -> None:
    path, *_ = make_full_study(tmp_path / "s", {"norm": ["none", "batch"]})
    path = tmp_path / "s" / name if name == "preflight.json" else path / name
    assert not any(name in line for line in build_report(Frames.read(tmp_path / "s")).remarks)
    path.write_bytes(b"b")
    remarks = build_report(Frames.read(tmp_path / "s")).remarks
    assert "1 file beside result.json is not used:" in remarks
    named = path.relative_to(tmp_path / "s").as_posix()
    assert any(line.startswith(f"{named} is not used: ") for line in remarks)


def test_a_sheet_is_the_same_table_in_every_format() -> None:
    sheet = Sheet("s", "A <b> sheet", "50 % & more", ("a|b", "c"), (("x_1", "±2"),), ("note*",))
    texts = {kind: writer(sheet) for kind, writer in SHEET_WRITERS.items()}
    assert list(csv.reader(io.StringIO(texts["csv"]))) == [["a|b", "c"], ["x_1", "±2"]]
    assert "A \\<b> sheet" in texts["md"]
    assert "a\\|b" in texts["md"]
    assert r"x\_1 & $\pm$2 \\" in texts["tex"]
    assert r"50 \% \& more" in texts["tex"]
