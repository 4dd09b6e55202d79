"""What is checked before a launch, and how a run of many cells ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import study.launch.cells
from study.__main__ import main
from study.config.compose import hydra_ready
from study.config.sweep import plan
from study.errors import InputError
from study.launch.cells import identify, run
from study.outputs import read_cells, read_ledger
from study.outputs.failures import Failure, Outcome, summary
from study.outputs.records import read_cell
from tests.tiny import folder
from tests.tiny_launch import TINY, cells


def test_what_depends_on_data_is_left_to_training() -> None:
    swept = cells("init=lsuv,he_normal", "model.widths=[1,1,1,1,1,1]")
    assert [cell.label for cell in swept] == ["init=lsuv", "init=he_normal"]
    assert swept[0].config.init.level == {"name": "lsuv", "bias": 0.0}


def test_a_mistake_of_one_of_several_cells_names_it() -> None:
    sweep = ("model=cnn", "model.kernel_size=3,4", "activation=relu,tanh")
    with hydra_ready():
        planned = plan([text for text in (*TINY, *sweep) if "widths" not in text], multirun=True)
        with pytest.raises(InputError, match=r"^activation=relu, model.kernel_size=4: "):
            identify(planned.cells)
        with pytest.raises(InputError, match=r"^model\.kernel_size"):
            identify(planned.cells[2:3])


def test_a_crop_of_the_whole_image_is_the_largest() -> None:
    assert cells("data.crop=28")
    with pytest.raises(InputError, match=r"data\.crop=29 is above the side of the images, 28"):
        cells("data.crop=29")


def test_two_folders_of_one_name_share_a_ledger(tmp_path: Path) -> None:
    sizes = ("data.train_size=20", "data.val_size=10", "data.test_size=10")
    given = [*TINY[3:], *sizes, "data=image_folder", f"outputs_dir={tmp_path / 'outputs'}"]
    for number, parent in enumerate(("a", "b")):
        root = folder(tmp_path / parent / "images", num_train=60 + number)
        assert main(["train", *given, f"data.root={root}"]) == 0
    ledger = read_ledger(tmp_path / "outputs" / "scratch")
    levels = [cell.factors["data"] for cell in ledger.cells]
    assert len(set(levels)) == len(ledger.cells) == 2
    assert all(level.startswith("image_folder root=images#") for level in levels)
    (tmp_path / "a").rename(tmp_path / "c")
    assert main(["train", *given, f"data.root={tmp_path / 'c' / 'images'}"]) == 0
    assert read_ledger(ledger.directory).cells == ledger.cells


def test_the_table_pivots_keys_that_were_swept_inside_a_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("-m", "model.widths=[8],[8,8]", "model.dropout=0.1,0.2")
    assert main(["train", *TINY, *sweep, f"outputs_dir={tmp_path}"]) == 0
    capsys.readouterr()
    axes = ("--rows", "model.widths", "--columns", "model.dropout")
    assert main(["table", str(tmp_path / "scratch"), *axes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:6:1]][2:] == ["1x8", "2x8"]


def failing(monkeypatch: pytest.MonkeyPatch, error: Callable[[Any], Exception]) -> None:
    def train_cell(config: Any, directory: Path, **options: Any) -> Any:
        raise error(config)

    monkeypatch.setattr(study.launch.cells, "train_cell", train_cell)


@pytest.mark.parametrize(
    ("limit", "alike", "failed", "untried"),
    [(2, True, 2, 1), (1, True, 1, 2), (3, True, 3, 0), (2, False, 3, 0), (9, True, 3, 0)],
)
def test_a_run_stops_when_all_fail_with_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, alike: bool, failed: int,
    untried: int, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    failing(monkeypatch, lambda c: RuntimeError("no" if alike else c.activation.name))
    outcome = run(tmp_path, cells("activation=relu,tanh,elu"), threads=1, max_failures=limit)
    assert (len(outcome.failures), outcome.num_untried) == (failed, untried)
    assert ("stopped: the first" in capsys.readouterr().out) == (untried > 0)
    assert [cell.status for cell in read_cells_of(tmp_path)] == ["failed"] * failed


def read_cells_of(study_dir: Path) -> list[Any]:
    return [
        read_cell(study_dir / cell.directory, cell)
        for cell in cells("activation=relu,tanh,elu")
        if (study_dir / cell.directory).exists()
    ]


def test_a_summary_counts_what_was_not_tried(tmp_path: Path) -> None:
    failures = [Failure(name, "E", "why") for name in "ab"]
    first, why = summary(tmp_path, Outcome(failures, 3)).splitlines()
    assert first.startswith("2 cells failed, 3 cells not tried; what is done is kept.")
    assert why == "  2 x E: why"
    assert summary(tmp_path, Outcome(failures[:1])).startswith("1 cell failed; what is done")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "error.txt").touch()
    why = summary(tmp_path, Outcome(failures)).splitlines()[1]
    assert why == f"  2 x E: why (see {tmp_path / 'b' / 'error.txt'})"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("ValueError: a: b", ValueError("a: b")),
        ("KeyError: 'x'", KeyError("x")),
        ("AssertionError", AssertionError()),
        ("OSError: [Errno 28] No space left: '/x'", OSError(28, "No space left", "/x")),
        ("PermissionError: [Errno 13] Permission denied", PermissionError(13, "Permission denied")),
        ("torch.OutOfMemoryError: CUDA", type("OutOfMemoryError", (RuntimeError,), {})("CUDA")),
    ],
)
def test_an_error_is_of_one_kind_here_and_in_its_file(line: str, error: Exception) -> None:
    assert Failure.recorded("a", line) == Failure.of("a", error)


def test_a_cell_is_told_by_what_varies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ("-m", "optimizer=sgd,adam", f"outputs_dir={tmp_path}")
    assert main(["train", *TINY, *sweep]) == 0
    out = capsys.readouterr().out.splitlines()
    told = [line.partition(": test error")[0] for line in out if line.startswith("[")]
    assert told == ["[1/2] optimizer=sgd", "[2/2] optimizer=adam"]
    assert out[0] == f"{tmp_path / 'scratch'}: 2 cells, 2 to train"
    assert main(["train", "--dry-run", *TINY, *sweep]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split() for line in out[1:]] == [
        ["done", "optimizer=sgd"],
        ["done", "optimizer=adam"],
    ]
    assert len(read_cells(tmp_path / "scratch")) == 2
