"""What trains in runs of updates, and the callbacks that go with it, whatever is trained."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import lightning

RUN_SECONDS = 2.0
"""About as long as a run of updates takes at most: so soon Ctrl-C is answered."""
_SHORTEST_UPDATE = 1e-6


class Batch(Protocol):
    """A run: so many updates of an epoch that has `per_epoch`."""

    @property
    def per_epoch(self) -> int: ...

    def __len__(self) -> int: ...


class TrainsRuns(lightning.LightningModule):
    """A module of which a `training_step` does many updates, under manual optimization.

    `num_trained` networks are trained at the same time, and all have done `updates` so far, in
    `epochs` whole ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs, self.updates = 0, 0
        self._update_seconds: float | None = None

    @property
    def num_trained(self) -> int:
        raise NotImplementedError

    @property
    def updates_at_once(self) -> int:
        """As many as take RUN_SECONDS, as far as the last run tells; one before the first."""
        if self._update_seconds is None:
            return 1
        return max(1, round(RUN_SECONDS / max(self._update_seconds, _SHORTEST_UPDATE)))

    def parts(self, per_epoch: int, ends: Collection[int] = ()) -> Iterator[tuple[int, int]]:
        """An epoch cut into runs, (first, last) each, as long as the module wants by then.

        `ends` are updates of the epoch after which a run ends in any case.
        """
        first = 0
        while first < per_epoch:
            end = min(end for end in (per_epoch, *ends) if end > first)
            last = min(end, first + self.updates_at_once)
            yield first, last
            first = last

    @contextmanager
    def updating(self, count: int) -> Iterator[None]:
        """A block that does so many updates of each network; `trainer.global_step` counts them."""
        began = time.perf_counter()
        yield
        self._update_seconds = (time.perf_counter() - began) / count
        self.updates += count
        # Lightning counts steps of the optimizers that it has wrapped.
        _count_updates(self.trainer, self.updates)


def go_on(trainer: lightning.Trainer, module: TrainsRuns) -> None:
    """Lets a new Trainer count on from the epochs that a module was trained by an earlier one."""
    progress = trainer.fit_loop.epoch_progress
    each: Any
    for each in (progress.total, progress.current):
        each.ready = each.started = each.processed = each.completed = module.epochs
    _count_updates(trainer, module.updates)


def _count_updates(trainer: lightning.Trainer, updates: int) -> None:
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.total.ready = progress.total.completed = updates


class EpochEnds(lightning.Callback):
    """Calls `ended` after each epoch, validated."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.ended = ended

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.ended()


class Ticks(lightning.Callback):
    """Calls `tick` after each run with the epochs that it was, of all networks together."""

    def __init__(self, tick: Callable[[float], None]) -> None:
        self.tick = tick

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.tick(len(batch) / batch.per_epoch * pl_module.num_trained)
