"""Composition: every file composes, and what Hydra says becomes one line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from study.config import compose
from study.config.compose import (
    Composed,
    axis_of,
    compose_cell,
    hydra_ready,
    parse_overrides,
    settings,
)
from study.config.configuration import CONF, check, levels
from study.config.keys import GROUPS
from study.errors import InputError

LEVELS = [(group, level) for group in (*GROUPS, "trainer") for level in levels(group)]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with hydra_ready():
        yield


def refusal(overrides: Sequence[str]) -> str:
    with pytest.raises(InputError) as caught:
        compose_cell([text for axis in parse_overrides(overrides) for text in axis.values[0]])
    message = str(caught.value)
    assert "\n" not in message
    return message


def composed(*overrides: str) -> Composed:
    return compose_cell([text for axis in parse_overrides(overrides) for text in axis.values[0]])


@pytest.mark.parametrize(("group", "level"), LEVELS)
def test_every_level_composes_and_is_canonical(group: str, level: str) -> None:
    cell = composed(f"{group}={level}")
    assert check(cell.config.mapping) == cell.config
    if group in GROUPS:
        assert cell.choices[group] == level


@pytest.mark.parametrize("name", [path.relative_to(CONF) for path in CONF.rglob("*.yaml")], ids=str)
def test_every_file_begins_with_a_description(name: Path) -> None:
    lines = (CONF / name).read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if "@package" not in line)
    assert first.startswith("# ")
    assert 10 < len(first) <= 100


def test_a_level_carries_its_keys_in_its_name() -> None:
    (axis,) = parse_overrides(["activation=relu,'leaky_relu slope=0.01'"])
    assert axis.values == (("activation=relu",), ("activation=leaky_relu", "activation.slope=0.01"))
    assert settings("activation", "leaky_relu slope=0.01") == axis.values[1]
    assert axis_of("activation", ["relu", "leaky_relu slope=0.01"]) == axis
    cell = compose_cell(axis.values[1])
    assert cell.config.activation.level == {"name": "leaky_relu", "slope": 0.01}


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("batch_size=range(1,4)", ["1", "2", "3"]),
        ("batch_size=choice(32,64)", ["32", "64"]),
        ("model.widths=[8],[8,8]", ["[8]", "[8,8]"]),
        ("activation=glob(*tanh,exclude=hard*)", ["lecun_tanh", "tanh"]),
        ("activation=glob(*)", list(levels("activation"))),
        ("activation=sort(tanh,relu)", ["relu", "tanh"]),
        ("+batch_size=3", ["3"]),
        ("study='a name'", ["'a name'"]),
    ],
)
def test_sweeps_are_spelled_out(override: str, values: list[str]) -> None:
    (axis,) = parse_overrides([override])
    assert axis.values == tuple((f"{axis.name}={value}",) for value in values)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["activation=relu", "activation.slope=0.1"], "activation=relu has no key 'slope'"),
        (["norm.position=after"], "levels of norm that have it: batch"),
        (["init.gain=auto"], "init=he_normal carries its own gain (sqrt 2): leave init.gain out"),
        (["init=zeros", "init.gain=2"], "init=zeros has no key 'gain'; levels of init that have"),
        (["experiment=activations", "norm.noise=1"], "norm=none has no key 'noise'"),
        (["hydra.launcher.n_jobs=foo", "hydra/launcher=joblib"], "converted to Integer"),
        (["model.widths={a:1}"], "it takes a list"),
        (["batch_size={}"], "batch_size={} is out of range: it takes a whole number"),
        (["model.dropout={a:{}}"], "unknown key 'model.dropout.a'"),
        ([f"loss={60 * '['}{60 * ']'}"], "it is nested more than 50 deep"),
        ([f"loss={150 * '{a:'}1{150 * '}'}"], "it is nested more than 50 deep"),
        ([f"activation='leaky_relu slope={300 * '['}{300 * ']'}'"], "more than 50 deep"),
        (["activation='leaky_relu slope=\ufeff'"], "cannot read 'activation.slope=\\ufeff'"),
        (["loss=${mine:1}"], "${mine:...}: nothing has registered it; write a value, ${KEY} for"),
        (["study=${now:%Y}"], "${now:...}: a cell is found again by its values"),
        (["study=${hydra:job.num}"], "${hydra:...}: a cell is composed before Hydra has a job"),
        (["trainer=gpu"], "trainer=gpu: write trainer.accelerator=cuda"),
        (["hydra/sweeper=optuna"], "no sweeper is used: list the values"),
        (["loss=${nothing}"], "loss: Interpolation key 'nothing' not found"),
        (["study=???"], "study"),
        (["hydra/launcher=null"], "hydra/launcher=null: it takes the name of a launcher, as "),
        (["hydra/launcher=[joblib]"], "hydra/launcher=[joblib]: it takes the name"),
        (["hydra/launcher='../joblib'"], "hydra/launcher='../joblib': it takes the name"),
        (["hydra/launcher=3"], "hydra/launcher=3: it takes the name"),
        (["hydra/launcher=nowhere"], "unknown launcher 'nowhere'; choose from: machine, "),
        (["hydra/launcher=machin"], "unknown launcher 'machin' (did you mean 'machine'?)"),
        (["hydra/launcher=joblib_no"], "hydra/launcher=joblib_no is not installed"),
        ([f"hydra/launcher={'a' * 5000}"], "it takes the name of a launcher, as machine, "),
        (["activation='leaky_relu slope=1 slope=2'"], "it has slope=1 and slope=2; leave one"),
        (["hydra.launcher.no=3", "hydra/launcher=machine"], "no key hydra.launcher.no"),
        (["sweep.axes.activation=[relu]"], "for an experiment's file"),
        (["activation.name=tanh"], "activation.name comes with its level"),
        (["activation='leaky_relu slop=0.1'"], "did you mean 'activation.slope'?"),
        (["activation='leaky_relu slope'"], "slope=VALUE"),
        (["activation='leaky_relu name=tanh'"], "comes with its level"),
        (["activation=leaky_relu slope=0.1"], "\"activation='leaky_relu slope=0.1'\""),
        (["activation@model=relu"], "cannot read"),
        (["activation="], "unknown activation ''"),
        (["~norm"], "never removed"),
        (["batch_size=interval(1,3)"], "list the values"),
        (["batch_size=range(3,1)"], "it has no value"),
        (["batch_size=range(1,3,0)"], "cannot"),
        (["batch_size=range(1,100000000)"], "more than 10000 values"),
        (["activation=glob(nothing)"], "it has no value"),
        (["study=a,b"], "study takes one value for all cells"),
        (["trainer.threads=1,2"], "takes one value for all cells"),
        (["experiment=a,b"], "takes one value for all cells"),
        (["batch_size=" + "1" * 5000], "cannot read"),
    ],
)
def test_what_hydra_would_say_on_a_page_is_one_line(overrides: list[str], says: str) -> None:
    assert says in refusal(overrides)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("activation", "relu", "a list of values"),
        ("activation", [], "a list of values"),
        ("activation", ["rleu"], "did you mean 'relu'"),
        ("activation", [None], "unknown activation"),
        ("activatoin", ["relu"], "did you mean activation"),
        ("seeds", [1, 2], "set seeds instead"),
        ("optimizer.lr", [0.1], "set optimizer.lr instead"),
        ("study", ["a", "b"], "one value for all cells"),
        ("activation.name", ["relu"], "comes with its level"),
    ],
)
def test_a_bad_axis_of_an_experiment_is_one_line(name: str, values: object, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        axis_of(name, values)
    assert "\n" not in str(caught.value)


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration directory in which an experiment can be written."""
    import shutil

    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(compose, "CONF", tmp_path / "conf")
    with hydra_ready():
        yield tmp_path / "conf" / "experiment"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sweep: {axes: 3}", "sweep"),
        ("sweep: {axes: [relu]}", "experiment/bad"),
        ("sweep: null", "sweep"),
        ("sweep: {exclude: 3}", "it takes a list"),
        ("activation: {name: tanh}", "choose the level by activation=tanh"),
        ("optimizer: null", "optimizer"),
        ("optimizer: {lr: 0.1", "bad.yaml"),
        ("batch_sise: 3", "batch_sise"),
        ("batch_size: many", "batch_size=many is out of range"),
        ("activation: {slope: 0.1}", "slope"),
        ("defaults: [{override /activation: rleu}]", "rleu"),
        ("- a list", "experiment/bad"),
        ("just text", "just text"),
    ],
)
def test_a_bad_experiment_file_is_one_line(experiments: Path, text: str, says: str) -> None:
    (experiments / "bad.yaml").write_text(f"# @package _global_\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        compose_cell(["experiment=bad"])
    assert says in str(caught.value)
    assert len(" ".join(str(caught.value).splitlines())) < 400


OWN_FILES: list[tuple[str, str]] = [
    ("defaults: [/experiment: quickstart]", "it goes on from another by the entry `- NAME`"),
    ("defaults: [/model: cnn]", "To override a value use 'override model: cnn'"),
    ("defaults: [model: cnn]", "write `override /model: cnn`"),
    ("defaults: [/model/cnn]", "choose the level by model=cnn"),
    ("defaults: [/activation@norm: relu]", "unknown norm.name 'relu'"),
    ("defaults: [override /activation@mine: relu]", "Could not override 'activation@mine'"),
    ("defaults: [override /activation: [relu, tanh]]", "several are a sweep, of sweep.axes.activ"),
    ("defaults: [override /activation: null]", "activation takes one level"),
    ("defaults: [override /trainer: gpu]", "write trainer.accelerator=cuda"),
    ("defaults: [override /callbacks: default]", "Could not override 'callbacks': "),
    ("defaults: [override /mine: default]", "no file of conf/ has such a group"),
    ("defaults: [override /hydra/sweeper: optuna]", "no sweeper is used"),
    ("defaults: [override /hydra/launcher: machine]", "write it on the command line, as hydra/l"),
    ("hydra: {sweep: {dir: runs}}", "hydra.sweep.dir in a file has no effect here: directories"),
    ("hydra: {sweeper: {params: {activation: relu}}}", "hydra.sweeper.params.activation in a file"),
    ("hydra: {mode: MULTIRUN}", "hydra.mode in a file has no effect here: write -m"),
    ("hydra: {launcher: {n_jobs: 3}}", "Key 'n_jobs' not in 'BasicLauncherConf'"),
    ("hydra: {searchpath: ['file:///tmp']}", "only supported from the primary config"),
    ("study: '${mine:1}'", "${mine:...}: nothing has registered it"),
    ("study: '${now:%Y}'", "${now:...}: a cell is found again by its values"),
    ("model: {_target_: my.Network}", "unknown key 'model._target_'"),
    ("seed: 3", "write seeds=N, or seeds=[3,5] for those"),
]


@pytest.mark.parametrize(("text", "says"), OWN_FILES, ids=[text for text, _ in OWN_FILES])
def test_what_a_file_brings_of_hydras_works_or_is_refused(
    experiments: Path, text: str, says: str
) -> None:
    (experiments / "bad.yaml").write_text(f"# @package _global_\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        compose_cell(["experiment=bad"])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_its_package_is_told_the_line(experiments: Path) -> None:
    (experiments / "bad.yaml").write_text("study: mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="begins with the line `# @package _global_`"):
        compose_cell(["experiment=bad"])


def test_what_works_of_hydras_in_a_file(experiments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_OF_MINE", "mine")
    OmegaConf.register_new_resolver("double", lambda number: 2 * number, replace=True)
    text = """# @package _global_
defaults:
  - quickstart
  - optional nowhere: nothing
  - _self_
  - override /activation: tanh
study: ${oc.env:STUDY_OF_MINE}
batch_size: ${double:${data.val_size}}
"""
    (experiments / "mine.yaml").write_text(text, encoding="utf-8")
    (experiments / "dropped.yaml").write_text("# @package model\ndropout: 0.5\n")
    cell = compose_cell(["experiment=mine", "hydra/sweeper=basic", "data.val_size=7"])
    OmegaConf.clear_resolver("double")
    assert (cell.config.study, cell.config.batch_size) == ("mine", 14)
    assert cell.choices["activation"] == "tanh"
    assert cell.axes == compose_cell(["experiment=quickstart"]).axes
    assert compose_cell(["experiment=dropped"]).config.mapping["model"]["dropout"] == 0.5
