"""The Lightning loggers that a cell's curves go to as the epochs end."""

import os
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, WandbLogger

from study.config.configuration import Config
from study.errors import InputError
from study.locks import still_ours
from study.outputs.schema import METRICS_FILE
from study.tensorboard.writer import CellWriter


class CellLogger(Logger):
    """Lightning's way to a cell's own run: what is logged stands beside what is written later."""

    def __init__(self, writer: CellWriter) -> None:
        super().__init__()
        self.writer = writer

    @property
    def name(self) -> str:
        return "tensorboard"

    @property
    def version(self) -> str:
        return ""

    @property
    def log_dir(self) -> str:
        return str(self.writer.directory)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.writer.scalars(step or 0, metrics)

    def log_hyperparams(self, *arguments: Any, **keys: Any) -> None:
        """They are in the cell's own record."""


class CellCsv(CSVLogger):
    """Lightning's CSV logger, which writes into the cell itself and nothing but its metrics."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory.parent), name=directory.name, version="")
        self.directory = directory
        with warnings.catch_warnings():
            # The cell's directory is there first. What an earlier attempt logged is written again.
            warnings.simplefilter("ignore")
            assert METRICS_FILE == self.experiment.NAME_METRICS_FILE

    def log_hyperparams(self, *arguments: Any, **keys: Any) -> None:
        """They are in the cell's own record."""

    def save(self) -> None:
        still_ours(self.directory)
        self.experiment.save()


class CellWandb(WandbLogger):
    """A run of Weights & Biases for each cell: it ends with its cell, before another begins."""

    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish()
            self._experiment = None


class CellMlflow(MLFlowLogger):
    """A run of mlflow's for each cell, which takes no `=` in a curve's name."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({name.replace("=", " "): v for name, v in metrics.items()}, step)


def make_loggers(config: Config, directory: Path, writer: CellWriter | None) -> list[Logger]:
    """Those that `logger` names, of the cell in `directory`; TensorBoard's has its `writer`.

    wandb and mlflow keep what they log where their own settings say: wandb in WANDB_DIR, offline
    unless WANDB_MODE or WANDB_API_KEY is set; mlflow at MLFLOW_TRACKING_URI. Without settings both
    write below the directory of the command, wandb/ and mlruns/.
    `InputError` for one that is not installed.
    """
    return [
        MAKERS[name](config, directory, writer)
        for name in config.logger
        if name != "tensorboard" or writer is not None
    ]


def check_loggers(config: Config) -> None:
    """Raises `InputError` for a logger that is not installed."""
    for name in config.logger:
        if (modules := EXTRAS.get(name)) and find_spec(modules) is None:
            raise InputError(
                f"logger={name} is not installed: "
                f"pip install 'neural-training-study[{name}]', or make setup EXTRAS={name}"
            )


def _tensorboard(config: Config, directory: Path, writer: CellWriter | None) -> Logger:
    assert writer is not None, "it is left out"
    return CellLogger(writer)


def _csv(config: Config, directory: Path, writer: CellWriter | None) -> Logger:
    return CellCsv(directory)


def _wandb(config: Config, directory: Path, writer: CellWriter | None) -> Logger:
    return CellWandb(
        project=config.study,
        name=directory.name,
        save_dir=os.environ.get("WANDB_DIR", "."),
        offline=not {"WANDB_MODE", "WANDB_API_KEY"} & os.environ.keys(),
        config=dict(config.mapping),
    )


def _mlflow(config: Config, directory: Path, writer: CellWriter | None) -> Logger:
    # mlflow's own word for its directory of files, which it would otherwise refuse.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return CellMlflow(
        experiment_name=config.study,
        run_name=directory.name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", "file:./mlruns"),
    )


MAKERS = {"tensorboard": _tensorboard, "csv": _csv, "wandb": _wandb, "mlflow": _mlflow}
EXTRAS = {"wandb": "wandb", "mlflow": "mlflow"}
"""What is imported of a logger that comes as an extra of its name."""
