"""One layer of every seed, pretrained together as one LightningModule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from study.population.epochs import WholeEpochs
from study.population.workers import on_workers
from study.pretraining.trainee import Labelled, Trainee

Row = dict[str, float]


@dataclass(frozen=True)
class Fed:
    """What a layer of one seed is fed: all training inputs, some of them to measure on, validation.

    Each is (inputs [N, ...], labels [N]).
    """

    train: Labelled
    measured: Labelled
    val: Labelled

    def through(self, layer: Callable[[Tensor], Tensor]) -> "Fed":
        """What the next layer is fed."""
        train, measured, val = (
            (layer(inputs), labels) for inputs, labels in (self.train, self.measured, self.val)
        )
        return Fed(train, measured, val)


class LayerPhase(WholeEpochs):
    """Trains one layer of every seed, an epoch per `training_step`, on the machine's workers.

    After `trainer.fit`, `curves` holds for each seed a row per epoch: `epoch` from 1, the running
    mean `loss`, and the trainee's monitors. `report` is called with each epoch and the mean of its
    rows over seeds, `tick` with 1 after an epoch of one seed.
    """

    def __init__(
        self,
        trainees: Mapping[int, Trainee],
        fed: Mapping[int, Fed],
        *,
        num_workers: int,
        report: Callable[[int, Row], None],
        tick: Callable[[int], None],
    ) -> None:
        super().__init__()
        self.trainees, self.fed, self.num_workers = trainees, fed, num_workers
        self.report, self.tick = report, tick
        self.seeds = list(trainees)
        self.curves: dict[int, list[Row]] = {seed: [] for seed in self.seeds}

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One epoch of the layer of every seed."""
        epoch = self.epoch

        def train(seed: int) -> float:
            inputs, labels = self.fed[seed].train
            trainee = self.trainees[seed]
            loss = trainee.train_epoch(inputs, labels, epoch=epoch, tick=lambda: None)
            self.tick(1)
            return loss

        losses = on_workers(train, self.seeds, self.num_workers)
        for seed, loss in zip(self.seeds, losses, strict=True):
            self.curves[seed].append({"epoch": epoch + 1, "loss": loss})

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """The monitors of every seed."""
        epoch = self.epoch

        def measure(seed: int) -> Row:
            fed = self.fed[seed]
            return self.trainees[seed].measure(fed.measured, fed.val, epoch=epoch)

        monitors = on_workers(measure, self.seeds, self.num_workers)
        for seed, row in zip(self.seeds, monitors, strict=True):
            self.curves[seed][-1] |= row
        self._report(epoch)

    def _report(self, epoch: int) -> None:
        rows = [self.curves[seed][epoch] for seed in self.seeds]
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        self.report(epoch + 1, means)

    def training_state(self) -> dict[str, Any]:
        """All that the layer has come to after as many epochs as its curves have, for `take_up`."""
        return {
            "curves": {str(seed): rows for seed, rows in self.curves.items()},
            "trainees": {str(seed): each.state_dict() for seed, each in self.trainees.items()},
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `training_state` of the same seeds; reports its epochs."""
        for seed in self.seeds:
            self.trainees[seed].load_state_dict(state["trainees"][str(seed)])
            self.curves[seed] = list(state["curves"][str(seed)])
        self.epochs_done = len(self.curves[self.seeds[0]])
        for epoch in range(self.epochs_done):
            self._report(epoch)
