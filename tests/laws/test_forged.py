"""Records and tables with a valid seal that were made by hand: read or refused, no traceback."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.__main__ import main
from study.outputs.schema import seal
from tests.finished_study import (
    READERS,
    SWEEP,
    Output,
    bounded,
    cells_of,
    copied,
    places_in,
    said,
    train,
)

SEALED = ("result.json", "study.json")
TABLES = ("curves.csv", "probes.csv", "pairs.csv")
fields = st.sampled_from(["", "x", "nan", "-1", "1.5", "1e999", "9" * 30, "1,2", '"', "inf"])
DROPPED = "(dropped)"
forged: st.SearchStrategy[Any] = st.sampled_from(
    [DROPPED, None, True, 0, -1, 2**70, 1.5, 1e300, "", "x", "../x", [], [None], {}, {"a": {}}]
)
REPORT = ["report", "s"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def reseal(study: Path) -> None:
    """Gives both records of a study, and the tables that they name, hashes that fit."""
    cell = cells_of(study)[0]
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))
    files = record.get("files")
    for name in TABLES if isinstance(files, dict) else ():
        if (cell / name).is_file() and name in files:
            files[name] = hashlib.sha256((cell / name).read_bytes()).hexdigest()
    for path in (cell / "result.json", study / "study.json"):
        content = record if path.name == "result.json" else json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(seal(content)), encoding="utf-8")


def forge_record(path: Path, number: int, value: Any) -> None:
    """Another value, or none, at one place of a record; every key of its own is often taken."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [*places_in(content), *20 * [(content, key) for key in content]]
    container, key = found[number % len(found)]
    if value == DROPPED:
        del container[key]
    else:
        container[key] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def forge_table(path: Path, number: int, text: str) -> None:
    """Another text in one field of a table, or one of its columns left out."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    place = number % len(rows[0])
    if text == "x" and number % 2:
        rows = [row[:place] + row[place + 1 :] for row in rows]
    else:
        rows[number % len(rows)][place] = text
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")


def run_on_forged(study: Path, command: list[str], capsys: Output) -> None:
    """No traceback; a refusal is one line, and a cell that is passed over is named with a key."""
    cell = cells_of(study)[0]
    with contextlib.chdir(study.parent):
        status = main([f"s/{cell.name}" if word == "CELL" else word for word in command])
        words = said(capsys, status)
        if "result.json" in words or "study.json" in words:
            assert any(each in words for each in ("its ", "it has", "does not name it"))


@settings(bounded, max_examples=40)
@given(
    st.sampled_from(SEALED),
    st.integers(0, 10**6),
    forged,
    st.sampled_from([*READERS, REPORT, ["reproduce", "CELL"]]),
)
def test_a_record_made_by_hand_is_read_or_refused(
    capsys: Output,
    trained: Path,
    scratch: Path,
    name: str,
    number: int,
    value: Any,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    forge_record((study if name == "study.json" else cells_of(study)[0]) / name, number, value)
    reseal(study)
    run_on_forged(study, command, capsys)


@settings(bounded, max_examples=40)
@given(st.sampled_from(TABLES), st.integers(0, 10**6), fields, st.sampled_from([*READERS, REPORT]))
def test_a_table_made_by_hand_is_read_or_refused(
    capsys: Output,
    trained: Path,
    scratch: Path,
    name: str,
    number: int,
    text: str,
    command: list[str],
) -> None:
    study = copied(trained, scratch)
    forge_table(cells_of(study)[0] / name, number, text)
    reseal(study)
    run_on_forged(study, command, capsys)


NESTED = 900
"""As deep as a reader of JSON may go, and deeper than whoever walks through what it read."""
WHO_READS = {
    "result.json": (*READERS, ["reproduce", "CELL"], [*SWEEP, "--dry-run"]),
    "study.json": (*READERS, REPORT, [*SWEEP, "--dry-run"]),
}
UNCONCERNED = ("clean", "train")
"""What takes a cell that cannot be used for one that is not there, and says no more."""


def nest(path: Path, key: str) -> None:
    """A record with a seal that fits, and lists in lists under one of its keys."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("sha256")
    text = json.dumps({**content, key: "nested"}, sort_keys=True, separators=(",", ":"))
    text = text.replace('"nested"', NESTED * "[" + NESTED * "]")
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{text[:-1]},"sha256":"{digest}"}}', encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(("result.json", key) for key in ("factors", "replicas", "provenance", "unknown")),
        *(("study.json", key) for key in ("cells", "claims", "previous", "unknown")),
    ],
)
def test_a_record_of_lists_in_lists_is_named_and_not_used(
    capsys: Output, trained: Path, scratch: Path, name: str, key: str
) -> None:
    study = copied(trained, scratch)
    nest((study if name == "study.json" else cells_of(study)[0]) / name, key)
    for command in WHO_READS[name]:
        with contextlib.chdir(study.parent):
            words = [f"s/{cells_of(study)[0].name}" if word == "CELL" else word for word in command]
            text = said(capsys, main(words))
        assert f"{name} " in text.replace(":", " ") or command[0] in UNCONCERNED
        assert "it is nested more than 50 deep" in text or command[0] in UNCONCERNED


@pytest.mark.parametrize("file", ["config.yaml", "owner.json"])
def test_another_file_of_lists_in_lists_is_read_or_refused(
    capsys: Output, trained: Path, scratch: Path, file: str
) -> None:
    study = copied(trained, scratch)
    cell = cells_of(study)[0]
    (cell / file).write_text("a: " * (file == "config.yaml") + NESTED * "[" + NESTED * "]")
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))
    record["files"]["config.yaml"] = hashlib.sha256((cell / "config.yaml").read_bytes()).hexdigest()
    (cell / "result.json").write_text(json.dumps(seal(record)), encoding="utf-8")
    if file == "owner.json":
        (cell / "result.json").unlink()
    for command in (*READERS, ["reproduce", "CELL"]):
        run_on_forged(study, command, capsys)
