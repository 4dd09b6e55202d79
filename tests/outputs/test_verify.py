"""`study verify` finds every file that is not what it should be, and names it in one line."""

import gzip
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.__main__ import main
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import directory_name, factors, signature, with_fingerprint
from study.data import read_images
from study.files import sha256
from study.outputs.records import read_ledger
from study.outputs.verify import verify
from tests import tiny
from tests.synthetic import change_result

OVERRIDES = (
    "seeds=2", "optimizer.lr=[0.01,0.05]", "outputs.weights=all", "probes=default",
    "pretraining=autoencoder", "pretraining.epochs=1", "pairs.points=3", "trainer.max_epochs=4",
)  # fmt: skip


def make_study(directory: Path, root: Path, *overrides: str) -> Path:
    """A study of one cell, trained as a launch would; returns the cell's directory."""
    given = (*tiny.SMALL, "data=image_folder", f"data.root={root}", *overrides)
    with hydra_ready():
        composed = compose_cell(given)
    fingerprint = read_images("image_folder", str(root)).fingerprint
    digest = signature(composed.config.mapping, fingerprint)
    named = with_fingerprint(
        factors(composed.config.mapping, composed.choices), composed.config.mapping, fingerprint
    )
    cell = directory / directory_name(composed.choices, digest)
    tiny.train_to(cell, root, *overrides)
    change_result(cell, lambda record: record.update(factors=named))
    entry = {"directory": cell.name, "signature": digest, "factors": named}
    ledger = {"schema": 1, "study": directory.name, "threads": 1, "experiment": None,
              "claims": [], "cells": [entry], "previous": []}  # fmt: skip
    (directory / "study.json").write_text(json.dumps(ledger), encoding="utf-8")
    return cell


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny.folder(tmp_path_factory.mktemp("images"))
    return make_study(tmp_path_factory.mktemp("outputs") / "study", root, *OVERRIDES)


@pytest.fixture
def cell(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.parent, tmp_path / "study")) / trained.name


def problems(cell: Path) -> list[str]:
    """What is wrong with the cell's study, its directory left out of each line."""
    found = verify(read_ledger(cell.parent)).problems
    assert all("\n" not in line for line in found)
    return [line.removeprefix(f"{cell.parent}/").removeprefix(f"{cell.name}/") for line in found]


def test_a_trained_study_is_whole(cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(cell.parent)]) == 0
    assert capsys.readouterr().out == (
        f"{cell.parent}: 1 of 1 cell finished, and every file is whole\n"
    )


def every_file(cell: Path) -> list[Path]:
    """The files of a study but its ledger, TensorBoard's events and locks."""
    files = [path for path in cell.parent.rglob("*") if path.is_file()]
    passing = ("study.json", "lock", "events.out.tfevents.*")
    return [path for path in files if not any(path.match(name) for name in passing)]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": lambda content: flipped(content),
    "foreign": lambda content: gzip.compress(content),
}


def flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[random.Random(0).randrange(len(changed))] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_kind_of_damage_to_every_file_is_named(cell: Path, damage: str) -> None:
    files = every_file(cell)
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".csv" and path.parent.name != cell.name:
            continue  # curves of pretraining, which no hash is kept of
        path.write_bytes(DAMAGES[damage](content))
        found = problems(cell)
        assert found, path
        assert all(path.name in line for line in found), (path, found)
        path.write_bytes(content)
    assert problems(cell) == []


def test_a_missing_file_is_named_and_absent_weights_are_only_said(
    cell: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell / "weights.safetensors").unlink()
    assert main(["verify", str(cell.parent)]) == 0
    assert "not checked: the weights of 1 cell" in capsys.readouterr().out
    (cell / "filters.npz").unlink()
    assert main(["verify", str(cell.parent)]) == 1
    assert "filters.npz: it is missing" in capsys.readouterr().out


def resealed(cell: Path, **changes: Any) -> list[str]:
    """The problems of a record that was changed and sealed again, as a forger would."""
    change_result(cell, lambda record: record.update(changes))
    return problems(cell)


def renamed(cell: Path, name: str) -> Path:
    """The cell under another name, which the ledger knows."""
    ledger = json.loads((cell.parent / "study.json").read_text(encoding="utf-8"))
    ledger["cells"][0]["directory"] = name
    (cell.parent / "study.json").write_text(json.dumps(ledger), encoding="utf-8")
    return cell.rename(cell.parent / name)


def test_a_configuration_that_was_changed_has_another_signature(cell: Path) -> None:
    path = cell / "config.yaml"
    text = path.read_text(encoding="utf-8").replace("batch_size: 16", "batch_size: 17", 1)
    path.write_text(text, encoding="utf-8")
    digests = {**json.loads((cell / "result.json").read_text())["files"], path.name: sha256(path)}
    assert resealed(cell, files=digests) == [
        "config.yaml: its signature is not the one of result.json"
    ]


def test_a_directory_has_the_name_of_its_content(cell: Path) -> None:
    found = problems(renamed(cell, f"other-{cell.name[-8:]}"))
    assert [line.partition(": ")[2] for line in found] == [
        "the directory has not the name that its levels give"
    ]
    assert len(problems(renamed(cell.parent / f"other-{cell.name[-8:]}", "cell-00000000"))) == 2


def test_a_file_that_no_record_names_is_not_taken_for_one(cell: Path) -> None:
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))
    files = {name: digest for name, digest in record["files"].items() if name != "probes.csv"}
    assert resealed(cell, files=files)[0].startswith("probes.csv: result.json does not name it")
    found = resealed(cell, files=record["files"] | {"../study.json": "0" * 64})
    assert "its files has the key '../study.json', which is no name of a file" in found[0]


@pytest.mark.parametrize(
    "change", [{"files": [1]}, {"factors": 3}, {"provenance": 3}, {"probes": 3}]
)
def test_a_sealed_record_of_another_make_is_named(cell: Path, change: dict[str, Any]) -> None:
    assert any(
        str(next(iter(change))) in line or "not made" in line for line in resealed(cell, **change)
    )


def test_a_record_of_a_newer_schema_is_one_clear_line(cell: Path) -> None:
    (found,) = resealed(cell, schema=2)
    assert found.endswith(
        "result.json is not used: its schema 2 is newer than this version, which reads 1: use the "
        "version of this project that wrote it, or a later one"
    )


def test_a_pretraining_of_another_seed_or_signature_is_named(cell: Path) -> None:
    (first, second) = sorted(cell.parent.glob("pretraining/*/seed=*.safetensors"))
    shutil.copyfile(first, second)
    assert problems(cell) == [f"{second.relative_to(cell.parent)}: it holds the weights of seed 0"]
    first.parent.rename(first.parent.with_name("autoencoder-00000000"))
    assert sum("another pretraining" in line for line in problems(cell)) == 1


def test_a_cell_that_started_from_other_weights_is_named(cell: Path) -> None:
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))["pretraining"]
    digests = record["weights_sha256"] | {"1": "0" * 64}
    assert resealed(cell, pretraining=record | {"weights_sha256": digests}) == [
        "result.json: the kept pretrained weights of seed 1 are not its own"
    ]


def test_what_is_not_finished_is_no_damage(cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cell / "result.json").unlink()
    assert main(["verify", str(cell.parent)]) == 0
    assert "not finished: 1 missing" in capsys.readouterr().out


def test_a_ledger_that_is_damaged_is_bad_input(
    cell: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell.parent / "study.json").write_text("{", encoding="utf-8")
    assert main(["verify", str(cell.parent)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_torch_is_needed(cell: Path) -> None:
    code = (
        "import sys; from study.__main__ import main\n"
        f"assert main(['verify', {str(cell.parent)!r}]) == 0\n"
        "assert not {'torch', 'lightning', 'hydra'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
