import json
from pathlib import Path
from typing import Any

import pytest

from study.analysis.status import main
from study.config.labels import counted
from study.errors import InputError
from study.outputs.checkpoint import CHECKPOINT, reached_epoch, write_checkpoint
from study.outputs.records import STATUSES
from tests.synthetic import (
    FACTORS,
    change_result,
    diverge,
    fail,
    ledger_cell,
    make_study,
    write_ledger,
)
from tests.test_locks import of_another_host

SMALL = {"activation": ["relu", "tanh", "elu"], "init": ["he", "small"]}


def print_status(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_golden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_study(tmp_path / "small", SMALL)
    change_result(paths[1], diverge(0))
    fail(paths[2], "RuntimeError: why")
    (paths[3] / "result.json").unlink()
    (paths[4] / "result.json").write_text("")
    (tmp_path / "small" / "mnist-old-01234567").mkdir()
    chosen = json.loads((paths[1] / "result.json").read_text())["chosen_lr"]
    assert (
        print_status(capsys, tmp_path / "small")
        == f"""\
small: 6 cells: 2 done, 1 diverged, 1 failed, 1 damaged, 1 missing

activation / init  he  small
relu               o   D
tanh               F   .
elu                !   o

o done   D done, with diverged replicas at the chosen learning rate   F failed   \
! result.json not usable   . missing

diverged: {paths[1].name} (1 of 5 replicas at {chosen:g})
failed: {paths[2].name}  RuntimeError: why
damaged: {paths[4].name}/result.json is not used: it is empty
missing: {paths[3].name}
stale (not in study.json, in no table): mnist-old-01234567
"""
    )


def test_a_field_has_a_glyph_for_every_other_combination(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_study(tmp_path, FACTORS)
    fail(paths[1])
    text = print_status(capsys, tmp_path)
    assert "\nrelu                   oF         oo\n" in text
    assert "in each field, in this order (norm): none, batch" in text


@pytest.mark.parametrize(
    ("factors", "lines"),
    [
        ({}, ["cell", "      o"]),
        ({"norm": ["none"]}, ["cell", "      o"]),
        ({"norm": ["none", "batch"]}, ["norm", "none   o", "batch  o"]),
    ],
)
def test_few_factors(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    factors: dict[str, Any],
    lines: list[str],
) -> None:
    paths = make_study(tmp_path, factors)
    printed = print_status(capsys, tmp_path).splitlines()
    assert printed[0].endswith(f"{counted(len(paths), 'cell')}: {len(paths)} done")
    assert printed[1:] == ["", *lines, "", "o done"]


def test_excluded_combinations_are_shown_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ledger(
        tmp_path,
        [
            ledger_cell({"activation": a, "init": i})
            for a, i in (("r", "h"), ("t", "h"), ("r", "z"))
        ],
    )
    text = print_status(capsys, tmp_path)
    assert "\nt                  .  -\n" in text
    assert "- not in the study" in text


def test_json_counts_every_cell_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_study(tmp_path, SMALL)
    change_result(paths[0], diverge(0, 1))
    fail(paths[1])
    (tmp_path / "old-89abcdef").mkdir()
    record = json.loads(print_status(capsys, tmp_path, "--json"))
    assert record["counts"]["total"] == sum(record["counts"][s] for s in STATUSES) == len(paths)
    assert [cell["directory"] for cell in record["cells"]] == [path.name for path in paths]
    assert record["cells"][0]["diverged_replicas"] == 2
    assert record["cells"][0]["factors"]["init"] == "he"
    assert record["cells"][1]["error"] == "RuntimeError: out of memory"
    assert record["stale"] == ["old-89abcdef"]


def test_unfinished_cells_say_who_is_at_them_and_how_far_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running, left, *_ = paths = make_study(tmp_path, SMALL)
    for path in (running, left):
        (path / "result.json").unlink()
        write_checkpoint(path / CHECKPOINT, "0" * 64, {"epoch": 12, "made": {}}, {"a": 1})
    of_another_host(running, silent=0)
    text = print_status(capsys, tmp_path)
    assert (
        f"running: {running.name}  host elsewhere, process 7, since 2026-11-01T00:00:00Z, " in text
    )
    assert text.count(", checkpoint after epoch 12\n") == 1
    assert text.endswith(f"\nmissing: {left.name}  checkpoint after epoch 12\n")
    cells = json.loads(print_status(capsys, tmp_path, "--json"))["cells"]
    assert cells[0]["owner"]["host"] == "elsewhere"
    assert cells[0]["owner"]["started"] == "2026-11-01T00:00:00Z"
    assert [cell["checkpoint_epoch"] for cell in cells] == [12, 12, *[None] * (len(paths) - 2)]
    assert [cell["owner"] for cell in cells[1:]] == [None] * (len(paths) - 1)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"{}", b"\x01" + b"\0" * 7 + b"{"]
)
def test_a_damaged_checkpoint_has_no_epoch(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    assert reached_epoch(tmp_path) is None


def test_failures_are_summed_up_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_study(tmp_path, SMALL)
    for number, path in enumerate(paths[:4]):
        fail(path, f"OSError: [Errno 28] No space left on device: '/x/{number}'")
    fail(paths[4], "torch.cuda.OutOfMemoryError: no memory")
    text = print_status(capsys, tmp_path)
    assert text.endswith(
        "failed by kind: 4 x OSError: No space left on device; 1 x OutOfMemoryError: no memory\n"
    )
    assert f"failed: {paths[1].name}  OSError: [Errno 28] No space left on device: '/x/1'\n" in text


def test_many_missing_cells_are_not_all_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ledger(tmp_path, [ledger_cell({"width": width}) for width in range(100)])
    assert "and 90 more (--json lists all)" in print_status(capsys, tmp_path)


def test_an_empty_study_has_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ledger(tmp_path, [])
    assert print_status(capsys, tmp_path) == f"{tmp_path.name}: 0 cells: none\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "required: directory"), (["nowhere"], "does not exist"), (["a", "b"], "unrecognized")],
)
def test_bad_input_is_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(InputError) as error:
        main(arguments)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
