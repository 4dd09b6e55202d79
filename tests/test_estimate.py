"""What a dry run says of a launch."""

from pathlib import Path

import pytest

from study.__main__ import main
from study.compose import hydra_ready
from study.estimate import _disk, _memory, _network, _span, _step_seconds, _updates
from study.launch import LaunchCell, identify
from study.sweep import plan

TINY = (
    "data.train_size=64",
    "data.val_size=64",
    "data.test_size=64",
    "model.widths=[8]",
    "trainer.max_epochs=1",
    "seeds=1",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
)


def cells(*overrides: str) -> list[LaunchCell]:
    with hydra_ready():
        return identify(plan([*TINY, *overrides], multirun=True).cells)


def cell(*overrides: str) -> LaunchCell:
    (only,) = cells(*overrides)
    return only


def test_updates_grow_with_epochs_and_replicas() -> None:
    one = _updates(cell("batch_size=16"))
    # 4 updates and an evaluation of as many images, a third each; then all splits, twice.
    assert one == pytest.approx(4 + 4 / 3 + 2 * 12 / 3)
    many = _updates(
        cell("batch_size=16", "seeds=3", "optimizer.lr=[0.1,1]", "trainer.max_epochs=5")
    )
    assert many == pytest.approx(6 * (5 * (4 + 4 / 3) + 2 * 12 / 3))


def test_memory_and_disk_grow_with_what_is_kept() -> None:
    small, large = cell(), cell("model.widths=[512]", "seeds=5", "trainer.precision=64-true")
    assert _memory(small) < _memory(large)
    kept = [_disk(cell(f"outputs.weights={keep}", "seeds=2", "optimizer.lr=[0.1,1]"))
            for keep in ("none", "chosen", "all")]  # fmt: skip
    weights = 4 * (784 * 8 + 8 + 8 * 10 + 10)
    assert [kept[1] - kept[0], kept[2] - kept[0]] == [2 * weights, 4 * weights]


def test_a_network_is_measured_once_whatever_its_initialization() -> None:
    swept = cells("init=he_normal,zeros", "norm=none,batch")
    assert len({_network(each) for each in swept}) == 2


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
    assert 0 < _step_seconds(only) < 60


def test_spans_are_read_at_a_glance() -> None:
    assert [_span(seconds) for seconds in (0.4, 89, 600, 7200)] == [
        "0 s",
        "89 s",
        "10 min",
        "2.0 h",
    ]


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
