"""The probes of a population in training: what is recorded, and that nothing else changes."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from study.networks import BatchNorm, Network, batch_statistics
from study.outputs.metrics import PROBES, ROW
from study.outputs.series import read_probes
from study.probes.recorder import probe_batch
from study.training import Population, Replica
from tests import tiny

GRID = ("seeds=2", "optimizer.lr=[0.05,0.2]", "probes=default")
NETS = (
    ("norm=batch",),
    ("activation=prelu", "model.dropout=0.3"),
    ("model=cnn", "model.channels=[[3],[4]]", "model.head=[5]", "norm=batch"),
)
nets = pytest.mark.parametrize("net", NETS, ids=" ".join)


def trained(*overrides: str) -> Population:
    model = "cnn" if "model=cnn" in overrides else "mlp"
    return tiny.train(tiny.config(*GRID, *overrides, model=model))


def rows_of(population: Population) -> Mapping[Replica, list[dict[str, Any]]]:
    return tiny.probes_of(population).rows


@nets
@pytest.mark.parametrize("engine", ["sequential", "stacked"])
def test_probes_change_no_weight(net: tuple[str, ...], engine: str) -> None:
    overrides = (*net, f"population.engine={engine}")
    without = trained(*overrides, "probes=none")
    for first, second in zip(
        tiny.states(without), tiny.states(trained(*overrides, "probes=full")), strict=True
    ):
        assert tiny.equal(first, second)


@nets
def test_both_engines_record_the_same(net: tuple[str, ...]) -> None:
    alone = rows_of(trained(*net, "probes=full"))
    stacked = rows_of(trained(*net, "probes=full", "population.engine=stacked"))
    assert alone.keys() == stacked.keys()
    assert len(alone) == 4
    for replica, rows in alone.items():
        assert len(rows) == len(stacked[replica])
        for first, second in zip(rows, stacked[replica], strict=True):
            assert first.keys() == second.keys()
            for name, number in first.items():
                assert second[name] == pytest.approx(number, rel=1e-5, abs=1e-9, nan_ok=True), name


def test_the_moments_and_layers_of_the_default() -> None:
    population = trained()
    # 70 images in batches of 16, 2 epochs: 8 updates.
    steps = [0, round(8**0.25), round(8**0.5), round(8**0.75), 8]
    for rows in rows_of(population).values():
        assert [(row["step"], row["layer"]) for row in rows] == [
            (step, layer) for step in steps for layer in (1, 2)
        ]
        assert [row["epoch"] for row in rows] == [step // 4 for step in steps for _ in (1, 2)]
        for row in rows:
            ends = row["step"] in (0, 8)
            assert ("effective_rank" in row) == ("jacobian_singular_value" in row) == ends
            assert ("dead_fraction_train" in row) == (row["step"] == 8)
            assert ("update_ratio" in row) == ("input_shift" in row) == (row["step"] > 0)


def test_the_first_layers_inputs_never_shift() -> None:
    for rows in rows_of(trained()).values():
        for row in rows[2:]:
            assert (row["input_shift"] == 0) == (row["layer"] == 1)


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
def test_the_update_ratio_is_that_of_the_last_update(engine: str) -> None:
    """With momentum off the weights of one step less are one step's gradient away."""
    overrides = (f"population.engine={engine}", "optimizer.momentum=0", "probes.steps=[3,4]")
    population = trained(*overrides, "trainer.max_epochs=1", "schedule=constant")
    for replica, rows in rows_of(population).items():
        last = {row["layer"]: row for row in rows if row["step"] == 4}
        before = {row["layer"]: row for row in rows if row["step"] == 3}
        for layer in (1, 2):
            moved = last[layer]["update_ratio"] * before[layer]["weight_norm"]
            change = abs(last[layer]["weight_norm"] - before[layer]["weight_norm"])
            assert 0 < change <= moved * (1 + 1e-5)
            assert moved < replica.lr * 10


@pytest.mark.parametrize(
    "net", [("model.widths=[40,20]",), ("model=cnn", "model.channels=[[9],[8]]", "model.head=[9]")]
)
def test_dead_units_are_counted_over_the_whole_training_set(net: tuple[str, ...]) -> None:
    dying = ("activation=relu", "init=normal", "init.std=0.2", "init.bias=-2", "probes.steps=0")
    population = trained(*net, *dying, "probes.num_examples=4", "optimizer.lr=[1e-6,2e-6]")
    found = set()
    for group in population.engine.groups:
        by_hand = dead_by_hand(group.network, tiny.data().train.inputs)
        rows = rows_of(population)[group.replicas[0]][-len(by_hand) :]
        recorded = [row["dead_fraction_train"] for row in rows]
        assert recorded == pytest.approx(by_hand)
        found |= set(recorded)
    assert len(found) > 1


def dead_by_hand(network: nn.Module, inputs: torch.Tensor) -> list[float]:
    """The share of ReLU units of each block of a network that are 0 for all inputs."""
    shares = []

    def count(_: nn.Module, args: Any, out: torch.Tensor) -> None:
        by_unit = out.transpose(0, 1).flatten(1)
        shares.append(float((by_unit == 0).all(dim=1).double().mean()))

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(count)
    network.eval()(inputs)
    return shares


def test_probes_take_the_batchs_statistics_and_leave_the_running_ones() -> None:
    population = trained("norm=batch", "trainer.max_epochs=1")
    batch = probe_batch(tiny.data().val)
    for index, replica in enumerate(population.engine.replicas):
        network = population.engine.groups[index].network.eval()
        norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
        running = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
        with batch_statistics(network), torch.no_grad():
            assert isinstance(network, Network)
            block = next(network.hidden_blocks())
            before = block.norm(block.layer(batch.inputs.flatten(1)))
        last = rows_of(population)[replica][-2]
        assert last["preactivation_variance"] == pytest.approx(float(before.var(correction=0)))
        assert all(float(each.abs().sum()) > 0 for each in running)


def test_a_probe_batch_is_the_same_and_no_larger_than_its_split() -> None:
    split = tiny.data().val
    first, second = probe_batch(split, 8), probe_batch(split, 8)
    assert torch.equal(first.inputs, second.inputs)
    assert len(first) == 8
    assert len(probe_batch(split, 10_000)) == len(split)


def test_a_diverged_replica_is_recorded_and_stops_nothing(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    record = tiny.train_to(
        tmp_path / "cell", root, "probes=default", "optimizer.lr=[0.05,1e6]", "activation=identity"
    )
    rows = read_probes(tmp_path / "cell")
    assert tuple(rows[0]) == (*ROW, *PROBES)
    assert {row["lr"] for row in rows} == {0.05, 1e6}
    assert "probes.csv" in record["files"]
    start, end = record["probes"]["start"], record["probes"]["end"]
    assert start["step"] == 0
    assert len(end["dead_fraction_train"]) == 2
    chosen = [
        row for row in rows if row["lr"] == record["chosen_lr"] and row["step"] == end["step"]
    ]
    assert end["gradient_variance"] == [row["gradient_variance"] for row in chosen]


def test_the_probes_of_finished_seeds_are_copied(tmp_path: Path) -> None:
    root, options = tiny.folder(tmp_path / "images"), ("probes=default", "norm=batch")
    tiny.train_to(tmp_path / "study" / "one-00000001", root, *options)
    more = tiny.train_to(tmp_path / "study" / "two-00000002", root, *options, "seeds=2")
    assert "copied_from" in more["replicas"][0]
    rows = read_probes(tmp_path / "study" / "two-00000002")
    assert {row["seed"] for row in rows} == {0, 1}
    assert rows[: len(rows) // 2] == read_probes(tmp_path / "study" / "one-00000001")


def test_networks_without_hidden_layers_have_no_probes(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    record = tiny.train_to(tmp_path / "cell", root, "probes=default", "model.widths=[]")
    assert record["probes"] == {}
    assert not (tmp_path / "cell" / "probes.csv").exists()


def test_samples_are_kept_for_histograms_at_three_moments() -> None:
    population = trained()
    for samples in tiny.probes_of(population).samples.values():
        assert {step for step, _, _ in samples} == {0, 3, 8}
        assert {(layer, kind) for _, layer, kind in samples} == {
            (layer, kind) for layer in (1, 2) for kind in ("activation", "gradient")
        }
        assert all(0 < len(values) <= 4096 for values in samples.values())
        assert all(math.isfinite(float(values.sum())) for values in samples.values())
