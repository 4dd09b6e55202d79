"""What a cell trains, in parts, from wherever an earlier attempt left it."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from study.config.configuration import Config
from study.config.labels import counted
from study.data import Data
from study.data.module import StudyData
from study.errors import InputError
from study.files import finite
from study.outputs.checkpoint import Checkpoint, Checkpoints, fitting, tensors_sha256
from study.outputs.results import ReplicaResult, TrainedReplica, choose_lr
from study.probes.recorder import Recorder, recorder_of
from study.tensorboard.curves import ReplicaCurves
from study.tensorboard.loggers import make_loggers
from study.tensorboard.writer import CellWriter
from study.training import Population, Replica
from study.training.build import Populations, build_population, replicas_of, sizes
from study.training.pretraining.stage import StartingWeights, with_equal_budget
from study.training.products import described
from study.training.runs import EpochEnds, Ticks, go_on
from study.training.trainer import PROFILERS, make_trainer, own_callbacks

_log = logging.getLogger(__name__)


def needs_weights(config: Config) -> bool:
    """Whether the weights at the chosen learning rate are kept, or compared pair by pair."""
    return bool(config.outputs.weights != "none" or config.pairs.points)


class Attempt:
    """Trains the replicas of a cell that no record holds, `population.max_replicas` at a time.

    `results` begins with the copied ones. Where an epoch ends a checkpoint is offered, of all that
    was trained and of the population that is; from one the attempt goes on with the same copies.
    `populations` names the replicas that were trained side by side, in the groups that were trained
    as one; `recorded` are those of a cell that is trained again: they are trained like that,
    whatever the stated rule says, and copied replicas stay as they were copied. `resumed` has an
    entry for each checkpoint that was resumed: its epoch, and the `environment` it came from.
    `products` is the library that multiplies: the first population's is that of all.
    """

    def __init__(
        self,
        config: Config,
        data: Data,
        starts: StartingWeights,
        *,
        copied: Sequence[TrainedReplica],
        checkpoints: Checkpoints,
        environment: Mapping[str, Any],
        tick: Callable[[float], None],
        recorded: Populations = (),
    ) -> None:
        self.config, self.data, self.starts, self.recorded = config, data, starts, recorded
        self.checkpoints, self.environment, self.tick = checkpoints, environment, tick
        self.results = {Replica(each.seed, each.lr): each for each in copied}
        self.populations: list[list[list[str]]] = []
        self.alone: str | None = None
        self.products: str | None = None
        self.resumed: list[dict[str, Any]] = []
        self.callbacks = own_callbacks(config)
        self._unfinished: Mapping[str, Any] | None = None
        self._earlier_seconds = 0.0
        self._started = time.perf_counter()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Goes on from there: with what is done, and with what is not if it is the next part.

        `UnfitCheckpoint` if it is not made as this version's are; so may `finish`.
        """
        with fitting():
            state = checkpoint.state
            results = [TrainedReplica.of(each) for each in state["results"]]
            self.results = {Replica(each.seed, each.lr): each for each in results}
            self.populations, self._earlier_seconds = state["populations"], state["seconds"]
            self.products = state["products"]
            for name, kept in state.get("callbacks", {}).items():
                self.callbacks[name].load_state_dict(kept)
            entry = {"epoch": checkpoint.record["epoch"], **checkpoint.record["made"]}
            self.resumed = [*state["resumed"], entry]
            begun = {Replica(each["seed"], each["lr"]) for each in state["population"]["replicas"]}
            if begun == set(self._next_part()):
                self._unfinished = state
                return
        _log.warning(
            "%s is of %s at once, which population.max_replicas has changed: they start over",
            self.checkpoints.path,
            counted(len(begun), "replica"),
        )

    @property
    def seconds(self) -> float:
        """Time that the cell has taken so far, pretraining apart."""
        now = time.perf_counter()
        return self._earlier_seconds + now - self._started - self.starts.elapsed

    @property
    def packing(self) -> list[int]:
        """The sizes of the groups that were trained as one."""
        return sizes(self.populations)

    @property
    def is_whole(self) -> bool:
        """Whether all replicas of the cell train together, from the first epoch to the last."""
        return not self.results and len(self._next_part()) == len(replicas_of(self.config))

    def finish(self, writer: CellWriter | None = None) -> list[TrainedReplica]:
        """Trains what is left; the results of all replicas, by seed and learning rate.

        `writer` draws the curves of each learning rate, where all replicas train together.
        """
        while part := self._next_part():
            self._train(part, writer)
        return [self.results[replica] for replica in sorted(self.results)]

    def _next_part(self) -> list[Replica]:
        """The replicas to train next.

        A copied replica whose predictions or weights were not kept is trained again if its
        learning rate turns out to be the chosen one.
        """
        if groups := self._next_groups():
            return [replica for group in groups for replica in group]
        keep = self.config.outputs.weights
        as_copied = bool(self.recorded)  # All that its record does not train came from another.
        wanted = [
            replica
            for replica in replicas_of(self.config)
            if replica not in self.results
            or (keep == "all" and not as_copied and self.results[replica].lacks_weights)
        ]
        if not wanted and not as_copied:
            chosen = choose_lr([result.entry for result in self.results.values()])
            needed = needs_weights(self.config)
            wanted = [
                replica
                for replica, result in self.results.items()
                if replica.lr == chosen
                and (
                    result.predictions is None
                    or (needed and result.weights is None)
                    or (keep != "none" and result.lacks_weights)
                )
            ]
        return wanted[: self.config.population.max_replicas]

    def _next_groups(self) -> Sequence[Sequence[Replica]]:
        """The groups of the next population that was asked for; empty after the last."""
        return next(iter(self.recorded[len(self.populations) :]), ())

    def _train(self, part: Sequence[Replica], writer: CellWriter | None) -> None:
        """Trains one population and reads the test set, once."""
        config = with_equal_budget(self.config, self.data)
        if self.products and config.population.products == "auto":
            config = config.changed({"population.products": self.products})
        seeds = dict.fromkeys(replica.seed for replica in part)
        with _interruptible():
            starts = self.starts.of(seeds)
            population = build_population(config, self.data, part, starts, self._next_groups())
            self.alone, self.products = population.alone, population.engine.products
            probes = recorder_of(config, self.data)
            if self._unfinished is not None:
                unfinished, self._unfinished = self._unfinished, None
                with fitting():
                    population.load_state(unfinished["population"])
                    if probes is not None:
                        probes.load_state_dict(unfinished["probes"])
            callbacks = [*self.callbacks.values(), *([probes] if probes is not None else [])]
            if writer is not None and config.outputs.tensorboard == "replicas":
                callbacks.append(ReplicaCurves(writer))
            directory = self.checkpoints.path.parent
            loggers = make_loggers(config, directory, writer) if self.is_whole else []
            kind = config.trainer.profiler
            profiler = PROFILERS[kind]() if kind else None
            state = partial(self._state, population, probes)
            offers = EpochEnds(partial(self.checkpoints.offer, state))
            trainer = make_trainer(
                config,
                max_epochs=config.trainer.max_epochs,
                callbacks=[*callbacks, offers, Ticks(self.tick)],
                loggers=loggers,
                profiler=profiler,
            )
            go_on(trainer, population)
            data = StudyData(config, self.data)
            if population.epochs < config.trainer.max_epochs:
                trainer.fit(population, datamodule=data)
                if population.epochs < config.trainer.max_epochs:
                    raise InputError(
                        f"a callback stopped training after {counted(population.epochs, 'epoch')}: "
                        "no cell stops early; write trainer.max_epochs=N"
                    )
            else:
                population.end_training()
            trainer.test(population, datamodule=data, verbose=False)
        if profiler is not None:
            print(profiler.summary(), flush=True)
        keep_best = config.outputs.weights != "none"
        for index, replica in enumerate(population.engine.replicas):
            result = _result(population, index, replica, keep_best=keep_best)
            if probes is not None:
                rows, samples = probes.rows[replica], probes.samples[replica]
                result = replace(result, probes=rows, samples=samples)
            self.results[replica] = result
        self.populations.append(_names(population))

    def _state(
        self, population: Population, probes: Recorder | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A checkpoint's record and state."""
        packing = sizes([*self.populations, _names(population)])
        own = {"packing": packing, "products": described(population.engine.products)}
        record = {"epoch": population.epochs, "made": {**self.environment, **own}}
        state = {
            "products": population.engine.products,
            "results": [result.state() for result in self.results.values()],
            "populations": self.populations,
            "population": population.training_state(),
            "probes": probes.state_dict() if probes is not None else None,
            "seconds": self.seconds,
            "resumed": self.resumed,
        }
        if self.callbacks:
            kept = {name: callback.state_dict() for name, callback in self.callbacks.items()}
            state["callbacks"] = kept
        return record, state


def _names(population: Population) -> list[list[str]]:
    return [[str(replica) for replica in group.replicas] for group in population.engine.groups]


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Passes Ctrl-C on: Lightning makes it an exit, and has later ones ignored.

    Any other exit, as one that a launcher asks of its workers, stays what it is.
    """
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None


def _result(
    population: Population, index: int, replica: Replica, *, keep_best: bool
) -> TrainedReplica:
    """One replica's entry of result.json, its curve, predictions and weights."""
    progress, weights = population.progress[index], population.last_state(index)
    best = population.best_state(index)
    numbers: dict[str, Any] = {}
    for prefix, when in (("", "best"), ("last_", "last")):
        for split, evaluation in population.evaluations[when].items():
            numbers[f"{prefix}{split}_loss"] = finite(float(evaluation.loss[index]))
            numbers[f"{prefix}{split}_error"] = finite(float(evaluation.error[index]))
    entry = ReplicaResult(
        seed=replica.seed,
        lr=replica.lr,
        status="diverged" if progress.diverged() else "trained",
        best_epoch=progress.best_epoch,
        weights_sha256=tensors_sha256(weights),
        best_weights_sha256=tensors_sha256(best or weights),
        symmetry_broken=population.engine.broken_symmetry(index),
        **numbers,
    )
    predictions = population.evaluations["best"]["test"].predictions[index].cpu().numpy()
    return TrainedReplica(
        entry,
        progress.curve,
        predictions,
        weights,
        best_weights=best if keep_best else None,
    )
