"""Every experiment: its commands plan its cells, its claims fit them, and in small they train.

All of it in one file, since a plan takes about a second.
"""

import functools
import itertools
import shlex
from pathlib import Path

import pytest

from study.__main__ import main
from study.analysis.claims import check_claims
from study.analysis.claims.cells import RATE, matches, require_pairs
from study.analysis.claims.decision import with_whole_names
from study.analysis.claims.question import Question
from study.analysis.claims.schema import Claim, parse_claims
from study.analysis.frames import Frames
from study.config.compose import hydra_ready
from study.config.configuration import CONF, levels
from study.config.sweep import Plan, plan
from study.outputs.factors import level_text, shown_level
from tests.config.test_compose_cells import check_against_hydra
from tests.synthetic import ledger_cell, make_result, write_ledger, write_result

TINY = (
    "seeds=2",
    "batch_size=16",
    "data.train_size=64",
    "data.val_size=64",
    "data.test_size=64",
    "trainer.max_epochs=1",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "probes.num_examples=32",
)
MLP = "model.widths=[8,8]"
CNN = "model.channels=[[4],[4]]"
# By experiment what makes one cell of it, or two, small. It comes after TINY, and may replace it.
CELLS: dict[str, tuple[str, ...]] = {
    "activation_time": ("probes=default", "model='mlp widths=[512,512,512]'", "activation=relu"),
    "activations": (MLP, "activation=relu", "norm=batch"),
    "batchnorm": (MLP, "activation=relu", "init=he_normal", "norm=batch", "optimizer.lr=[0.1]"),
    "batchnorm_rates": (
        MLP,
        "activation=relu",
        "norm=none,batch",
        "optimizer.lr=[0.04,0.16,0.25,2.5]",
        "data.train_size=1616",
    ),
    "cifar_activations": (CNN, "data=mnist", "activation=tanh,relu"),
    "cifar_batchnorm": (CNN, "data=mnist", "init=he_normal", "norm=batch"),
    "deep_autoencoder": (MLP, "model=autoencoder", "model.code=4", "pretraining=none"),
    "dying_relu": (MLP, "activation=relu"),
    "few_labels": ("model.widths=[8]", "data.train_size=100", "pretraining=none"),
    "gradient_flow": (MLP, "activation=sigmoid,tanh"),
    "initializations": (MLP, "activation=tanh", "init=xavier_uniform"),
    "inputs": (MLP, "activation=tanh", "data.normalize=none,standard"),
    "linear_signal": (MLP, "init=lecun_normal"),
    "minima": (MLP, "seeds=3", "pairs.points=3", "streams.order=0", "streams.initialization=null"),
    "noise_jacobian": (MLP, "data.normalize=unit", "input_noise=0.3"),
    "noise_l2": ("data.normalize=unit", "input_noise=0.3"),
    "paper_bengio07": ("model.widths=[8],[8,8]", "pretraining=none"),
    "paper_elu": (MLP, "activation=elu,relu"),
    "paper_glorot10": (MLP, "data=mnist", "activation=tanh", "init=standard"),
    "paper_glorot11": (MLP, "data=mnist", "activation=relu,tanh", "pretraining=none"),
    "paper_he30": ("model.widths=[8,8,8]", "activation=relu", "init=he_normal"),
    "paper_he30_conv": ("model.channels=[[4],[4]]", "activation=relu", "init=he_normal"),
    "paper_hinton06": (MLP, "model=autoencoder", "model.code=4", "pretraining=none"),
    "paper_ioffe": (MLP, "init=normal", "norm=none,batch"),
    "paper_krizhevsky": (CNN, "data=mnist", "activation=tanh,relu"),
    "pretraining": ("model.widths=[8]", "activation=tanh", "pretraining='autoencoder epochs=1'"),
    "pretraining_needed": (MLP, "activation=sigmoid", "init=normal", "pretraining=none"),
    "quickstart": (MLP, "activation=sigmoid", "init=xavier_uniform", "norm=none,batch"),
    "shift": (MLP, "norm=none,batch", "data.test_shift=noise"),
}


@functools.cache
def planned(name: str) -> Plan:
    with hydra_ready():
        return plan([f"experiment={name}"], multirun=False)


def small(name: str) -> tuple[str, ...]:
    """What makes one cell of an experiment small; of one that CELLS has not, of its first cell."""
    if name in CELLS:
        return CELLS[name]
    (first, *_), axes = planned(name).cells, planned(name).base.axes
    network = {"mlp": (MLP,), "cnn": (CNN,)}.get(first.config.model.name, ())
    levels_of = {axis: first.factors[axis] for axis in axes if not axis.startswith("model")}
    return (*network, *(f"{axis}='{level_text(level)}'" for axis, level in levels_of.items()))


@functools.cache
def claims_of(name: str) -> list[Claim]:
    """The claims of an experiment, their levels by their whole names."""
    known: dict[str, list[str]] = {}
    for cell in planned(name).cells:
        rates = [(RATE, rate) for rate in cell.config.optimizer.lr]
        for factor, level in [*cell.factors.items(), *rates]:
            known.setdefault(factor, []).append(shown_level(factor, level))
    levels_of = {factor: list(dict.fromkeys(each)) for factor, each in known.items()}
    claims = parse_claims(planned(name).base.config.claims)
    return [with_whole_names(claim, levels_of) for claim in claims]


def commands_of(name: str) -> list[list[str]]:
    """The `study train` commands of an experiment's header, as a shell splits them."""
    text = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    header = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    joined = "\n".join(line.removeprefix("#") for line in header).replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    trains = [line.partition("  (")[0] for line in lines if line.startswith("study train")]
    return [shlex.split(line)[2:] for line in trains]


@pytest.mark.parametrize("name", levels("experiment"))
def test_it_plans_cells_of_its_study_and_decides_its_claims(name: str) -> None:
    launch = planned(name)
    assert launch.experiment == name
    assert len({str(cell.factors) for cell in launch.cells}) == len(launch.cells) > 1
    assert {cell.config.study for cell in launch.cells} == {name}
    assert check_claims(launch.base.config.claims, launch.cells, launch.base.axes) == []


@pytest.mark.parametrize("name", levels("experiment"))
def test_every_command_of_its_header_can_be_planned(name: str) -> None:
    commands = commands_of(name)
    assert commands
    for arguments in commands:
        if arguments != [f"experiment={name}"]:
            with hydra_ready():
                assert plan(arguments, multirun=False).cells


@pytest.mark.parametrize("name", levels("experiment"))
def test_its_cells_are_what_hydra_composes_also_with_other_levels(name: str) -> None:
    assert check_against_hydra([f"experiment={name}"]) > 1
    more = ["norm='batch noise=0.5',none", "activation=tanh,'elu alpha=2.0'", "model.dropout=0.5"]
    init = "init='orthogonal gain=auto','xavier_normal gain=2'"
    assert check_against_hydra([f"experiment={name}", init, *more]) >= 8


@pytest.mark.parametrize("name", levels("experiment"))
def test_each_cell_of_a_claim_has_its_counterpart(name: str, tmp_path: Path) -> None:
    cells = [ledger_cell(cell.factors) for cell in planned(name).cells]
    write_ledger(tmp_path, cells)
    for cell, own in zip(cells, planned(name).cells, strict=True):
        write_result(tmp_path, cell, make_result(cell, 2, own.config.optimizer.lr))
    frames = Frames.read(tmp_path)
    for claim in claims_of(name):
        question = Question(frames, claim, claim.quantity)
        apart = [claim.over] if claim.over else []
        for change in (None, claim.elsewhere):
            first = question.side(change, apart=apart)
            require_pairs(first, question.side(change, claim.against, apart=apart))


@pytest.mark.parametrize("name", levels("experiment"))
def test_small_cells_train_and_have_what_the_claims_measure(name: str, tmp_path: Path) -> None:
    own = [f"experiment={name}", f"study={name}", *TINY, *small(name), f"outputs_dir={tmp_path}"]
    assert main(["train", *own]) == 0
    frames = Frames.read(tmp_path / name)
    assert len(frames.finished) == len(frames.cells) <= 2
    for claim in claims_of(name):
        for change in ({}, *claim.wheres[1:]):
            where = {**claim.cells, **change}
            where.pop(RATE, None)
            for cell in frames.finished:
                if matches(cell, where):
                    numbers = claim.quantity.read(frames, [cell], None)
                    assert len(numbers.values[cell.directory]) >= 2


def test_small_cells_are_of_experiments() -> None:
    assert set(CELLS) <= set(levels("experiment"))
