"""The line between neighbouring seeds' networks: laws of barriers, distances and disagreement."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.data import Data
from study.launch.reproduce.comparable import comparable
from study.networks import BatchNorm
from study.outputs.schema import PAIRS_COLUMNS
from study.outputs.series import barrier, by_pair, neighbours, read_pairs
from study.training.interpolation import Ends, Line
from tests import tiny

POINTS = 5
TRAINED = ("seeds=3", f"pairs.points={POINTS}")
NETWORKS = {
    "mlp": (),
    "batch": ("norm=batch", "model.dropout=0.3", "norm.noise=1.0"),
    "on batch": ("norm=batch", "norm.evaluation=batch"),
    "cnn": ("model=cnn", "model.channels=[[2],[3]]", "model.head=[]", "norm=batch"),
}


def configuration(name: str) -> Any:
    model = "cnn" if name == "cnn" else "mlp"
    return tiny.config(*[text for text in NETWORKS[name] if text != "model=cnn"], model=model)


def two_networks(name: str) -> tuple[Line, list[dict[str, torch.Tensor]]]:
    """A line of this kind of network, and the states from which two seeds start."""
    config, data = configuration(name), tiny.data()
    population = tiny.build(config.changed({"seeds": [0, 1]}), data)
    return Line(config, data), [population.last_state(index) for index in (0, 1)]


@given(st.sets(st.integers(0, 50), min_size=1, max_size=8))
def test_every_seed_is_in_two_pairs(seeds: set[int]) -> None:
    pairs = neighbours(seeds)
    assert len(pairs) == (len(seeds) if len(seeds) > 2 else len(seeds) - 1)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    ends = [seed for pair in pairs for seed in pair]
    assert all(ends.count(seed) == min(2, len(seeds) - 1) for seed in seeds)
    assert [first for first, _ in pairs] == sorted(seeds)[: len(pairs)]


numbers = st.floats(0, 100)


@given(st.lists(numbers, min_size=2, max_size=9))
def test_a_barrier_is_what_rises_above_the_straight_line(values: list[float]) -> None:
    last = len(values) - 1
    line = [{"alpha": i / last, "train_loss": value} for i, value in enumerate(values)]
    above = [
        value - ((1 - i / last) * values[0] + i / last * values[-1])
        for i, value in enumerate(values)
    ]
    found = barrier(line, "train_loss")
    assert found == pytest.approx(max(above), abs=1e-9)
    assert found >= 0
    back = [{"alpha": i / last, "train_loss": value} for i, value in enumerate(reversed(values))]
    assert barrier(back, "train_loss") == pytest.approx(found, abs=1e-9)
    raised = [{**row, "train_loss": row["train_loss"] + 3 + 2 * row["alpha"]} for row in line]
    assert barrier(raised, "train_loss") == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_no_barrier_to_itself(name: str) -> None:
    line, (state, _) = two_networks(name)
    rows = line.rows(Ends((0, 0), 0.05, (state, state)), POINTS)
    for column in ("train_loss", "test_loss", "train_error", "test_error"):
        assert barrier(rows, column) == 0
        assert len({row[column] for row in rows}) == 1
    for row in rows:
        assert (row["disagreement"], row["distance"], row["relative_distance"]) == (0, 0, 0)
        assert row["cosine"] == pytest.approx(1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_line_is_the_same_from_both_ends(name: str) -> None:
    line, (one, two) = two_networks(name)
    there = line.rows(Ends((0, 1), 0.05, (one, two)), POINTS)
    back = line.rows(Ends((1, 0), 0.05, (two, one)), POINTS)[::-1]
    for first, second in zip(there, back, strict=True):
        for column in ("train_loss", "test_loss", "train_error", "test_error"):
            assert first[column] == pytest.approx(second[column], rel=1e-9)
    for column in ("disagreement", "distance", "relative_distance", "cosine"):
        assert there[-1][column] == pytest.approx(back[0][column], rel=1e-12)
    assert there[-1]["disagreement"] > 0


def test_distances_are_those_of_all_parameters() -> None:
    line, (one, two) = two_networks("batch")
    names = [name for name in one if "running" not in name]
    first, second = (torch.cat([state[name].flatten() for name in names]) for state in (one, two))
    rows = line.rows(Ends((0, 1), 0.05, (one, two)), POINTS)
    for row in rows:
        distance = float((first - second).norm())
        assert row["distance"] == pytest.approx(row["alpha"] * distance, abs=1e-9)
    mean = (first.square().sum() + second.square().sum()) / 2
    assert rows[-1]["relative_distance"] == pytest.approx(distance / float(mean.sqrt()))
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=0)
    assert rows[-1]["cosine"] == pytest.approx(float(cosine))


def test_the_middle_is_the_network_of_mean_weights() -> None:
    line, (one, two) = two_networks("mlp")
    data = tiny.data()
    middle = {name: (value + two[name]) / 2 for name, value in one.items()}
    line.network.load_state_dict(middle)
    with torch.no_grad():
        outputs = line.network.eval()(data.test.inputs)
    loss = torch.nn.functional.cross_entropy(outputs, data.test.labels)
    row = line.rows(Ends((0, 1), 0.05, (one, two)), POINTS)[2]
    assert row["test_loss"] == pytest.approx(float(loss))
    with torch.no_grad():
        line.network.load_state_dict(one)
        other = line.network(data.test.inputs)
    apart = (outputs.argmax(1) != other.argmax(1)).double().mean()
    assert row["disagreement"] == float(apart)


def test_running_averages_are_those_of_the_networks_on_the_line() -> None:
    """Whatever the ends' own were; dropout and noise do not act while they are taken."""
    line, (one, two) = two_networks("batch")
    rows = line.rows(Ends((0, 1), 0.05, (one, two)), POINTS)
    spoilt = {name: value * 7 if "running" in name else value for name, value in one.items()}
    assert line.rows(Ends((0, 1), 0.05, (spoilt, two)), POINTS) == rows
    line.evaluate(one)
    first = next(module for module in line.network.modules() if isinstance(module, BatchNorm))
    layer = next(each for each in line.network.modules() if isinstance(each, torch.nn.Linear))
    with torch.no_grad():
        before = layer(line.train.inputs.flatten(1))
    batches = before[torch.randperm(len(before), generator=torch.Generator().manual_seed(0))]
    whole = batches[: len(batches) // 16 * 16].view(-1, 16, batches.shape[1])
    assert first.running_mean is not None
    assert first.running_var is not None
    assert torch.allclose(first.running_mean, whole.mean((0, 1)))
    assert torch.allclose(first.running_var, whole.var(1).mean(0))
    assert not first.training
    assert first.momentum == 0.1


def rows_in(directory: Path) -> list[dict[str, Any]]:
    with (directory / "pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_cell_has_a_line_for_each_pair(root: Path, tmp_path: Path) -> None:
    record = tiny.train_to(tmp_path / "cell", root, *TRAINED, "optimizer.lr=[0.01,0.05]")
    rows = read_pairs(tmp_path / "cell")
    assert tuple(rows_in(tmp_path / "cell")[0]) == PAIRS_COLUMNS
    assert "pairs.csv" in record["files"]
    assert {row["lr"] for row in rows} == {record["chosen_lr"]}
    lines = by_pair(rows)
    assert list(lines) == [0, 1, 2]
    chosen = {r["seed"]: r for r in record["replicas"] if r["lr"] == record["chosen_lr"]}
    for line in lines.values():
        assert [row["alpha"] for row in line] == [0, 0.25, 0.5, 0.75, 1]
        for row, end in ((line[0], "seed"), (line[-1], "other_seed")):
            for name in ("test_loss", "test_error", "train_loss"):
                assert row[name] == pytest.approx(chosen[row[end]][f"last_{name}"])


def test_without_points_there_is_no_file_and_nothing_else_differs(
    root: Path, tmp_path: Path
) -> None:
    with_pairs = tiny.train_to(tmp_path / "a" / "cell", root, *TRAINED)
    without = tiny.train_to(tmp_path / "b" / "cell", root, "seeds=3")
    assert not (tmp_path / "b" / "cell" / "pairs.csv").exists()
    assert with_pairs["signature"] != without["signature"]
    for name in ("replicas", "chosen_lr", "probes"):
        assert with_pairs[name] == without[name]


def test_one_solution_in_all_seeds_has_no_barrier(root: Path, tmp_path: Path) -> None:
    pinned = ("streams.initialization=0", "streams.order=0")
    tiny.train_to(tmp_path / "both", root, *TRAINED, *pinned)
    tiny.train_to(tmp_path / "order", root, *TRAINED, pinned[1])
    tiny.train_to(tmp_path / "start", root, *TRAINED, pinned[0])
    far = {name: by_pair(read_pairs(tmp_path / name)) for name in ("both", "order", "start")}
    assert all(row["distance"] == 0 for line in far["both"].values() for row in line)
    assert all(barrier(line, "train_loss") == 0 for line in far["both"].values())
    apart = {
        name: [line[-1]["relative_distance"] for line in lines.values()]
        for name, lines in far.items()
    }
    assert min(apart["order"]) > 2 * max(apart["start"]) > 0


def test_weights_that_were_not_kept_are_trained_again_for_pairs(root: Path, tmp_path: Path) -> None:
    own = ("pairs.points=3", "outputs.weights=none", "optimizer.lr=[0.01,0.05]")
    tiny.train_to(tmp_path / "s" / "one", root, "seeds=2", *own)
    assert not (tmp_path / "s" / "one" / "weights.safetensors").exists()
    more = tiny.train_to(tmp_path / "s" / "two", root, "seeds=3", *own)
    assert sum("copied_from" in replica for replica in more["replicas"]) == 2
    tiny.train_to(tmp_path / "t" / "all", root, "seeds=3", *own)
    assert read_pairs(tmp_path / "s" / "two") == read_pairs(tmp_path / "t" / "all")


def test_copied_replicas_have_the_same_lines_bit_for_bit(root: Path, tmp_path: Path) -> None:
    """A file of weights has them in another order than a network."""
    own = (*TRAINED, "norm=batch", "trainer.max_epochs=3")
    tiny.train_to(tmp_path / "s" / "two", root, *own, "seeds=2")
    more = tiny.train_to(tmp_path / "s" / "three", root, *own)
    assert sum("copied_from" in replica for replica in more["replicas"]) == 2
    tiny.train_to(tmp_path / "t" / "all", root, *own)
    assert read_pairs(tmp_path / "s" / "three") == read_pairs(tmp_path / "t" / "all")


def test_a_cell_that_is_stopped_before_its_pairs_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (*TRAINED, "trainer.checkpoint_seconds=0")
    tiny.train_to(tmp_path / "a" / "cell", root, *own)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("study.launch.cell.pair_rows", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny.train_to(tmp_path / "b" / "cell", root, *own)
    assert not (tmp_path / "b" / "cell" / "pairs.csv").exists()
    tiny.train_to(tmp_path / "b" / "cell", root, *own)
    assert comparable(tmp_path / "a" / "cell") == comparable(tmp_path / "b" / "cell")


def test_a_reconstruction_has_no_classes_to_disagree_in(root: Path, tmp_path: Path) -> None:
    tiny.train_to(
        tmp_path / "cell", root, "model=autoencoder", "model.widths=[8]", "model.code=3",
        "loss=squared_error", "optimizer.lr=0.0001", *TRAINED,
    )  # fmt: skip
    rows = rows_in(tmp_path / "cell")
    assert all(row["disagreement"] == "" and row["test_error"] for row in rows)
    assert json.loads((tmp_path / "cell" / "result.json").read_text())["task"] == "reconstruction"


def test_what_has_diverged_has_no_numbers(root: Path, tmp_path: Path) -> None:
    tiny.train_to(tmp_path / "cell", root, *TRAINED, "activation=identity", "optimizer.lr=1e30")
    rows = rows_in(tmp_path / "cell")
    assert all(row["train_loss"] == row["distance"] == "" for row in rows)
    assert barrier(read_pairs(tmp_path / "cell")[:POINTS], "train_loss") != 0


def test_the_training_subset_is_one_of_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.training.interpolation.TRAIN_EXAMPLES", 30)
    data: Data = tiny.data(num_train=300)
    line = Line(tiny.config(), data)
    shares = torch.bincount(line.train.labels) / 30
    assert torch.allclose(shares, torch.bincount(data.train.labels) / 300, atol=1 / 30)
    assert len(line.train) == 30
