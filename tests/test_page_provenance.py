import json
from pathlib import Path

from synthetic import change_result, fail, make_study

from study.page.provenance import extent, facts, question
from study.report.frames import Frames

FACTORS = {"activation": ["relu", "tanh"]}


def with_experiment(directory: Path, text: str) -> Frames:
    ledger = json.loads((directory / "study.json").read_text())
    ledger["experiment"] = {"name": "x", "text": text, "sha256": "ab", "commit": "cd"}
    (directory / "study.json").write_text(json.dumps(ledger))
    return Frames.read(directory)


def test_the_extent_counts_what_is_finished(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS, seeds=4, rates=(0.1, 1.0))
    assert extent(Frames.read(tmp_path / "s")) == [
        ("2", "cells"),
        ("4", "seeds"),
        ("2", "learning rates"),
        ("16", "networks"),
    ]
    fail(paths[0])
    assert extent(Frames.read(tmp_path / "s"))[0] == ("1 of 2", "cells")


def test_facts_that_differ_between_cells_are_all_told(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "s", FACTORS)
    change_result(paths[1], lambda r: r["provenance"].update(threads=8, packages={"numpy": "2"}))
    found = dict(facts(Frames.read(tmp_path / "s")))
    assert found["threads"] == "2, 8"
    assert found["numpy"] == "2"
    assert "GPU" not in found


def test_the_question_is_what_the_experiments_file_says_first(tmp_path: Path) -> None:
    make_study(tmp_path / "s", FACTORS)
    assert question(Frames.read(tmp_path / "s")) == ""
    text = "# @package _global_\n# x: does it train? small\n#\n# More.\nseeds: 3\n"
    frames = with_experiment(tmp_path / "s", text)
    assert question(frames) == "Does it train? small"
    assert dict(facts(frames))["commit of the experiment's file"] == "cd"
    assert question(with_experiment(tmp_path / "s", "seeds: 3\n# late\n")) == ""
