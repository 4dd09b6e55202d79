"""The ledger: what a study should hold, launch after launch."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from study.config.configuration import CONF
from study.errors import InputError
from study.outputs import LedgerCell, ledger, provenance, read_ledger
from study.outputs.ledger import record_launch
from study.outputs.provenance import differs_from_commit
from tests.test_locks import taken_over


def cell(digest: str, **factors: Any) -> LedgerCell:
    return LedgerCell(f"cell-{digest * 8}", digest * 64, factors)


RELU, TANH = cell("a", activation="relu"), cell("b", activation="tanh")


def launch(
    directory: Path,
    cells: Sequence[LedgerCell],
    *,
    threads: int = 1,
    experiment: Path | None = None,
    claims: Sequence[Any] = (),
) -> list[LedgerCell]:
    written = record_launch(
        directory,
        study=directory.name,
        threads=threads,
        cells=cells,
        experiment=experiment,
        claims=claims,
        replaces=experiment is not None,
    )
    assert written == read_ledger(directory)
    return list(written.cells)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "names.yaml"
    path.write_text("# the text\nstudy: names\n", encoding="utf-8")
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study"
    path.mkdir()
    return path


def test_a_launch_that_wakes_up_late_adds_to_what_others_launched_meanwhile(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere" / "study"
    elsewhere.mkdir(parents=True)
    launch(elsewhere, [TANH])
    write = ledger.write_json

    def slept(path: Path, content: Any) -> None:
        monkeypatch.undo()
        with taken_over(study):
            shutil.copyfile(elsewhere / "study.json", study / "study.json")
        write(path, content)

    monkeypatch.setattr(ledger, "write_json", slept)
    assert launch(study, [RELU]) == [TANH, RELU]
    assert capsys.readouterr().err.count("what it did there is dropped") == 1
    assert [path.name for path in study.iterdir()] == ["study.json"]


def test_an_ad_hoc_launch_adds(study: Path) -> None:
    assert launch(study, [RELU]) == [RELU]
    assert launch(study, [TANH]) == [RELU, TANH]
    assert launch(study, [RELU]) == [RELU, TANH]
    ledger = read_ledger(study)
    assert (ledger.previous, ledger.experiment, ledger.claims) == ([], None, [])


def test_equal_factors_are_replaced_in_place_and_the_old_list_is_kept(study: Path) -> None:
    launch(study, [RELU, TANH])
    more_seeds = cell("c", activation="relu")
    assert launch(study, [more_seeds]) == [more_seeds, TANH]
    (previous,) = read_ledger(study).previous
    assert [entry["signature"] for entry in previous["cells"]] == [RELU.signature, TANH.signature]


def test_an_experiment_replaces_the_list_and_keeps_the_old_one(
    study: Path, experiment: Path
) -> None:
    launch(study, [RELU])
    claims = [{"id": "one"}]
    assert launch(study, [TANH], experiment=experiment, claims=claims) == [TANH]
    ledger = read_ledger(study)
    assert ledger.claims == claims
    assert ledger.experiment is not None
    assert ledger.experiment["name"] == "names"
    assert ledger.experiment["text"] == experiment.read_text(encoding="utf-8")
    assert len(str(ledger.experiment["sha256"])) == 64
    assert [len(list_of["cells"]) for list_of in ledger.previous] == [1]
    assert launch(study, [TANH, RELU], experiment=experiment, claims=claims) == [TANH, RELU]
    assert len(read_ledger(study).previous) == 1


def test_claims_that_change_are_kept_with_the_number_of_cells_done_before(
    study: Path, experiment: Path
) -> None:
    first, second = [{"id": "one", "expect": 1}], [{"id": "one", "expect": 2}]
    launch(study, [RELU, TANH], experiment=experiment, claims=first)
    (study / RELU.directory).mkdir()
    (study / RELU.directory / "result.json").touch()
    launch(study, [RELU, TANH], experiment=experiment, claims=second)
    (previous,) = read_ledger(study).previous
    assert previous["claims"] == first
    assert previous["num_finished"] == 1


def test_the_experiment_says_whether_its_file_is_as_committed(
    study: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = CONF / "experiment" / "quickstart.yaml"
    with monkeypatch.context() as patched:
        patched.setattr(provenance, "_git", lambda *words: committed.read_bytes())
        assert not differs_from_commit(committed, "0" * 40)
        assert differs_from_commit(experiment, "0" * 40)
    assert differs_from_commit(experiment, None) is None
    for commit, modified in ((None, None), ("0" * 40, True)):
        monkeypatch.setattr("study.outputs.ledger.git_commit", lambda commit=commit: commit)
        launch(study, [TANH], experiment=experiment)
        recorded = read_ledger(study).experiment or {}
        assert (recorded["commit"], recorded["modified"]) == (commit, modified)


def test_an_ad_hoc_launch_keeps_the_experiment_and_its_claims(
    study: Path, experiment: Path
) -> None:
    launch(study, [TANH], experiment=experiment, claims=[{"id": "one"}])
    before = read_ledger(study)
    assert launch(study, [RELU]) == [TANH, RELU]
    after = read_ledger(study)
    assert (after.experiment, after.claims) == (before.experiment, before.claims)


def test_the_threads_are_those_of_the_first_launch(study: Path) -> None:
    launch(study, [RELU], threads=3)
    launch(study, [TANH], threads=8)
    assert read_ledger(study).threads == 3


def test_the_same_launch_writes_the_same_bytes(study: Path, experiment: Path) -> None:
    launch(study, [RELU], experiment=experiment)
    first = (study / "study.json").read_bytes()
    launch(study, [RELU], threads=9, experiment=experiment)
    assert (study / "study.json").read_bytes() == first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "cells": 3}'])
def test_a_damaged_ledger_is_one_line_and_left_alone(study: Path, text: str) -> None:
    (study / "study.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="study.json") as caught:
        launch(study, [RELU])
    assert "\n" not in str(caught.value)
    assert (study / "study.json").read_text(encoding="utf-8") == text


def test_no_two_cells_share_a_directory(study: Path) -> None:
    """A folder of images that was renamed is another factor and the same signature."""
    launch(study, [cell("a", data="image_folder root=cats")])
    renamed = cell("a", data="image_folder root=pets")
    assert launch(study, [renamed]) == [renamed]


def test_factors_survive_the_file(study: Path) -> None:
    odd = cell("d", activation="leaky_relu slope=0.01", batch_size=64, noise=0.5, name="é=“x”")
    assert launch(study, [odd]) == [odd]
    assert json.loads((study / "study.json").read_text(encoding="utf-8"))["schema"] == 1
