"""What Lightning's users rely on: loggers, callbacks, checkpoints and Trainers of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger

import study
from study.data.batches import Run
from study.data.module import StudyData
from study.errors import InputError
from study.launch.notebook import population as population_of
from study.training import Population, runs
from study.training.optimizers import clip_norms
from tests import tiny

MODEL = ("seeds=2", "optimizer.lr=[0.02,0.05]", "optimizer.momentum=0.9", "norm=batch",
         "model.dropout=0.2", "input_noise=0.1", "trainer.max_epochs=3")  # fmt: skip
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "precision": "64-true", "enable_progress_bar": False,
    "enable_model_summary": False, "logger": False, "enable_checkpointing": False,
}  # fmt: skip


def both(*overrides: str) -> tuple[Population, StudyData]:
    config = tiny.config(*MODEL, *overrides)
    built = tiny.build(config)
    return built, StudyData(config, tiny.data_of(built))


class Recording(Logger):
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    @property
    def name(self) -> str:
        return "recording"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        assert step is not None
        self.rows.setdefault(step, {}).update(metrics)

    def log_hyperparams(self, *arguments: Any, **keys: Any) -> None:
        pass


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
def test_a_plain_trainer_trains_what_the_command_trains(engine: str) -> None:
    config = tiny.config(*MODEL, f"population.engine={engine}")
    expected = tiny.train(config)
    built, data = both(f"population.engine={engine}")
    trainer = lightning.Trainer(max_epochs=3, **QUIET)
    trainer.fit(built, data)
    trainer.test(built, data, verbose=False)
    for ours, theirs in zip(tiny.states(expected), tiny.states(built), strict=True):
        assert tiny.equal(ours, theirs)
    assert trainer.global_step == built.updates == 3 * (len(data.data.train) // 16)
    assert len(trainer.optimizers) == len(built.engine.groups)
    for split, evaluation in expected.evaluations["best"].items():
        assert torch.equal(evaluation.predictions, built.evaluations["best"][split].predictions)


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
def test_where_runs_end_changes_no_bit(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (f"population.engine={engine}", "probes=full", "probes.steps=[1,2,5]")
    config = tiny.config(*MODEL, *words)
    long = tiny.train(config)
    monkeypatch.setattr(runs, "RUN_SECONDS", 0.0)
    sizes: list[int] = []
    short = tiny.build(config)
    trained = short.engine.train

    def train(run: Run, factors: Sequence[float]) -> None:
        sizes.append(len(run))
        trained(run, factors)

    monkeypatch.setattr(short.engine, "train", train)
    tiny.test(tiny.fit(short, config), short, config)
    assert set(sizes) == {1}
    for first, second in zip(tiny.states(long), tiny.states(short), strict=True):
        assert tiny.equal(first, second)
    for pair in zip(long.progress, short.progress, strict=True):
        rows = [[row | {"seconds": 0} for row in each.curve[1:]] for each in pair]
        assert rows[0] == rows[1]
    assert tiny.probes_of(long).rows == tiny.probes_of(short).rows


def test_a_run_is_as_long_as_two_seconds_and_one_update_before_anything_is_known() -> None:
    built, _ = both()
    assert built.updates_at_once == 1
    built._update_seconds = 0.25
    assert built.updates_at_once == 8
    built._update_seconds = 60.0
    assert built.updates_at_once == 1


def test_every_logger_is_given_the_means_of_each_rate() -> None:
    built, data = both()
    loggers = [Recording(), Recording()]
    trainer = lightning.Trainer(max_epochs=3, **QUIET | {"logger": loggers})
    trainer.fit(built, data)
    assert loggers[0].rows == loggers[1].rows
    assert sorted(loggers[0].rows) == [1, 2, 3]
    for epoch, row in loggers[0].rows.items():
        assert row == pytest.approx(built.rate_means(epoch), rel=1e-6)
        assert set(row) == {
            f"learning rates/{what} {split} lr={lr}"
            for what in ("error", "loss") for split in ("train", "val") for lr in (0.02, 0.05)
        }  # fmt: skip


@pytest.mark.parametrize("other", ["sequential", "stacked"])
def test_a_checkpoint_of_lightnings_is_gone_on_from_however_packed(
    tmp_path: Path, other: str
) -> None:
    expected, data = both("population.engine=stacked")
    lightning.Trainer(max_epochs=3, **QUIET).fit(expected, data)
    first, data = both("population.engine=stacked")
    stopped = lightning.Trainer(max_epochs=1, **QUIET)
    stopped.fit(first, data)
    stopped.save_checkpoint(tmp_path / "one.ckpt")
    second, data = both(f"population.engine={other}")
    resumed = lightning.Trainer(max_epochs=3, **QUIET)
    resumed.fit(second, data, ckpt_path=tmp_path / "one.ckpt", weights_only=False)
    assert (resumed.current_epoch, resumed.global_step) == (3, expected.updates)
    places = {replica: index for index, replica in enumerate(second.engine.replicas)}
    for index, replica in enumerate(expected.engine.replicas):
        mine, own = expected.last_state(index), second.last_state(places[replica])
        for name, value in mine.items():
            torch.testing.assert_close(own[name], value, rtol=1e-9, atol=1e-11)
        curves = [each.progress[place].curve for each, place in
                  ((expected, index), (second, places[replica]))]  # fmt: skip
        assert [row["epoch"] for row in curves[1]] == [0, 1, 2, 3]
        assert curves[1][3]["val_loss"] == pytest.approx(curves[0][3]["val_loss"], rel=1e-9)


def test_training_may_end_early() -> None:
    built, data = both()
    stop = EarlyStopping("learning rates/loss val lr=0.02", patience=0, min_delta=100.0)
    trainer = lightning.Trainer(max_epochs=3, callbacks=[stop], **QUIET)
    trainer.fit(built, data)
    trainer.test(built, data, verbose=False)
    assert [row["epoch"] for row in built.progress[0].curve] == [0, 1, 2]
    assert all(progress.best_epoch in (1, 2) for progress in built.progress)


def test_a_fast_run_and_lightnings_sanity_check_are_no_epochs() -> None:
    built, data = both()
    trainer = lightning.Trainer(fast_dev_run=True, **QUIET)
    trainer.fit(built, data)
    trainer.test(built, data, verbose=False)
    assert built.updates == trainer.global_step == 1
    checked, data = both()
    lightning.Trainer(max_epochs=1, num_sanity_val_steps=2, **QUIET).fit(checked, data)
    assert [row["epoch"] for row in checked.progress[0].curve] == [0, 1]


def test_other_data_are_refused_in_a_line() -> None:
    built, _ = both()
    with pytest.raises(InputError, match="give the Trainer its StudyData"):
        lightning.Trainer(max_epochs=1, **QUIET).fit(built, [0], [0])


def test_the_words_of_the_command_make_a_population(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    words = (*tiny.SMALL, *MODEL, "data=image_folder", f"data.root={root}")
    built, data = study.population(*words)
    assert str(built.engine.replicas[0]) == "seed=0,lr=0.02"
    lightning.Trainer(max_epochs=3, **QUIET).fit(built, data)
    assert built.epochs == 3
    with pytest.raises(InputError, match="pretraining=rbm: `study train` pretrains"):
        population_of(*words, "pretraining=rbm")


def test_a_gradients_norm_is_bounded_as_torch_bounds_it_for_each_replica() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 5), (3, 4)]
    stacked = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    stacked[0][1] *= 1e-3
    stacked[1][1] *= 1e-3
    stacked[0][2, 0, 0] = torch.inf
    expected = []
    for replica in range(2):
        own = [torch.nn.Parameter(torch.zeros_like(each[replica])) for each in stacked]
        for parameter, each in zip(own, stacked, strict=True):
            parameter.grad = each[replica].clone()
        torch.nn.utils.clip_grad_norm_(own, 0.5)
        expected.append([parameter.grad for parameter in own])
    clip_norms([each.flatten(1) for each in stacked], 0.5)
    for replica, gradients in enumerate(expected):
        for each, gradient in zip(stacked, gradients, strict=True):
            torch.testing.assert_close(each[replica], gradient, rtol=3e-6, atol=0)


def test_clipped_replicas_are_the_same_stacked_and_alone_and_a_large_bound_is_none() -> None:
    def trained(*words: str) -> list[dict[str, torch.Tensor]]:
        return list(tiny.states(tiny.train(tiny.config(*MODEL, *words))))

    alone = trained("optimizer.clip_norm=0.1")
    stacked = trained("optimizer.clip_norm=0.1", "population.engine=stacked")
    free, bounded = trained(), trained("optimizer.clip_norm=1000000.0")
    for index, state in enumerate(alone):
        assert tiny.equal(free[index], bounded[index])
        assert not tiny.equal(free[index], state)
    order = [0, 2, 1, 3]  # A stack lies in the order of the rates.
    for place, index in enumerate(order):
        for name, value in alone[index].items():
            torch.testing.assert_close(stacked[place][name], value, rtol=1e-8, atol=1e-10)
