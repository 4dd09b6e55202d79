"""Levels that a stack cannot hold, or that would mix replicas, train alone and say so."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import study.__main__
from study.config.configuration import Config
from study.config.level_source import OWN
from study.errors import InputError
from study.launch.cell import train_cell
from study.launch.progress import packing_text
from study.networks import MODELS, build_network
from study.outputs.cell import read_result
from study.outputs.results import parse_result
from study.training import Replica, Settings, Stack
from study.training.build import build_population, initial_network, replicas_of
from study.training.optimizers import OPTIMIZERS, Groups, is_elementwise
from study.training.pretraining.checks import check_pretraining
from tests import combinations, tiny
from tests.training.test_stacking import Residual


def residual(input_shape: tuple[int, int, int], num_classes: int, **keys: Any) -> Residual:
    channels, height, width = input_shape
    return Residual(channels * height * width, num_classes, **keys)


def orthogonal(groups: Groups, lr: float, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """SGD whose momentum is made orthogonal as a matrix (Jordan et al. 2024, Muon), biases by SGD.

    A level that its author has not declared elementwise.
    """
    for group in groups:
        group["params"] = [each for each in group["params"] if each.ndim == 2]
    return torch.optim.Muon(groups, lr=lr, momentum=config["momentum"])


@pytest.fixture
def own_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put in by the tests alone: no file of the project says their source."""
    for key, registry, name, entry in (
        ("model.name", MODELS, "residual", (residual, Residual)),
        ("optimizer.name", OPTIMIZERS, "muon", orthogonal),
    ):
        monkeypatch.setitem(registry, name, entry)
        monkeypatch.setitem(OWN, key, OWN[key] | {name})


def config_of(*overrides: str, **groups: dict[str, Any]) -> Config:
    config = tiny.config("seeds=2", "population.engine=auto", *overrides)
    return tiny.changed(config, **groups)


def sizes(config: Config) -> list[int]:
    engine = build_population(config, tiny.data(), replicas_of(config)).engine
    return [len(group.replicas) for group in engine.groups]


@pytest.mark.usefixtures("own_levels")
def test_a_network_with_a_forward_of_its_own_is_trained_as_itself() -> None:
    """Not as the network whose blocks it has, whatever the engine."""
    assert max(sizes(config_of())) > 1
    own = {"model": {"name": "residual"}}
    config = config_of(**own)
    assert sizes(config) == [1, 1]
    by_default = list(tiny.states(tiny.train(config)))
    alone = list(tiny.states(tiny.train(config_of("population.engine=sequential", **own))))
    plain = list(tiny.states(tiny.train(config_of("population.engine=sequential"))))
    for index in range(2):
        assert tiny.equal(by_default[index], alone[index])
        assert not tiny.equal(by_default[index], plain[index])


@pytest.mark.usefixtures("own_levels")
@pytest.mark.parametrize("kind", ["autoencoder", "denoising_autoencoder", "rbm", "supervised"])
def test_a_network_with_a_forward_of_its_own_is_not_pretrained_as_a_chain(kind: str) -> None:
    config = config_of(f"pretraining={kind}", "data.normalize=unit", model={"name": "residual"})
    network = build_network(config.network, (1, 16, 16), 3)
    with pytest.raises(InputError, match="model=residual has a forward of its own; use pretrain"):
        check_pretraining(config, network)


@pytest.mark.usefixtures("own_levels")
def test_an_optimizer_that_looks_at_matrices_never_sees_two_replicas() -> None:
    """A seed's weights are the same beside one other seed and beside three."""
    ends = []
    for seeds in ([0, 1], [0, 1, 2, 3]):
        config = config_of(optimizer={"name": "muon"}).changed({"seeds": seeds})
        assert sizes(config) == [1] * len(seeds)
        ends.append(tiny.train(config).last_state(0))
    assert tiny.equal(*ends)


@pytest.mark.usefixtures("own_levels")
@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"model": {"name": "residual"}}, "Residual has a forward of its own"),
        ({"optimizer": {"name": "muon"}}, "optimizer=muon is not declared elementwise"),
        ({"init": {"name": "zeros"}}, "units start equal"),
    ],
)
def test_what_trains_alone_says_why_in_print_and_in_its_record(
    tmp_path: Path, groups: dict[str, dict[str, Any]], reason: str
) -> None:
    root = tiny.folder(tmp_path / "images")
    config = config_of("data=image_folder", f"data.root={root}", **groups)
    directory = tmp_path / "cell"
    directory.mkdir()
    train_cell(config, directory, factors={}, threads=1, tick=lambda count: None)
    provenance = parse_result(read_result(directory)).provenance
    assert (provenance.alone or "").startswith(reason)
    assert provenance.packing == (1, 1)
    assert f"2 alone, on 1 thread ({reason}" in packing_text("auto", provenance)
    config = config.changed({"population.engine": "stacked"})
    with pytest.raises(InputError, match=f"population.engine=stacked: {reason}"):
        build_population(config, tiny.data(), replicas_of(config))


def test_stacks_that_cannot_be_had_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "init=constant", "population.engine=stacked", f"outputs_dir={tmp_path}"]
    assert study.__main__.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "population.engine=stacked: units start equal" in line
    assert "auto" in line
    assert not list(tmp_path.iterdir())


def test_groups_of_a_record_are_not_repeated_where_they_cannot_be() -> None:
    config = config_of(init={"name": "constant", "value": 0.01})
    replicas = replicas_of(config)
    engine = build_population(config, tiny.data(), replicas, groups=[replicas]).engine
    assert [len(group.replicas) for group in engine.groups] == [1, 1]


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_an_optimizer_that_is_declared_elementwise_is(name: str) -> None:
    """Rows of one matrix are stepped as they are one by one."""
    config = combinations.level("optimizer", name)
    torch.manual_seed(0)
    rows, gradients = torch.randn(3, 8, dtype=torch.float64), torch.randn(4, 3, 8).double()
    stepped = {}
    for split in (3, 1):
        parameters = [part.clone().requires_grad_() for part in rows.split(split)]
        optimizer = OPTIMIZERS[name]([{"params": parameters, "weight_decay": 0.1}], 0.01, config)
        for gradient in gradients:
            for parameter, own in zip(parameters, gradient.split(split), strict=True):
                parameter.grad = own.clone()
            optimizer.step()
        stepped[split] = torch.cat([each.detach() for each in parameters])
    if is_elementwise(name):
        torch.testing.assert_close(stepped[3], stepped[1], rtol=1e-12, atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_replicas_bits_depend_on_the_shape_of_its_stack_alone(data: st.DataObject) -> None:
    """Not on who is stacked with it: on how many, in how many rates, and on its place among them.

    On one thread. Those are the groups that a record's provenance names as `populations`.
    """
    draw = data.draw
    seeds, rates = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    widths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=2))
    norm = draw(st.sampled_from(["none", "batch"]))
    config = config_of("trainer.precision=32-true", f"norm={norm}", "optimizer.momentum=0.9")
    config = config.changed({"batch_size": draw(st.integers(2, 24)), "model.widths": widths})
    split = tiny.data(dtype=torch.float32).train
    place = draw(st.integers(0, seeds * rates - 1))
    ends = []
    for others in (0, 10):
        replicas = [
            Replica(others * (index % seeds != place % seeds) + index % seeds, lr)
            for lr, index in _grid(seeds, rates, place, others)
        ]
        networks = [initial_network(config, tiny.data(), each.seed) for each in replicas]
        stack = Stack(networks, replicas, Settings.from_config(config))
        assert stack.replicas[place] == Replica(place % seeds, 0.1)
        stack.start()
        tiny.train_epoch(stack, split, epoch=0, factors=[1.0] * (70 // config.batch_size))
        ends.append(stack.snapshot(place))
    assert tiny.equal(*ends)


def _grid(seeds: int, rates: int, place: int, others: int) -> list[tuple[float, int]]:
    """(rate, number) of each replica of a grid; the rate of `place` is 0.1 whatever the others'."""
    own = place // seeds
    scale = 1 + others / 100
    return [
        (0.1 * (1 if rate == own else scale ** (1 if rate > own else -1)) * 2.0 ** (rate - own),
         rate * seeds + seed)
        for rate in range(rates)
        for seed in range(seeds)
    ]  # fmt: skip


def test_a_record_names_who_trained_together(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    record = tiny.train_to(tmp_path / "cell", root, "seeds=2", "population.engine=stacked")
    together = {name for group in record["provenance"]["populations"][0] for name in group}
    assert together == {"seed=0,lr=0.05", "seed=1,lr=0.05"}
    assert json.dumps(record["provenance"]["alone"]) == "null"
