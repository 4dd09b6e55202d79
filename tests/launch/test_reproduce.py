"""`study reproduce` finds a cell again bit for bit, and says what is not so, and where."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

import study.launch.attempt
from study.__main__ import main
from study.config.configuration import RECIPE, signature
from study.files import sha256
from study.outputs.cell import best_name
from study.training import Population, Replica
from tests import tiny
from tests.synthetic import change_result, without_best_weights

OVERRIDES = (
    *("seeds=2", "optimizer.lr=[0.01,0.05]", "outputs.weights=all", "probes=default"),
    "trainer.max_epochs=4",
)
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study") / "cell"
    tiny.train_to(directory, root, *OVERRIDES)
    return directory


@pytest.fixture
def cell(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "study" / "cell"))


def content(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "overrides",
    [
        OVERRIDES,
        (*OVERRIDES, "population.engine=stacked", "population.max_replicas=3", "norm=batch"),
        (*OVERRIDES, "population.engine=stacked", "population.products=numpy",
         "trainer.precision=32-true", "population.max_replicas=3"),
        ("model=cnn", "model.head=[4]", "trainer.precision=32-true", "model.dropout=0.2"),
        ("optimizer.lr=[0.02,1e+30]", "seeds=2", "optimizer=adam"),
        ("pretraining=autoencoder", "pretraining.epochs=2", "seeds=2", "outputs.weights=none"),
        ("pretraining=rbm", "data.normalize=unit", "activation=sigmoid", "pretraining.epochs=1"),
    ],
)  # fmt: skip
def test_a_cell_comes_out_again_bit_for_bit(
    root: Path, tmp_path: Path, capsys: Output, overrides: tuple[str, ...]
) -> None:
    directory = tmp_path / "study" / "cell"
    record = tiny.train_to(directory, root, *overrides)
    before = content(tmp_path)
    capsys.readouterr()
    assert main(["reproduce", str(directory)]) == 0
    out = capsys.readouterr().out
    count = len(record["replicas"])
    assert out.endswith("all equal\nbitwise equal\n")
    assert f"weights  {count} of {count} replica" in out
    assert "differs" not in out
    assert ("pretraining  " in out) == ("pretraining" in record)
    assert content(tmp_path) == before


def test_weights_that_are_gone_are_compared_by_their_hash(cell: Path, capsys: Output) -> None:
    (cell / "weights.safetensors").unlink()
    assert main(["reproduce", str(cell)]) == 0
    assert "weights  4 of 4 replicas equal" in capsys.readouterr().out


def test_keys_that_an_older_configuration_has_not_are_at_their_defaults(
    cell: Path, capsys: Output
) -> None:
    config = yaml.safe_load((cell / "config.yaml").read_text(encoding="utf-8"))
    del config["report"], config["trainer"]["threads"], config["population"]["compile"]
    rewritten(cell, "config.yaml", yaml.safe_dump(config))
    assert main(["reproduce", str(cell)]) == 0
    assert capsys.readouterr().out.endswith("bitwise equal\n")


def test_the_weights_of_the_best_epoch_are_compared(cell: Path, capsys: Output) -> None:
    record = json.loads((cell / "result.json").read_text(encoding="utf-8"))
    place = next(i for i, entry in enumerate(record["replicas"]) if entry["best_epoch"] != 4)
    entry = record["replicas"][place]
    name = best_name(entry["seed"], entry["lr"], entry["best_epoch"])
    path = cell / "weights.safetensors"
    arrays = load_file(path)
    arrays[f"{name}/output.weight"] *= np.float64(1.01)
    save_file(arrays, path, {"input_shape": "1,16,16"})

    def change(record: dict[str, Any]) -> None:
        record["replicas"][place]["best_weights_sha256"] = "0" * 64
        record["files"][path.name] = sha256(path)

    forged(cell, change)
    assert main(["reproduce", str(cell)]) == 1
    out = capsys.readouterr().out
    assert "weights  3 of 4 replicas equal" in out
    assert f"furthest apart in weights  {name} output.weight: 0.99" in out


def test_another_best_epoch_elsewhere_is_within_tolerance(cell: Path, capsys: Output) -> None:
    """The weights of one epoch are not measured against those of another."""
    path = cell / "weights.safetensors"
    arrays = {name.replace("epoch=3", "epoch=9"): each for name, each in load_file(path).items()}
    assert any("epoch=9" in name for name in arrays)
    save_file(arrays, path, {"input_shape": "1,16,16"})

    def change(record: dict[str, Any]) -> None:
        record["provenance"]["processor"] = "Another"
        record["files"][path.name] = sha256(path)

    forged(cell, change)
    assert main(["reproduce", str(cell)]) == 0
    out = capsys.readouterr().out
    assert "equal within tolerance" in out
    assert "furthest apart" not in out


def rewritten(cell: Path, name: str, text: str) -> None:
    """Another file in the place of one that the record names, and names it."""
    (cell / name).write_text(text, encoding="utf-8")
    change_result(cell, lambda record: record["files"].update({name: sha256(cell / name)}))


def forged(cell: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    change_result(cell, change)


def test_one_number_that_is_not_so_is_different(cell: Path, capsys: Output) -> None:
    forged(cell, lambda record: record["replicas"][2].update(test_loss=1.5))
    assert main(["reproduce", str(cell)]) == 1
    out = capsys.readouterr().out
    assert "weights  4 of 4 replicas equal" in out
    assert "parts first  replicas seed=1,lr=0.01 test_loss: 1.5 then, " in out
    assert "different" in out


def test_the_first_place_is_told_by_epoch_and_column(cell: Path, capsys: Output) -> None:
    path = cell / "curves.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("1,0.05,1,"))
    fields = lines[row].split(",")
    fields[5] = repr(float(fields[5]) + 1e-12)
    lines[row] = ",".join(fields)
    rewritten(cell, path.name, "\n".join(lines) + "\n")
    assert main(["reproduce", str(cell)]) == 1
    out = capsys.readouterr().out
    assert "parts first  curves seed=1,lr=0.05 epoch 1 val_loss: " in out
    assert out.endswith("different, though machine, versions and code are the same as then\n")


@pytest.mark.parametrize(("shift", "status"), [(1e-12, 0), (0.5, 1)])
def test_elsewhere_a_tolerance_decides(
    cell: Path, capsys: Output, shift: float, status: int
) -> None:
    def change(record: dict[str, Any]) -> None:
        record["provenance"] |= {"processor": "Another", "git_commit": "0" * 40}
        record["provenance"]["packages"]["torch"] = "1.0"
        record["replicas"][0]["val_loss"] += shift

    forged(cell, change)
    assert main(["reproduce", str(cell)]) == status
    out = capsys.readouterr().out
    assert all(line.startswith("differs") for line in out.splitlines()[1:4])
    assert "differs  processor: Another then" in out
    assert "differs  torch: 1.0 then" in out
    assert "differs  commit: 0000000000 then" in out
    assert ("equal within tolerance" in out) == (status == 0)
    assert "losses within 1e-06" in out


def test_weights_that_differ_are_measured(cell: Path, capsys: Output) -> None:
    path = cell / "weights.safetensors"
    arrays = load_file(path)
    arrays["seed=0,lr=0.01/output.weight"] *= np.float64(1.01)
    save_file(arrays, path, {"input_shape": "1,16,16"})
    forged(cell, lambda record: record["files"].update({path.name: sha256(path)}))
    assert main(["reproduce", str(cell)]) == 1
    assert (
        "furthest apart in weights  seed=0,lr=0.01 output.weight: 0.99" in capsys.readouterr().out
    )


def test_another_packing_is_said(cell: Path, capsys: Output) -> None:
    """Of a record that does not say who was trained together."""

    def change(record: dict[str, Any]) -> None:
        record["provenance"]["populations"] = []
        record["provenance"]["packing"] = [4]

    forged(cell, change)
    assert main(["reproduce", str(cell)]) == 0
    out = capsys.readouterr().out
    assert "differs  packing: groups of [4] then, of [1, 1, 1, 1] here" in out


def test_copied_replicas_are_named_and_not_trained(
    root: Path, tmp_path: Path, capsys: Output
) -> None:
    rates = ("optimizer.lr=[0.01,0.05]", "outputs.weights=all", "population.engine=stacked")
    first = tmp_path / "study" / "two"
    digest = tiny.train_to(first, root, "seeds=2", *rates)["signature"]
    first = first.rename(tmp_path / "study" / f"two-{digest[:8]}")
    grown = tmp_path / "study" / "grown"
    tiny.train_to(grown, root, "seeds=3", *rates)
    capsys.readouterr()
    assert main(["reproduce", str(grown)]) == 0
    out = capsys.readouterr().out
    assert "grown: 2 replicas, on 1 thread as then" in out
    copied = "seed=0,lr=0.01, seed=0,lr=0.05, seed=1,lr=0.01, seed=1,lr=0.05"
    assert f"not trained: {copied} came from {first}: reproduce that" in out
    assert "weights  2 of 2 replicas equal" in out
    alone = tmp_path / "study" / "alone"
    tiny.train_to(alone, root, "seeds=1", *rates)
    assert main(["reproduce", str(alone)]) == 2
    assert "trained nothing: seed=0,lr=0.01, seed=0,lr=0.05 came from" in capsys.readouterr().err


def test_an_older_cell_trains_again_what_it_trained(
    root: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept no weights of best epochs, of its own replicas and of those that it copied."""
    own = ("optimizer.lr=[0.05,0.4]", "trainer.max_epochs=4")
    tiny.train_to(tmp_path / "study" / "two", root, "seeds=2", *own)
    cell = tmp_path / "study" / "three"
    record = tiny.train_to(cell, root, "seeds=3", *own)
    without_best_weights(cell)
    assert any(each["best_epoch"] != 4 for each in record["replicas"] if "copied_from" in each)
    trained: list[Replica] = []
    build = study.launch.attempt.build_population

    def spy(config: Any, data: Any, replicas: Any, *rest: Any, **more: Any) -> Population:
        trained.extend(replicas)
        return build(config, data, replicas, *rest, **more)

    monkeypatch.setattr(study.launch.attempt, "build_population", spy)
    capsys.readouterr()
    assert main(["reproduce", str(cell)]) == 0
    assert capsys.readouterr().out.endswith("bitwise equal\n")
    assert trained == [Replica(2, 0.05), Replica(2, 0.4)]


def test_pretraining_that_is_not_the_kept_one_is_told(
    root: Path, tmp_path: Path, capsys: Output
) -> None:
    directory = tmp_path / "study" / "cell"
    tiny.train_to(directory, root, "pretraining=autoencoder", "pretraining.epochs=2", "seeds=2")
    (path, _) = sorted(directory.parent.glob("pretraining/*/seed=*.csv"))
    path.write_text(path.read_text(encoding="utf-8").replace(".", ".9"), encoding="utf-8")
    assert main(["reproduce", str(directory)]) == 1
    out = capsys.readouterr().out
    assert "pretraining  1 of 2 seeds equal" in out
    assert "parts  pretraining seed=0 curves" in out


def test_seeds_are_pretrained_together_as_they_were(
    root: Path, tmp_path: Path, capsys: Output
) -> None:
    options = ("pretraining=autoencoder", "pretraining.epochs=1")
    tiny.train_to(tmp_path / "study" / "one", root, "seeds=1", *options)
    grown = tmp_path / "study" / "three"
    tiny.train_to(grown, root, "seeds=3", *options, "optimizer.lr=0.01")
    keep = tmp_path / "kept"
    assert main(["reproduce", str(grown), "--keep", str(keep)]) == 0
    assert "pretraining  3 of 3 seeds equal" in capsys.readouterr().out
    files = sorted(keep.glob("pretraining/*/seeds=*")) or sorted(keep.glob("pretraining/*/seed=*"))
    assert files
    assert (keep / "three" / "result.json").exists()
    assert main(["reproduce", str(grown), "--keep", str(keep)]) == 2


MISTAKES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no directory": (shutil.rmtree, "does not exist"),
    "not finished": (lambda cell: (cell / "result.json").unlink(), "is not finished"),
    "damaged": (lambda cell: (cell / "result.json").write_text("{"), "truncated or not JSON"),
    "altered": (lambda cell: edit(cell, '"status": "trained"', '"status": "diverged"'), "altered"),
    "no provenance": (
        lambda cell: forged(cell, lambda r: r.pop("provenance")),
        "provenance is missing",
    ),
    "no recipe": (
        lambda cell: forged(cell, lambda r: r["provenance"].pop("recipe")),
        "provenance.recipe is missing",
    ),
    "no configuration": (lambda cell: (cell / "config.yaml").unlink(), "it is missing"),
    "altered curves": (lambda cell: (cell / "curves.csv").write_text(""), "it was altered"),
    "not YAML": (lambda cell: rewritten(cell, "config.yaml", "a: ["), "not YAML"),
    "other configuration": (
        lambda cell: replace(cell, "batch_size", 3),
        "is not the configuration",
    ),
    "unknown key": (lambda cell: replace(cell, "fancy", 3), "unknown key 'fancy'"),
    "older recipe": (
        lambda cell: forged(cell, lambda r: r["provenance"].update(recipe=RECIPE - 1)),
        "check out ",
    ),
}


def edit(cell: Path, old: str, new: str) -> None:
    path = cell / "result.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def replace(cell: Path, key: str, value: Any) -> None:
    config = yaml.safe_load((cell / "config.yaml").read_text(encoding="utf-8"))
    rewritten(cell, "config.yaml", yaml.safe_dump(config | {key: value}))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line(cell: Path, capsys: Output, mistake: str) -> None:
    make, words = MISTAKES[mistake]
    make(cell)
    before = content(cell.parent)
    assert main(["reproduce", str(cell)]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert words in captured.err
    assert captured.out == ""
    assert content(cell.parent) == before


def test_other_data_are_refused(cell: Path, tmp_path: Path, capsys: Output) -> None:
    other = tiny.folder(tmp_path / "other", num_train=63)
    assert main(["reproduce", str(cell), "--data", str(other)]) == 2
    assert "give the directory of those with --data DIR" in capsys.readouterr().err
    same = tiny.folder(tmp_path / "same")
    assert main(["reproduce", str(cell), "--data", str(same)]) == 0


def test_a_study_is_no_cell(cell: Path, capsys: Output) -> None:
    (cell.parent / "study.json").write_text("{}", encoding="utf-8")
    assert main(["reproduce", str(cell.parent)]) == 2
    assert "is not a cell but a study" in capsys.readouterr().err


def test_record_of_the_scratch_directory(cell: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    assert main(["reproduce", str(cell), "--keep", str(keep)]) == 0
    record = json.loads((keep / "cell" / "result.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((keep / "cell" / "config.yaml").read_text(encoding="utf-8"))
    assert signature(config, record["provenance"]["data_fingerprint"]) == record["signature"]
    assert not list(keep.rglob("events.out.tfevents.*"))
