"""Sweeps: the product of the axes, in order, without what is left out."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from study.config import compose, configuration
from study.config.compose import hydra_ready
from study.config.configuration import CONF, levels
from study.config.sweep import Plan, plan
from study.errors import InputError

AXES = ["norm", "activation", "init"]
EXPERIMENT = """\
# @package _global_
# three axes, one of them with a level that carries a key
study: three
seeds: 2
sweep:
  axes:
    norm: [none, batch]
    activation: [sigmoid, leaky_relu slope=0.01]
    init: [he_normal, zeros]
    model: {widths: [[8], 1x9]}
  exclude:
    - {norm: batch, init: zeros}
"""


def planned(*arguments: str, multirun: bool = False) -> Plan:
    with hydra_ready():
        return plan(arguments, multirun=multirun)


def factors(cells: Plan, *names: str) -> list[tuple[object, ...]]:
    return [tuple(cell.factors[name] for name in names) for cell in cells.cells]


def refusal(*arguments: str, multirun: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        planned(*arguments, multirun=multirun)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_sweep_there_is_one_cell() -> None:
    plain = planned("activation=tanh")
    assert factors(plain, "activation") == [("tanh",)]
    assert plain.experiment is None


def test_axes_multiply_in_the_order_of_the_command_line() -> None:
    swept = planned("norm=none,batch", "batch_size=64,32", "model.widths=[8],[9]", multirun=True)
    assert factors(swept, "norm", "batch_size", "model", "model.widths") == [
        (norm, size, "mlp", widths)
        for norm in ("none", "batch")
        for size in (64, 32)
        for widths in ("[8]", "[9]")
    ]


def test_a_key_given_once_stays_in_its_levels_name() -> None:
    swept = planned("model.widths=[8],[9]", "model.dropout=0.5", multirun=True)
    assert factors(swept, "model", "model.widths") == [
        ("mlp dropout=0.5", "[8]"),
        ("mlp dropout=0.5", "[9]"),
    ]
    assert "model.dropout" not in swept.cells[0].factors


def test_a_sweep_needs_m() -> None:
    assert refusal("activation=relu,tanh") == (
        "activation=relu,tanh is a sweep: add -m (study train -m ...)"
    )


def test_equal_cells_come_once() -> None:
    swept = planned("activation=relu,tanh,relu", "batch_size=choice(64)", multirun=True)
    assert factors(swept, "activation") == [("relu",), ("tanh",)]
    named = planned("activation='leaky_relu slope=0.1',leaky_relu", multirun=True)
    assert factors(named, "activation") == [("leaky_relu",)]


def test_cells_that_only_seem_equal_are_refused_and_not_lost() -> None:
    roots = ("data=image_folder", "data.root=a/images,b/images")
    assert "differ in data.root: a/images and b/images" in refusal(*roots, multirun=True)
    rates = "optimizer='sgd lr=0.1','sgd lr=0.2'"
    assert "differ in optimizer.lr: [0.1] and [0.2]" in refusal(rates, multirun=True)


def test_each_optimizer_may_have_its_own_learning_rates() -> None:
    swept = planned("optimizer='sgd lr=[0.1,1]','adam lr=0.01'", multirun=True)
    assert [cell.config.optimizer.lr for cell in swept.cells] == [[0.1, 1.0], [0.01]]
    assert factors(swept, "optimizer") == [("sgd",), ("adam",)]


def axes(*more: str) -> Sequence[str]:
    return ("activation=relu,'leaky_relu slope=0.01',leaky_relu", "norm=none,batch", *more)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("{activation:relu}", 4),
        ("{activation:leaky_relu}", 2),
        ("{activation:'leaky_relu slope=0.01'}", 4),
        ("{activation:[relu,'leaky_relu slope=0.01']}", 2),
        ("{activation:relu,norm:batch}", 5),
        ("{activation:relu},{norm:batch}", 2),
        ("{activation:tanh}", 6),
        ("{batch_size:64}", 6),
        ("{streams.order:null,norm:none}", 3),
        ("{model.widths:[[8]]}", 6),
        ("{model.widths:1x8}", 6),
        ("{model.widths:[1x8,1x9],norm:none}", 6),
    ],
)
def test_combinations_are_left_out_by_file_or_by_full_name(exclude: str, left: int) -> None:
    widths = ["model.widths=[8],[9]"] if "widths" in exclude else []
    swept = planned(*axes(*widths, f"sweep.exclude=[{exclude}]"), multirun=True)
    assert len(swept.cells) == left


def test_depth_times_width_is_the_list_it_stands_for() -> None:
    short = planned("model.widths=3x32,2x64", "model=mlp", multirun=True)
    long = planned("model.widths=[32,32,32],[64,64]", "model=mlp", multirun=True)
    assert [cell.config for cell in short.cells] == [cell.config for cell in long.cells]
    assert factors(short, "model.widths") == [("[32,32,32]",), ("[64,64]",)]
    (one,) = planned("model='mlp widths=2x8'").cells
    assert one.factors["model"] == "mlp widths=[8,8]"


@pytest.mark.parametrize(
    ("exclude", "says"),
    [
        ("{activatoin:relu}", "did you mean 'activation'"),
        ("{activation:rleu}", "did you mean 'relu'"),
        ("{activation:' '}", "unknown activation"),
        ("{seeds:1}", "unknown factor in sweep.exclude 'seeds'"),
        ("{optimizer.lr:0.1}", "unknown factor"),
        ("{norm:[none,batch]}", "leaves out every cell"),
        ("3", "out of range"),
        ("{}", "out of range"),
    ],
)
def test_a_bad_exclusion_is_refused_in_one_line(exclude: str, says: str) -> None:
    assert says in refusal(*axes(f"sweep.exclude=[{exclude}]"), multirun=True)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`experiment=three`, in a copy of the configuration."""
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "experiment" / "three.yaml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.setattr(compose, "CONF", tmp_path / "conf")
    monkeypatch.setattr(configuration, "CONF", tmp_path / "conf")
    levels.cache_clear()
    yield "experiment=three"
    levels.cache_clear()


def test_an_experiment_brings_its_axes_in_their_order_and_its_exclusions(three: str) -> None:
    whole = planned(three)
    assert whole.experiment == "three"
    assert factors(whole, *AXES, "model", "model.widths") == [
        (norm, activation, init, "mlp", f"[{width}]")
        for norm in ("none", "batch")
        for activation in ("sigmoid", "leaky_relu slope=0.01")
        for init in ("he_normal", "zeros")
        for width in (8, 9)
        if (norm, init) != ("batch", "zeros")
    ]
    assert {tuple(cell.config.seeds) for cell in whole.cells} == {(0, 1)}


def test_an_override_replaces_its_axis_alone(three: str) -> None:
    one = planned(three, "activation=tanh", "init=he_normal", "model.widths=[7]", "seeds=1")
    assert factors(one, "norm", "activation", "model", "model.widths") == [
        ("none", "tanh", "mlp", "[7]"),
        ("batch", "tanh", "mlp", "[7]"),
    ]
    assert {tuple(cell.config.seeds) for cell in one.cells} == {(0,)}


def test_a_sweep_beside_an_experiment_replaces_or_adds_an_axis_without_m(three: str) -> None:
    fixed = ("norm=none", "init=zeros", "model.widths=[7]")
    other = planned(three, *fixed, "batch_size=64,32", "activation=gelu,'elu alpha=2.0'")
    assert factors(other, "activation", "batch_size") == [
        (activation, size) for activation in ("gelu", "elu alpha=2.0") for size in (64, 32)
    ]
