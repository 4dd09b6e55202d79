"""What a dry run says of a launch."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from study.__main__ import main
from study.config.compose import hydra_ready
from study.config.sweep import Cell, plan
from study.data.batches import Run
from study.data.module import data_of
from study.launch import estimate
from study.launch.cells import identify
from study.launch.estimate import (
    _disk,
    _left_to_train,
    _population,
    _pretrainings,
    _updates,
    update_seconds,
)
from study.launch.memory import cell_bytes
from study.training.engine import Engine
from tests.tiny_launch import TINY, cells


def cell(*overrides: str) -> Cell:
    (only,) = cells(*overrides)
    return only


def test_updates_grow_with_epochs_and_replicas() -> None:
    one = _updates(cell("batch_size=16"), 1)
    # 4 updates and an evaluation of as many images, a third each; then all splits, twice.
    assert one == pytest.approx(4 + 4 / 3 + 2 * 12 / 3)
    many = _updates(cell("batch_size=16", "trainer.max_epochs=5"), 6)
    assert many == pytest.approx(6 * (5 * (4 + 4 / 3) + 2 * 12 / 3))


def test_memory_and_disk_grow_with_what_is_kept() -> None:
    small, large = cell(), cell("model.widths=[512]", "seeds=5", "trainer.precision=64-true")
    fewer = cell("model.widths=[512]", "seeds=5", "population.max_replicas=1")
    needs = [cell_bytes(each.config, data_of(each.config)) for each in (small, fewer, large)]
    assert needs == sorted(set(needs))
    kept = [_disk(cell(f"outputs.weights={keep}", "seeds=2", "optimizer.lr=[0.1,1]"))
            for keep in ("none", "chosen", "all")]  # fmt: skip
    weights = 4 * (784 * 8 + 8 + 8 * 10 + 10)
    assert [kept[1] - kept[0], kept[2] - kept[0]] == [4 * weights, 8 * weights]


def test_a_population_is_measured_once_whatever_its_initialization() -> None:
    swept = cells("init=he_normal,zeros", "norm=none,batch")
    assert len({_population(each) for each in swept}) == 2
    assert _population(cell("trainer.max_epochs=9")) == _population(cell())


def test_a_pretraining_that_is_there_or_that_no_replica_needs_costs_nothing(tmp_path: Path) -> None:
    one = cell("pretraining=autoencoder", "activation=sigmoid", "data.normalize=unit", "seeds=3")
    replicas = _left_to_train(tmp_path / "none", one)
    assert [replica.seed for replica in replicas] == [0, 1, 2]
    ((_, seeds),) = _pretrainings(tmp_path, [(one, replicas)])
    assert seeds == {0, 1, 2}
    there = tmp_path / one.pretraining[1]
    there.parent.mkdir(parents=True)
    there.touch()
    ((_, seeds),) = _pretrainings(tmp_path, [(one, replicas[1:])])
    assert seeds == {2}
    assert _pretrainings(tmp_path, [(one, replicas[1:2])]) == []


@pytest.mark.parametrize(
    "overrides",
    [
        "trainer.precision=bf16-mixed",
        "input_noise=0.1",
        "seeds=2",
        "optimizer.lr=[0.1,1]",
        "population.engine=sequential",
        "trainer.threads=2",
        "loss=squared_error",
        "data.crop=2",
    ],
)
def test_what_makes_an_update_slower_is_measured_again(overrides: str) -> None:
    assert _population(cell(overrides)) != _population(cell())


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.dropout=0.5", "norm=batch", "norm.noise=1", "input_noise=0.1"),
        ("model=cnn", "model.channels=[[2],[2]]", "model.head=[4]", "activation=maxout"),
        ("optimizer=adamw", "loss=squared_error", "trainer.precision=64-true", "init=lsuv"),
        ("trainer.precision=bf16-mixed", "batch_size=1"),
        ("activation=prelu", "model.widths=[]", "norm=batch", "norm.evaluation=batch"),
    ],
)
def test_a_step_of_any_network_can_be_measured(overrides: tuple[str, ...]) -> None:
    network = [text for text in TINY if "model=cnn" not in overrides or "widths" not in text]
    with hydra_ready():
        (only,) = identify(plan([*network, *overrides], multirun=False).cells)
    assert 0 < update_seconds(only, 1) < 60


class Watched:
    """Stands in for the engine: counts updates, and notes what surrounds them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[int] = []
        self.updates = 0
        real = estimate.Engine.train

        def train(engine: Engine, run: Run, factors: Sequence[float]) -> None:
            self.groups = [len(group.replicas) for group in engine.groups]
            self.workers = engine.num_workers
            self.threads = torch.get_num_threads()
            self.autocast = torch.is_autocast_enabled("cpu")
            self.updates += len(factors)
            self.factors = set(factors)
            real(engine, run, factors)

        monkeypatch.setattr(estimate.Engine, "train", train)


def test_what_is_measured_is_what_trains_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    before = torch.get_num_threads()
    many = ("seeds=5", "population.engine=sequential", "trainer.precision=bf16-mixed")
    update_seconds(cell("trainer.threads=null", "batch_size=8", *many), 2)
    assert (watched.groups, watched.workers, watched.threads) == ([1, 1], 2, 2)
    assert watched.autocast
    assert watched.factors == {0.0}
    assert watched.updates >= estimate.WARM_UP + estimate.MEASURED_UPDATES
    update_seconds(cell("trainer.threads=1", "seeds=5", "population.max_replicas=3"), 2)
    assert (watched.groups, watched.workers, watched.threads) == ([3], 1, 1)
    assert not watched.autocast
    assert torch.get_num_threads() == before


def test_a_dry_run_lists_the_cells_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--dry-run", "-m", *TINY, f"outputs_dir={tmp_path / 'outputs'}"]
    assert main([*command, "activation=relu,tanh", "norm=none,batch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("4 cells, 4 to train; nothing is written")
    assert [line.split()[0] for line in lines[1:5]] == ["missing"] * 4
    assert [line.split()[0] for line in lines[5:]] == ["time", "memory", "disk"]
    assert list(tmp_path.iterdir()) == []
