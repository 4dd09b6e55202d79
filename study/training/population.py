"""The LightningModule that a cell's population is: it trains a run of updates in one step."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from study.config.configuration import Config
from study.data import Data, Split
from study.data.batches import Run
from study.data.module import StudyData
from study.errors import InputError
from study.outputs.checkpoint import fitting
from study.training.engine import Engine
from study.training.group import Evaluation, State, parts_of
from study.training.optimizers import learning_rate_factors
from study.training.runs import TrainsRuns
from study.training.settings import Replica

DIVERGED_FACTOR = 1000.0
"""A last training loss over this many times the loss before training counts as diverged."""

CURVES = {
    "error/train": "train_error",
    "error/val": "val_error",
    "loss/train": "train_loss",
    "loss/val": "val_loss",
}
"""What a curve is called where it is shown, and in the row of an epoch."""
RATES = "learning rates"


@dataclass
class Progress:
    """What one replica has reached so far."""

    first_loss: float = math.nan
    best_epoch: int | None = None
    best_key: tuple[float, float] = (math.inf, math.inf)
    best_state: State | None = None
    curve: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Progress":
        """From its own `vars`, in which a list may stand for a tuple."""
        return cls(**{**state, "best_key": tuple(state["best_key"])})

    def diverged(self) -> bool:
        """Whether the last epoch's training loss is not finite, or over 1,000 times the first."""
        last = self.curve[-1]["train_loss"]
        return not math.isfinite(last) or last > DIVERGED_FACTOR * self.first_loss


class Population(TrainsRuns):
    """Trains all replicas of a cell together, a `Run` of updates per `training_step`.

    Lightning's loop costs about a millisecond a step, an update of small networks not much more:
    under manual optimization one step holds up to an epoch's updates. Losses and errors are summed
    on the device and read once an epoch. `trainer.global_step` counts updates. Its data module is
    `StudyData`.

    Epoch 0 of a curve is the state before training; training epochs count from 1. The means over
    seeds of each learning rate's curves are logged once an epoch, at the step of its number.

    After `trainer.fit` and `trainer.test`, `progress` holds each replica's curve and
    `evaluations` its results on every split, for the best epoch and for the last. `alone` says
    what kept the replicas from being stacked, if anything did. `starts` are, until the first
    update, the plain networks that the seeds start from.

    A checkpoint of Lightning's holds `training_state`, from which the same replicas go on however
    they are packed.
    """

    def __init__(
        self,
        engine: Engine,
        config: Config,
        starts: Mapping[int, nn.Module],
        *,
        alone: str | None = None,
    ) -> None:
        super().__init__()
        self.strict_loading = False
        self.engine = engine
        self.networks = engine.networks
        self.progress = [Progress() for _ in engine.replicas]
        self.evaluations: dict[str, dict[str, Evaluation]] = {}
        self.seconds = 0.0
        self.alone = alone
        self.starts = dict(starts)
        self._began = 0.0
        self._states_to_restore: list[State] = []
        self._schedule = config.schedule.level
        self._num_epochs = config.trainer.max_epochs

    @property
    def seeds(self) -> list[int]:
        """Those of the replicas, whose batches a run holds."""
        return list(dict.fromkeys(replica.seed for replica in self.engine.replicas))

    @property
    def num_trained(self) -> int:
        return len(self.engine.replicas)

    @property
    def data(self) -> Data:
        """What it is trained and evaluated on."""
        module = getattr(self.trainer, "datamodule", None)
        if not isinstance(module, StudyData):
            raise InputError(
                "a population is trained on runs of updates: give the Trainer its StudyData, as "
                "study.population returns it, and no other data"
            )
        return module.data

    def configure_optimizers(self) -> list[Optimizer]:
        """One for each group of replicas, which the group steps itself."""
        self.engine.start()
        return self.engine.optimizers

    def on_fit_start(self) -> None:
        data = self.data
        if self.epochs:
            with fitting():
                self.engine.restore_training(self._states_to_restore)
            self._states_to_restore = []
        elif not self.progress[0].curve:
            self._measure_start(data.val)

    def _measure_start(self, val: Split) -> None:
        """Epoch 0: every replica before training."""
        # Lightning enters the precision's context for its steps alone.
        with self.trainer.precision_plugin.forward_context():
            before = self.engine.evaluate(val)
        self.networks.train()
        for index, progress in enumerate(self.progress):
            progress.curve.append(
                {
                    "epoch": 0,
                    "seconds": 0.0,
                    "train_loss": math.nan,
                    "train_error": math.nan,
                    "val_loss": float(before.loss[index]),
                    "val_error": float(before.error[index]),
                }
            )

    def on_train_start(self) -> None:
        self.starts = {}
        for epoch in range(1, self.epochs + 1):  # of an earlier attempt, for this one's loggers
            for logger in self.loggers:
                logger.log_metrics(self.rate_means(epoch), step=epoch)

    def training_step(self, run: Run, batch_idx: int) -> None:
        """The next run of every replica."""
        self._began = time.perf_counter()
        factors = learning_rate_factors(
            self._schedule,
            epoch=run.epoch,
            num_epochs=self._num_epochs,
            updates_per_epoch=run.per_epoch,
        )
        with self.updating(len(run)):
            self.engine.train(run, factors[run.first : run.last])

    def on_train_batch_end(self, outputs: Any, run: Run, batch_idx: int) -> None:
        """After the callbacks, whose time belongs to the run's; at the last the epoch is over."""
        if not self.trainer.is_last_batch:
            self.seconds += time.perf_counter() - self._began
            return
        sums = self.engine.sums()
        loss, error, first = sums.loss.tolist(), sums.error.tolist(), sums.first_loss.tolist()
        self.seconds += time.perf_counter() - self._began
        self.epochs += 1
        for index, progress in enumerate(self.progress):
            if self.epochs == 1:
                progress.first_loss = first[index]
            row = {"epoch": self.epochs, "seconds": self.seconds}
            progress.curve.append(row | {"train_loss": loss[index], "train_error": error[index]})

    def validation_step(self, split: str, batch_idx: int) -> None:
        """Every replica on the validation split; a new best one is kept."""
        if self.trainer.sanity_checking:
            return
        result = self.engine.evaluate(getattr(self.data, split))
        for index, progress in enumerate(self.progress):
            loss, error = float(result.loss[index]), float(result.error[index])
            progress.curve[-1] |= {"val_loss": loss, "val_error": error}
            key = (error, loss if math.isfinite(loss) else math.inf)
            if key < progress.best_key or progress.best_epoch is None:
                progress.best_key, progress.best_epoch = key, self.epochs
                progress.best_state = self.engine.snapshot(index)

    def on_validation_epoch_end(self) -> None:
        if self.epochs and not self.trainer.sanity_checking:
            self.log_dict({**self.rate_means(self.epochs), "step": float(self.epochs)})

    def rate_means(self, epoch: int) -> dict[str, float]:
        """The mean over seeds of each curve at each learning rate, by what it is called."""
        by_rate: dict[float, list[dict[str, float]]] = {}
        for replica, progress in zip(self.engine.replicas, self.progress, strict=True):
            by_rate.setdefault(replica.lr, []).append(progress.curve[epoch])
        return rate_means(by_rate)

    def training_state(self) -> dict[str, Any]:
        """All that the epochs after this one depend on, as plain values and tensors."""
        replicas = [
            {
                "seed": replica.seed,
                "lr": replica.lr,
                "progress": dict(vars(self.progress[index])),
                "training": self.engine.training_state(index),
            }
            for index, replica in enumerate(self.engine.replicas)
        ]
        return {
            "epoch": self.epochs,
            "updates": self.updates,
            "seconds": self.seconds,
            "replicas": replicas,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `training_state` of the same replicas, however they were packed."""
        self.epochs, self.updates = state["epoch"], state["updates"]
        self.seconds = state["seconds"]
        kept = {Replica(each["seed"], each["lr"]): each for each in state["replicas"]}
        replicas = self.engine.replicas
        self._states_to_restore = [kept[replica]["training"] for replica in replicas]
        for index, replica in enumerate(replicas):
            self.progress[index] = Progress.from_state(kept[replica]["progress"])
            self.engine.restore(index, parts_of(self._states_to_restore[index])[0])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The whole state by replica, in the place of Lightning's by group."""
        checkpoint |= {"population": self.training_state(), "state_dict": {}}
        checkpoint["optimizer_states"] = []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.load_state(checkpoint["population"])

    def on_train_end(self) -> None:
        self.end_training()

    def end_training(self) -> None:
        """A diverged replica has no best epoch: its numbers are those of its last state."""
        for progress in self.progress:
            if progress.diverged() or progress.best_epoch == self.epochs:
                progress.best_state = None
            if progress.diverged():
                progress.best_epoch = None

    def test_step(self, split: str, batch_idx: int) -> None:
        """Every replica on a split, at the last epoch."""
        result = self.engine.evaluate(getattr(self.data, split))
        self.evaluations.setdefault("last", {})[split] = result

    def on_test_epoch_end(self) -> None:
        """Every split at each replica's best epoch."""
        self.evaluations["best"] = self.evaluations["last"]
        if not any(progress.best_state for progress in self.progress):
            return
        last_states = [self.engine.snapshot(index) for index in range(len(self.progress))]
        self._restore([progress.best_state for progress in self.progress])
        with self.trainer.precision_plugin.forward_context():
            self.evaluations["best"] = {
                split: self.engine.evaluate(getattr(self.data, split))
                for split in self.evaluations["last"]
            }
        self._restore(last_states)

    def _restore(self, states: Sequence[State | None]) -> None:
        for index, state in enumerate(states):
            if state is not None:
                self.engine.restore(index, state)

    def last_state(self, index: int) -> State:
        """The parameters and buffers of one replica, by name, on the CPU."""
        return _on_cpu(self.engine.snapshot(index))

    def best_state(self, index: int) -> State | None:
        """Those of its best epoch, once trained; None where that is the last, or there is none."""
        state = self.progress[index].best_state
        return None if state is None else _on_cpu(state)


def _on_cpu(state: State) -> State:
    return {name: torch.as_tensor(value).cpu() for name, value in state.items()}


def rate_means(by_rate: Mapping[float, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Under `learning rates` the mean of every curve over the rows, one a seed, of each rate."""
    return {
        f"{RATES}/{tag.replace('/', ' ')} lr={lr}": mean([row[name] for row in by_rate[lr]])
        for tag, name in CURVES.items()
        for lr in sorted(by_rate)
    }


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; NaN if a value is not finite."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
