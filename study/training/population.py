"""LightningModules that train a whole epoch in one `training_step`: a cell's population is one."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import lightning
import torch
from torch import Tensor

from study.config.configuration import Config
from study.data import Data
from study.outputs.checkpoint import fitting
from study.training.engine import Engine
from study.training.group import NO_PAUSES, Evaluation, Pauses, State, parts_of
from study.training.optimizers import learning_rate_factors
from study.training.settings import Replica, Settings

DIVERGED_FACTOR = 1000.0
"""A last training loss over this many times the loss before training counts as diverged."""

SPLITS = ("train", "val", "test")


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


class Recorder(Protocol):
    """Who measures inside the networks while they are trained (`study.probes.recorder`)."""

    @property
    def rows(self) -> Mapping[Replica, list[dict[str, Any]]]: ...

    @property
    def samples(self) -> Mapping[Replica, dict[tuple[int, int, str], Any]]: ...

    def start(self, engine: Engine) -> None: ...

    def pauses(self, *, first: int, updates: int) -> Pauses: ...

    def watching(self, engine: Engine) -> AbstractContextManager[None]: ...

    def state_of(self, replica: Replica) -> State: ...

    def load_state(self, replica: Replica, state: State) -> None: ...


class WholeEpochs(lightning.LightningModule):
    """Lightning gives it one 'batch' an epoch, and no optimizer: it has its own.

    `epochs_done` were trained by an earlier attempt, so that a Trainer is for the others alone.
    `after_epoch` is called at the end of each, validated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs_done = 0
        self.after_epoch: Callable[[], None] = lambda: None

    @property
    def epoch(self) -> int:
        """The epoch that is being trained, from 0."""
        return self.epochs_done + self.current_epoch

    def on_train_epoch_end(self) -> None:
        self.after_epoch()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Lightning is told of none."""
        return []

    def train_dataloader(self) -> Sequence[int]:
        """One 'batch' an epoch."""
        return [0]

    def val_dataloader(self) -> Sequence[int]:
        return [0]


class Population(WholeEpochs):
    """Trains all replicas of a cell together, one epoch per `training_step`.

    Lightning's loop costs about a millisecond a batch, so a training step runs a whole epoch
    under manual optimization. Losses and errors are summed on the device and read once an epoch.
    Epoch 0 of a curve is the state before training; training epochs count from 1.

    After `trainer.fit` and `trainer.test`, `progress` holds each replica's curve and
    `evaluations` its results on every split, for the best epoch and for the last; `recorder`,
    where there is one, what it measured inside the networks. `alone` says what kept the replicas
    from being stacked, if anything did.
    """

    def __init__(
        self,
        engine: Engine,
        data: Data,
        config: Config,
        recorder: Recorder | None = None,
        *,
        alone: str | None = None,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.networks = engine.networks
        self.progress = [Progress() for _ in engine.replicas]
        self.evaluations: dict[str, dict[str, Evaluation]] = {}
        self.seconds = 0.0
        self.tick: Callable[[int], None] = lambda count: None
        self.recorder = recorder
        self.alone = alone
        self._states_to_restore: list[State] = []
        self._schedule = config.schedule.level
        self._num_epochs = config.trainer.max_epochs
        self._batch = Settings.from_config(config).batch_of(len(data.train.labels))
        self._data = data

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer steps of each replica in one epoch."""
        return len(self._data.train.labels) // self._batch

    def test_dataloader(self) -> Sequence[int]:
        return [0]

    def on_fit_start(self) -> None:
        self.engine.start()
        if self.epochs_done:
            with fitting():
                self.engine.restore_training(self._states_to_restore)
            self._states_to_restore = []
        else:
            self._measure_start()

    def _measure_start(self) -> None:
        """Epoch 0: every replica before training."""
        # Lightning enters the precision's context for its steps alone.
        with self.trainer.precision_plugin.forward_context():
            before = self.engine.evaluate(self._data.val)
        if self.recorder is not None:
            self.recorder.start(self.engine)
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

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One epoch of every replica."""
        started = time.perf_counter()
        updates = self.updates_per_epoch
        factors = learning_rate_factors(
            self._schedule,
            epoch=self.epoch,
            num_epochs=self._num_epochs,
            updates_per_epoch=updates,
        )
        pauses = NO_PAUSES
        if self.recorder is not None:
            pauses = self.recorder.pauses(first=updates * self.epoch, updates=updates)
        sums = self.engine.train_epoch(
            self._data.train,
            epoch=self.epoch,
            factors=factors,
            tick=self.tick,
            pauses=pauses,
        )
        loss, error, first = sums.loss.tolist(), sums.error.tolist(), sums.first_loss.tolist()
        self.seconds += time.perf_counter() - started
        for index, progress in enumerate(self.progress):
            if self.epoch == 0:
                progress.first_loss = first[index]
            row = {"epoch": self.epoch + 1, "seconds": self.seconds}
            progress.curve.append(row | {"train_loss": loss[index], "train_error": error[index]})

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Every replica on the validation split; a new best one is kept."""
        result = self.engine.evaluate(self._data.val)
        for index, progress in enumerate(self.progress):
            loss, error = float(result.loss[index]), float(result.error[index])
            progress.curve[-1] |= {"val_loss": loss, "val_error": error}
            key = (error, loss if math.isfinite(loss) else math.inf)
            if key < progress.best_key or progress.best_epoch is None:
                progress.best_key, progress.best_epoch = key, self.epoch + 1
                progress.best_state = self.engine.snapshot(index)

    def training_state(self) -> dict[str, Any]:
        """All that the epochs after this one depend on, as plain values and tensors."""
        replicas = [
            {
                "seed": replica.seed,
                "lr": replica.lr,
                "progress": dict(vars(self.progress[index])),
                "probes": self.recorder.state_of(replica) if self.recorder else None,
                "training": self.engine.training_state(index),
            }
            for index, replica in enumerate(self.engine.replicas)
        ]
        return {"epoch": self.epoch + 1, "seconds": self.seconds, "replicas": replicas}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `training_state` of the same replicas, however they were packed.

        A Trainer is then for the epochs that are left; without any, `end_training` is due.
        """
        self.epochs_done, self.seconds = state["epoch"], state["seconds"]
        kept = {Replica(each["seed"], each["lr"]): each for each in state["replicas"]}
        replicas = self.engine.replicas
        self._states_to_restore = [kept[replica]["training"] for replica in replicas]
        for index, replica in enumerate(replicas):
            self.progress[index] = Progress.from_state(kept[replica]["progress"])
            self.engine.restore(index, parts_of(self._states_to_restore[index])[0])
            if self.recorder is not None:
                self.recorder.load_state(replica, kept[replica]["probes"])

    def on_train_end(self) -> None:
        self.end_training()

    def end_training(self) -> None:
        """A diverged replica has no best epoch: its numbers are those of its last state."""
        for progress in self.progress:
            if progress.diverged() or progress.best_epoch == self._num_epochs:
                progress.best_state = None
            if progress.diverged():
                progress.best_epoch = None

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """Every split in evaluation mode, at the last epoch and at each replica's best."""
        if self.recorder is None:
            self.evaluations["last"] = self._evaluate()
        else:
            with self.recorder.watching(self.engine):
                train = self.engine.evaluate(self._data.train)
            self.evaluations["last"] = {"train": train, **self._evaluate("val", "test")}
        last_states = [self.engine.snapshot(index) for index in range(len(self.progress))]
        if any(progress.best_state for progress in self.progress):
            self._restore([progress.best_state for progress in self.progress])
            self.evaluations["best"] = self._evaluate()
            self._restore(last_states)
        else:
            self.evaluations["best"] = self.evaluations["last"]

    def _restore(self, states: Sequence[State | None]) -> None:
        for index, state in enumerate(states):
            if state is not None:
                self.engine.restore(index, state)

    def _evaluate(self, *names: str) -> dict[str, Evaluation]:
        """Every replica on the splits of these names."""
        splits = {name: getattr(self._data, name) for name in names or SPLITS}
        return {name: self.engine.evaluate(split) for name, split in splits.items()}

    def last_state(self, index: int) -> State:
        """The parameters and buffers of one replica, by name, on the CPU."""
        return _on_cpu(self.engine.snapshot(index))

    def best_state(self, index: int) -> State | None:
        """Those of its best epoch, once trained; None where that is the last, or there is none."""
        state = self.progress[index].best_state
        return None if state is None else _on_cpu(state)


def _on_cpu(state: State) -> State:
    return {name: torch.as_tensor(value).cpu() for name, value in state.items()}
