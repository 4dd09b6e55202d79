"""The loggers that a cell's curves go to: their own TensorBoard and CSV, mlflow's and others'."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from study.errors import InputError
from study.outputs.cell import CURVES_FILE, read_result
from study.outputs.schema import METRICS_FILE
from study.tensorboard import loggers
from tests import tiny
from tests.interrupted import EVERY_EPOCH
from tests.training.test_lightning import Recording

CELL = ("seeds=2", "optimizer.lr=[0.02,0.05]", "trainer.max_epochs=3")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("images"))


def means(directory: Path) -> dict[int, dict[str, float]]:
    """The mean over seeds of each curve at each rate, from curves.csv."""
    with (directory / CURVES_FILE).open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["epoch"])]
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        for split in ("train", "val"):
            for what in ("error", "loss"):
                name = f"learning rates/{what} {split} lr={float(row['lr'])}"
                of_epoch = found.setdefault(int(row["epoch"]), {})
                of_epoch[name] = of_epoch.get(name, 0.0) + float(row[f"{split}_{what}"]) / 2
    return found


def logged(directory: Path) -> dict[int, dict[str, float]]:
    with (directory / METRICS_FILE).open() as file:
        return {int(row.pop("step")): {name: float(value) for name, value in row.items()}
                for row in csv.DictReader(file)}  # fmt: skip


def assert_close(found: dict[int, dict[str, float]], expected: dict[int, dict[str, float]]) -> None:
    assert found.keys() == expected.keys()
    for epoch, row in expected.items():
        assert found[epoch] == pytest.approx(row, rel=1e-5)


def test_csv_has_the_curves_and_only_what_is_asked_for_is_written(
    root: Path, tmp_path: Path
) -> None:
    cells = {name: tmp_path / name / "cell" for name in ("csv", "null", "[tensorboard,csv]")}
    for name, cell in cells.items():
        tiny.train_to(cell, root, *CELL, f"logger={name}")
    assert_close(logged(cells["csv"]), means(cells["csv"]))
    assert not list(cells["csv"].glob("events.*"))
    assert not (cells["csv"] / "hparams.yaml").exists()
    assert not (cells["null"] / METRICS_FILE).exists()
    assert logged(cells["[tensorboard,csv]"]) == logged(cells["csv"])
    assert list(cells["[tensorboard,csv]"].glob("events.*"))
    one, *others = (read_result(cell)["replicas"] for cell in cells.values())
    assert [one, one] == others


def test_curves_of_replicas_that_were_copied_are_logged_too(root: Path, tmp_path: Path) -> None:
    tiny.train_to(tmp_path / "one", root, *CELL, "seeds=1")
    tiny.train_to(tmp_path / "two", root, *CELL, "logger=[csv]", "population.max_replicas=1")
    assert_close(logged(tmp_path / "two"), means(tmp_path / "two"))


@pytest.mark.parametrize("epoch", [1, 2])
def test_one_that_is_resumed_has_the_curves_from_the_start(
    root: Path, tmp_path: Path, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Recording()

    def failing(metrics: Any, step: int | None = None) -> None:
        if step == epoch + 1:
            raise KeyboardInterrupt

    broken = Recording()
    monkeypatch.setattr(broken, "log_metrics", failing)
    monkeypatch.setitem(loggers.MAKERS, "wandb", lambda *_: broken)
    words = (*CELL, EVERY_EPOCH, "logger=[csv,wandb]")
    with pytest.raises(KeyboardInterrupt):
        tiny.train_to(tmp_path / "cell", root, *words)
    monkeypatch.setitem(loggers.MAKERS, "wandb", lambda *_: own)
    tiny.train_to(tmp_path / "cell", root, *words)
    assert_close(logged(tmp_path / "cell"), means(tmp_path / "cell"))
    assert_close(own.rows, means(tmp_path / "cell"))


def test_every_name_has_its_maker_and_one_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"logger=mlflow is not installed: pip install .*mlflow"):
        loggers.check_loggers(tiny.config("logger=[csv,mlflow]"))
    loggers.check_loggers(tiny.config("logger=[csv,tensorboard]"))


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is an extra that CI does without")
def test_mlflow_keeps_a_run_for_each_cell(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tiny.train_to(tmp_path / "one", root, *CELL, "logger=mlflow")
    tiny.train_to(tmp_path / "two", root, *CELL, "logger=mlflow", "norm=batch")
    files = list(tmp_path.glob("mlruns/*/*/metrics/**/*val lr 0.02"))
    assert len({path.relative_to(tmp_path).parts[2] for path in files}) == 2
    assert all(len(path.read_text().splitlines()) == 3 for path in files)


def test_a_logger_is_a_logger_of_lightnings() -> None:
    assert set(loggers.MAKERS) == {"tensorboard", "csv", "wandb", "mlflow"}
    assert issubclass(loggers.CellLogger, Logger)


def test_a_cell_and_its_pretraining_have_runs_where_both_keys_say_so() -> None:
    assert tiny.config("logger=[csv,tensorboard]").has_runs
    assert not tiny.config("logger=csv").has_runs
    assert not tiny.config("outputs.tensorboard=none").has_runs
