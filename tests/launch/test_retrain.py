"""`study reproduce` trains replicas together that were trained together."""

import shutil
from pathlib import Path

import pytest

from study.__main__ import main
from study.outputs.cell import read_result
from tests import tiny
from tests.interrupted import EVERY_EPOCH, Killed, killed_at
from tests.synthetic import change_result

GRID = ("seeds=2", "optimizer.lr=[0.01,0.05]", "trainer.precision=32-true")
STACKED = "population.engine=stacked"
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cell begun in stacks of three, and gone on with by a rule that makes none."""
    directory = tmp_path_factory.mktemp("study") / "cell"
    with pytest.raises(Killed), killed_at(4):
        tiny.train_to(directory, root, *GRID, STACKED, "population.max_replicas=3", EVERY_EPOCH)
    record = tiny.train_to(directory, root, *GRID, "population.max_replicas=2")
    assert record["provenance"]["packing"] == [3, 1]
    return directory


@pytest.fixture
def cell(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "study" / "cell"))


def test_what_a_record_says_goes_before_the_rule(
    cell: Path, tmp_path: Path, capsys: Output
) -> None:
    assert main(["reproduce", str(cell), "--keep", str(tmp_path / "kept")]) == 0
    out = capsys.readouterr().out
    assert out.endswith("bitwise equal\n")
    assert "differs" not in out
    then, again = (read_result(each)["provenance"] for each in (cell, tmp_path / "kept" / "cell"))
    assert again["populations"] == then["populations"]


def test_without_a_record_the_rule_decides_and_says_so(cell: Path, capsys: Output) -> None:
    change_result(cell, lambda record: record["provenance"].update(populations=[]))
    main(["reproduce", str(cell)])
    assert (
        "differs  packing: groups of [3, 1] then, of [1, 1, 1, 1] here" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "populations",
    [
        [[["seed=0,lr=0.01"]]],
        [[["seed=0,lr=0.01", "seed=1,lr=0.01"], ["seed=0,lr=0.05", "seed=9,lr=0.05"]]],
        [[["seed=0,lr=0.01", "seed=1,lr=0.01", "seed=0,lr=0.05", "seed=1,lr=0.05"], []]],
        [[], [["seed=0,lr=0.01", "seed=1,lr=0.01", "seed=0,lr=0.05", "seed=1,lr=0.05"]]],
    ],
)
def test_a_record_of_other_replicas_is_refused(
    cell: Path, capsys: Output, populations: list[list[list[str]]]
) -> None:
    change_result(cell, lambda record: record["provenance"].update(populations=populations))
    assert main(["reproduce", str(cell)]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "its populations are not made of the replicas that it trained" in captured.err
    assert captured.out == ""


def test_a_second_round_is_one_again(root: Path, tmp_path: Path, capsys: Output) -> None:
    """Of copied replicas at the chosen rate, whose weights were not kept."""
    tiny.train_to(tmp_path / "study" / "two", root, *GRID, STACKED, "outputs.weights=none")
    grown = tmp_path / "study" / "grown"
    record = tiny.train_to(grown, root, *GRID, STACKED, "seeds=3", "outputs.weights=chosen")
    assert record["provenance"]["packing"] == [2, 2]
    assert main(["reproduce", str(grown)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("bitwise equal\n")
    assert "differs" not in out
