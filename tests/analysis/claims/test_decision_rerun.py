"""The command that trains a claim's cells again plans exactly their combinations of levels."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from study.analysis.parts import Verdict
from study.config.compose import hydra_ready
from study.config.sweep import Cell, Plan, plan
from tests.claim_studies import ask, claim
from tests.synthetic import change_result, ledger_cell, make_result, write_ledger, write_result

COMMAND = shlex.join(
    [
        *("study", "train", "-m", "norm=none,batch", "activation=relu,tanh,'leaky_relu slope=0.5'"),
        *("model.widths=[8],[8,8]", "seeds=2", "outputs_dir=/elsewhere", "study=first"),
        "--missing",
    ]
)


def planned(command: str) -> Plan:
    words = shlex.split(command)
    assert words[:2] == ["study", "train"]
    given = [word for word in words[2:] if not word.startswith("-")]
    with hydra_ready():
        return plan(given, multirun="-m" in words)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of what COMMAND launches, never trained."""
    directory = tmp_path_factory.mktemp("outputs") / "first"
    cells = [ledger_cell(cell.factors) for cell in planned(COMMAND).cells]
    write_ledger(directory, cells)
    for cell in cells:
        launched_by(write_result(directory, cell, make_result(cell, 2, (0.1,))), COMMAND)
    return directory


def networks(cells: Iterable[Cell]) -> list[str]:
    """What is trained, whatever the study is called."""
    return sorted(str(cell.config.changed({"study": "", "outputs_dir": ""})) for cell in cells)


def of_claim(verdict: Verdict, study: Path) -> list[Cell]:
    """The cells of COMMAND on which a verdict rests."""
    records = [json.loads((study / name / "result.json").read_text()) for name in verdict.cells]
    factors = [record["factors"] for record in records]
    return [cell for cell in planned(COMMAND).cells if cell.factors in factors]


def launched_by(path: Path, command: str) -> None:
    """Writes the command into a cell's record."""
    change_result(path, lambda result: result["provenance"].update(command=command))


CELLS: list[dict[str, Any]] = [
    {"norm": "batch", "activation": "leaky_relu"},
    {"norm": "batch", "activation": ["relu", "leaky_relu"], "model.widths": [8, 8]},
    {"norm": "batch", "model.widths": [8]},
    {"norm": "batch"},
]


@pytest.mark.parametrize("cells", CELLS)
def test_it_plans_the_cells_of_the_claim(study: Path, cells: dict[str, Any]) -> None:
    (found,) = ask(study, claim(cells=cells))
    again = planned(found.command)
    assert networks(again.cells) == networks(of_claim(found, study))
    assert again.base.config.study == "first_again"
    assert again.base.config.seeds == [0, 1]
    assert again.base.config.outputs_dir == "outputs"


def test_without_cells_it_is_the_launch_itself(study: Path) -> None:
    (found,) = ask(study, claim(cells={"norm": "group"}))
    assert len(planned(found.command).cells) == 12
    assert planned(found.command).base.config.study == "first"


def test_cells_of_several_launches_are_those_of_the_experiment(tmp_path: Path) -> None:
    launch = planned("study train experiment=quickstart")
    cells = [ledger_cell(cell.factors) for cell in launch.cells]
    write_ledger(tmp_path / "quickstart", cells)
    for number, cell in enumerate(cells):
        path = write_result(tmp_path / "quickstart", cell, make_result(cell, 2, (0.1,)))
        launched_by(path, f"study train x={number}")
    (found,) = ask(
        tmp_path / "quickstart",
        claim(cells={"norm": "batch", "activation": "relu", "init": "normal"}),
        experiment={"name": "quickstart", "sha256": "0" * 64, "commit": None},
    )
    assert found.command == (
        "study train experiment=quickstart study=quickstart_again activation=relu init=normal"
    )
    assert len(planned(found.command).cells) == 2
