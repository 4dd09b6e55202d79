"""Assembled cells against the oracle: what Hydra composes of the same overrides, whole."""

import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from study.config import compose, configuration
from study.config import compose as assemble
from study.config.compose import Assembler, compose_cell, hydra_ready
from study.config.configuration import CONF
from study.config.sweep import plan
from study.errors import InputError

AXES = {
    "activation": ["relu", "'leaky_relu slope=0.01'", "leaky_relu", "maxout", "'elu alpha=2.0'"],
    "init": ["zeros", "'orthogonal gain=auto'", "he_normal", "'normal std=0.1'", "lsuv"],
    "norm": ["none", "batch", "'batch position=after'", "'batch momentum=0.5 noise=0.1'"],
    "model": ["mlp", "'mlp dropout=0.5'"],
    "model.widths": ["[8]", "[8,8]", "[]", "[16,8]"],
    "optimizer": ["sgd", "adam", "'sgd lr=[0.1,1]'", "'adam lr=0.01'"],
    "optimizer.weight_decay": ["0.0", "1e-3"],
    "schedule": ["constant", "cosine", "'step factor=0.5'"],
    "data.normalize": ["unit", "none"],
    "data.train_size": ["100", "null"],
    "batch_size": ["16", "32"],
    "input_noise": ["0", "0.5"],
    "streams.order": ["null", "3"],
    "trainer.max_epochs": ["1", "2"],
    "trainer": ["default"],
}
FIXED = (
    "seeds=[3,1]",
    "+batch_size=8",
    "trainer.threads=1",
    "data.flip=true",
    "model.dropout=0.25",
    "optimizer.lr=[0.01,0.1]",
    "norm=batch",
    "study='a name'",
)


def check_against_hydra(arguments: Sequence[str]) -> int:
    """Plans, and compares cells with their direct composition; returns how many there are.

    The first, the last and two that are drawn at random.
    """
    with hydra_ready():
        cells = plan(arguments, multirun=True).cells
        drawn = random.Random(0).sample(cells, min(len(cells), 2))
        for cell in (cells[0], *drawn, cells[-1]):
            whole = compose_cell(cell.overrides)
            assert cell.config == whole.config
            assert list(cell.config.mapping) == list(whole.config.mapping)
            assert cell.choices == whole.choices
    return len(cells)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_cells_of_any_sweep_are_what_hydra_composes(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(list(AXES)), max_size=3, unique=True))
    swept = []
    for name in names:
        values = data.draw(
            st.lists(st.sampled_from(AXES[name]), min_size=1, max_size=2, unique=True)
        )
        swept.append(f"{name}={','.join(values)}")
    fixed = data.draw(st.lists(st.sampled_from(FIXED), max_size=3, unique=True))
    free = [text for text in fixed if text.partition("=")[0].lstrip("+") not in names]
    try:
        num_cells = check_against_hydra([*free, *swept])
    except InputError as error:
        refused = str(error)
        event(next(why for why in ("same factors", "has no key") if why in refused))
    else:
        assert num_cells >= 1


def composed_times(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> int:
    """How often Hydra is asked for the cells of a sweep, which equal the oracle."""
    calls = []
    real = compose.compose_raw

    def counted(overrides: Sequence[str]) -> compose.Raw:
        calls.append(overrides)
        return real(overrides)

    with monkeypatch.context() as patched:
        patched.setattr(compose, "compose_raw", counted)
        patched.setattr(assemble, "compose_raw", counted)
        with hydra_ready():
            plan(arguments, multirun=True)
    check_against_hydra(arguments)
    return len(calls)


def test_hydra_is_asked_for_a_sum_and_not_for_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ["activation=relu,tanh,elu", "norm=none,batch", "batch_size=1,2,3"]
    assert composed_times(monkeypatch, sweep) == 1 + 3 + 2 + 3
    within = ["model=mlp,'mlp dropout=0.5'", "model.widths=[8],[9]", "norm=none,batch"]
    assert composed_times(monkeypatch, within) == 1 + 4 + 2
    assert composed_times(monkeypatch, ["activation=tanh"]) == 1


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the configuration files, to be written into."""
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(compose, "CONF", tmp_path / "conf")
    monkeypatch.setattr(configuration, "CONF", tmp_path / "conf")
    caches = [each for each in vars(configuration).values() if hasattr(each, "cache_clear")]
    for cached in caches:
        cached.cache_clear()
    yield tmp_path / "conf"
    for cached in caches:
        cached.cache_clear()


def write(conf: Path, file: str, text: str) -> None:
    (conf / f"{file}.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "data: {train_size: '${batch_size}'}",
        "batch_size: ${data.train_size}\ndata: {train_size: 64}",
        "defaults: [{override /init: 'init_${norm}'}]",
        "defaults: [extra_relu, override /init: zeros]",
    ],
)
def test_an_experiment_that_ties_groups_together_is_composed_cell_by_cell(
    conf: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write(conf, "experiment/x", f"# @package _global_\n{text}\n")
    write(conf, "experiment/extra_relu", "# @package _global_\nbatch_size: 7\n")
    for norm, init in (("none", "zeros"), ("batch", "he_normal")):
        shutil.copy(conf / f"init/{init}.yaml", conf / f"init/init_{norm}.yaml")
    sweep = ["experiment=x", "norm=none,batch", "activation=relu,tanh", "data.train_size=8,9"]
    assert composed_times(monkeypatch, sweep) > 8


def test_an_override_that_ties_groups_together_is_composed_cell_by_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tied = ["input_noise=${model.dropout}", "model.dropout=0.5,0.25", "norm=none,batch"]
    assert composed_times(monkeypatch, tied) > 4
    swept = ["input_noise=${model.dropout},3", "model.dropout=0.5,0.25", "norm=none,batch"]
    assert composed_times(monkeypatch, swept) > 4


def test_a_level_that_brings_other_files_is_composed_whole(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = (conf / "trainer/default.yaml").read_text(encoding="utf-8")
    write(conf, "trainer/long", f"defaults: [_self_, short]\n{default}")
    write(conf, "trainer/short", "max_epochs: 1\n")
    sweep = ["trainer=default,long", "norm=none,batch", "activation=tanh,relu"]
    assert composed_times(monkeypatch, sweep) > 4


@pytest.mark.parametrize(
    ("group", "text", "kept"),
    [
        ("norm", "name: none", True),
        ("norm", "# @package _global_\nname: none", False),
        ("norm", "defaults: [other]\nname: none", False),
        ("experiment", "# @package _global_\nstudy: x", True),
        ("experiment", "defaults: [_self_, override /init: zeros]", True),
        ("experiment", "defaults: [override /init: null]", True),
        ("experiment", "defaults: [other]", False),
        ("experiment", "defaults: [{override /init: '${norm}'}]", False),
        ("experiment", "defaults: [/norm@model: batch]", False),
        ("experiment", "", True),
        ("experiment", "defaults: null", True),
    ],
)
def test_what_a_file_may_reach(group: str, text: str, kept: bool) -> None:
    assert assemble._keeps_to_itself(group, text) is kept


def test_a_bad_value_is_refused_as_hydra_refuses_it() -> None:
    for bad in ("norm.noise=0,1", "model.widths=[8],{a:1}", "activation.slope=1,2"):
        with hydra_ready():
            assembler = Assembler(())
            overrides = (bad.split(",")[0].partition("=")[0] + "=" + bad.split(",")[-1],)
            with pytest.raises(InputError) as whole:
                compose_cell(overrides)
            with pytest.raises(InputError) as part:
                assembler.cell({bad.partition("=")[0]: overrides, "batch_size": ("batch_size=3",)})
        assert str(part.value) == str(whole.value)
