"""A population: what diverges, which epoch is best, and what is read when."""

import math
from typing import Any

import pytest
import torch

from study.data import Data, Split
from study.data.batches import Run
from study.training import Replica
from study.training.build import build_population, replicas_of
from study.training.population import Progress
from study.training.runs import Ticks
from tests import tiny


def test_learning_rates_of_a_seed_start_alike_and_seeds_differ() -> None:
    config = tiny.config("seeds=2", "optimizer.lr=[0.01,0.1]")
    states = list(tiny.states(tiny.build(config)))
    assert tiny.equal(states[0], states[1])
    assert tiny.equal(states[2], states[3])
    assert not tiny.equal(states[0], states[2])


@pytest.mark.parametrize(
    ("overrides", "finite"),
    [
        (("optimizer.lr=[0.02,1e+30]",), False),
        (
            ("optimizer.lr=[0.001,1.0]", "loss=squared_error", "model.widths=[]",
             "trainer.max_epochs=3"),
            True,
        ),
    ],
)  # fmt: skip
def test_a_diverged_replica_is_recorded_and_the_others_do_not_notice(
    overrides: tuple[str, ...], finite: bool
) -> None:
    config = tiny.config("seeds=2", *overrides)
    population = tiny.train(config)
    low, high = config.optimizer.lr
    for index, replica in enumerate(replicas_of(config)):
        progress = population.progress[index]
        assert progress.diverged() == (replica.lr == high)
        if replica.lr == low:
            alone = tiny.train(config, replicas=[replica])
            assert tiny.equal(alone.last_state(0), population.last_state(index))
            assert progress.best_epoch is not None
        else:
            assert progress.best_epoch is None
            state = population.last_state(index)
            assert all(bool(value.isfinite().all()) for value in state.values()) == finite
            for split in ("train", "val", "test"):
                best, last = (population.evaluations[when][split] for when in ("best", "last"))
                assert float(best.error[index]) == float(last.error[index])
            if not finite:
                assert float(population.evaluations["last"]["test"].error[index]) == 1.0


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (2.0, 2000.0, False),
        (2.0, math.nextafter(2000.0, math.inf), True),
        (2.0, 0.0, False),
        (2.0, math.inf, True),
        (2.0, math.nan, True),
        (math.inf, 5.0, False),
        (math.inf, math.inf, True),
        (math.nan, math.nan, True),
    ],
)
def test_the_rule_of_divergence_at_its_edges(first: float, last: float, expected: bool) -> None:
    progress = Progress(first_loss=first, curve=[{"train_loss": math.nan}, {"train_loss": last}])
    assert progress.diverged() == expected


def test_a_spike_before_the_last_epoch_is_no_divergence() -> None:
    curve = [{"train_loss": loss} for loss in (math.nan, math.inf, 1e9, 0.5)]
    assert not Progress(first_loss=2.0, curve=curve).diverged()


SCRIPTS = [
    ([(1.0, 0.5), (1.0, 0.3), (1.0, 0.4)], 2),
    ([(1.0, 0.3), (0.5, 0.3), (0.7, 0.3)], 2),
    ([(1.0, 0.3), (1.0, 0.3), (1.0, 0.3)], 1),
    ([(0.1, 0.4), (9.0, 0.3), (0.2, 0.4)], 2),
    ([(math.nan, 0.3), (5.0, 0.3), (math.inf, 0.3)], 2),
    ([(math.nan, 1.0), (math.inf, 1.0), (math.nan, 1.0)], 1),
    ([(3.0, 0.4), (2.0, 0.3), (1.0, 0.2)], 3),
]


@pytest.mark.parametrize(("script", "best"), SCRIPTS)
def test_the_best_epoch_has_the_lowest_error_then_loss_then_comes_first(
    script: list[tuple[float, float]], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.config("trainer.max_epochs=3")
    population = tiny.build(config)
    values = iter([(9.0, 0.0), *script])
    evaluate = population.engine.evaluate

    def scripted(split: Split) -> Any:
        result = evaluate(split)
        if split is tiny.data_of(population).val:
            loss, error = next(values, script[-1])
            result.loss.fill_(loss)
            result.error.fill_(error)
        return result

    monkeypatch.setattr(population.engine, "evaluate", scripted)
    tiny.fit(population, config)
    assert population.progress[0].best_epoch == best


def test_best_and_last_results_are_those_of_their_states() -> None:
    config = tiny.config("seeds=6", "trainer.max_epochs=6", "norm=batch", "optimizer.lr=0.2")
    population = tiny.train(config)
    epochs = [progress.best_epoch for progress in population.progress]
    assert len(set(epochs)) > 1, "the case tests nothing if every replica is best at one epoch"
    for index, progress in enumerate(population.progress):
        shorter = config.changed({"trainer.max_epochs": progress.best_epoch})
        short = tiny.train(shorter, replicas=[Replica(index, 0.2)])
        for split in ("train", "val", "test"):
            best = population.evaluations["best"][split]
            last = short.evaluations["last"][split]
            assert float(best.loss[index]) == float(last.loss[0])
            assert float(best.error[index]) == float(last.error[0])
            assert torch.equal(best.predictions[index], last.predictions[0])
        assert progress.best_epoch is not None
        row = progress.curve[progress.best_epoch]
        assert row["val_loss"] == float(population.evaluations["best"]["val"].loss[index])
        engine = population.engine.evaluate(tiny.data_of(population).test)
        assert float(engine.loss[index]) == float(
            population.evaluations["last"]["test"].loss[index]
        )


def test_bf16_evaluates_the_best_state_and_not_a_cached_one() -> None:
    config = tiny.config("seeds=4", "trainer.max_epochs=6", "trainer.precision=bf16-mixed",
                         "optimizer.lr=0.2")  # fmt: skip
    population = tiny.train(config)
    assert any(progress.best_epoch != 6 for progress in population.progress)
    for index, progress in enumerate(population.progress):
        assert progress.best_epoch is not None
        row = progress.curve[progress.best_epoch]
        assert row["val_loss"] == float(population.evaluations["best"]["val"].loss[index])


def test_the_test_set_is_read_only_after_training(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.config("seeds=2")
    population = tiny.build(config)
    events: list[str] = []
    evaluate, train = population.engine.evaluate, population.engine.train
    names = {id(getattr(tiny.data_of(population), name)): name for name in ("train", "val", "test")}

    def spied_evaluate(split: Split) -> Any:
        events.append(names[id(split)])
        return evaluate(split)

    def spied_train(run: Run, factors: Any) -> None:
        if not run.first:
            events.append("epoch")
        train(run, factors)

    monkeypatch.setattr(population.engine, "evaluate", spied_evaluate)
    monkeypatch.setattr(population.engine, "train", spied_train)
    trainer = tiny.fit(population, config)
    assert events == ["val", "epoch", "val", "epoch", "val"]
    tiny.test(trainer, population, config)
    assert 1 <= events.count("test") <= 2


@pytest.mark.parametrize("engine", ["sequential", "stacked", "auto"])
def test_ticks_count_each_epoch_of_each_replica(engine: str) -> None:
    config = tiny.config("seeds=3", "optimizer.lr=[0.1,0.2]", f"population.engine={engine}")
    population = tiny.build(config)
    ticks: list[float] = []
    tiny.fit(population, config, Ticks(ticks.append))
    assert len(ticks) > 2
    assert sum(ticks) == pytest.approx(3 * 2 * 2)


def test_initialization_on_data_reads_the_training_split_alone() -> None:
    config = tiny.config("init=lsuv")
    data = tiny.data()
    nothing = Split(torch.full_like(data.val.inputs, torch.nan), data.val.labels)
    blind = Data(data.train, nothing, nothing, data.classes, "", data.normalize)
    seen = build_population(config, data, replicas_of(config)).last_state(0)
    assert tiny.equal(seen, build_population(config, blind, replicas_of(config)).last_state(0))
