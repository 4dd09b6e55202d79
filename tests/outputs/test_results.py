"""The learning rate that stands for a cell."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.files import read_json
from study.outputs.metrics import METRICS
from study.outputs.results import (
    ReplicaResult,
    Result,
    Sample,
    choose_lr,
    edge,
    parse_result,
    sealed,
)
from study.outputs.schema import reader, seal
from tests.fabricated import entry
from tests.synthetic import make_result


def results(table: dict[float, list[tuple[Any, Any]]]) -> list[ReplicaResult]:
    """One replica for each (error, loss), by learning rate."""
    return [
        entry(seed, lr, *numbers)
        for lr, group in table.items()
        for seed, numbers in enumerate(group)
    ]


errors = st.integers(0, 20).map(lambda count: count / 20)
losses = st.integers(0, 4).map(float) | st.none()
tables = st.dictionaries(
    st.sampled_from([0.001, 0.01, 0.1, 1.0]),
    st.lists(st.tuples(errors, losses), min_size=2, max_size=2),
    min_size=1,
)


@given(tables, st.randoms())
def test_the_chosen_rate_is_of_the_grid_and_no_other_is_better(
    table: dict[float, list[tuple[Any, Any]]], random: Any
) -> None:
    found = results(table)
    chosen = choose_lr(found)
    mean = {lr: sum(error for error, _ in group) for lr, group in table.items()}
    assert mean[chosen] == pytest.approx(min(mean.values()))
    assert choose_lr(random.sample(found, len(found))) == chosen


def test_the_lowest_mean_error_wins_then_loss_then_the_smaller_rate() -> None:
    low, high = (0.1, 9.0), (0.3, 1.0)
    assert choose_lr(results({0.01: [high, high], 0.1: [low, high], 1.0: [high, high]})) == 0.1
    assert choose_lr(results({0.01: [(0.1, 2.0)], 0.1: [(0.1, 1.0)], 1.0: [(0.1, 3.0)]})) == 0.1
    assert choose_lr(results({1.0: [(0.1, 2.0)], 0.1: [(0.1, 2.0)]})) == 0.1


def test_diverged_replicas_count() -> None:
    found = [
        entry(0, 0.1, 0.2, status="trained"),
        entry(1, 0.1, 0.2, status="trained"),
        entry(0, 1.0, 0.01, status="trained"),
        entry(1, 1.0, 0.9, None, status="diverged"),
    ]
    assert choose_lr(found) == 0.1


def test_what_is_not_finite_loses() -> None:
    assert choose_lr(results({0.1: [(0.5, None)], 1.0: [(0.5, 3.0)]})) == 1.0
    assert choose_lr(results({0.1: [(None, 1.0)], 1.0: [(0.9, 3.0)]})) == 1.0
    assert choose_lr(results({0.1: [(0.5, None)], 1.0: [(0.5, None)]})) == 0.1


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, unique=True))
def test_the_edges_of_a_grid(rates: list[float]) -> None:
    if len(rates) == 1:
        assert edge(rates[0], rates) is None
        return
    ordered = sorted(rates)
    assert edge(ordered[0], rates) == "lowest"
    assert edge(ordered[-1], rates) == "highest"
    assert {edge(rate, rates) for rate in ordered[1:-1]} <= {None}


def of_cell(*replicas: ReplicaResult, chosen: float) -> Result:
    content = make_result({"signature": "a" * 64, "factors": {}}, 1, [0.1])
    result: Result = reader(Result)(content | {"probes": {}})
    return replace(result, replicas=replicas, chosen_lr=chosen)


def test_a_diverged_replica_keeps_its_number_and_takes_the_mean() -> None:
    result = of_cell(
        entry(1, 0.1, 0.3), entry(0, 0.1, 0.1), entry(0, 1.0, 0.9, status="diverged"), chosen=0.1
    )
    metric = METRICS["test_error"]
    assert [each.seed for each in result.chosen] == [1, 0]
    assert result.value(metric) == Sample({0: 0.1, 1: 0.3})
    assert result.value(metric).mean == pytest.approx(0.2)
    assert result.value(metric, 1.0) == Sample({0: 0.9}, num_diverged=1)
    assert result.value(metric, 1.0).mean is None
    assert result.at(7.0) == ()


@pytest.mark.parametrize(("name", "worst"), [("test_error", math.inf), ("best_epoch", math.nan)])
def test_what_is_not_finite_counts_as_the_worst(name: str, worst: float) -> None:
    result = of_cell(entry(0, 0.1, None, best_epoch=None), entry(1, 0.1, 0.2), chosen=0.1)
    found = result.value(METRICS[name])
    assert found.values[0] == pytest.approx(worst, nan_ok=True)
    assert (found.num_diverged, found.num_not_finite, found.mean) == (0, 1, None)


def test_every_published_record_is_what_its_result_writes() -> None:
    paths = sorted(Path("outputs/published").glob("*/*/result.json"))
    assert len(paths) > 200
    for path in paths:
        content = read_json(path)
        result = parse_result(content)
        assert sealed(result) == {**content, "sha256": sealed(result)["sha256"]}, path
        last = result.probes.end
        assert last is None or last.step == result.updates, path


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"num_train": 0}, "its num_train is 0, which is no whole number from 1 on"),
        ({"chosen_lr": True}, "its chosen_lr is True, which is no number above 0"),
        ({"task": "sorting"}, "its task is 'sorting', which is no one of classification, reconst"),
        ({"files": {"a/b": "0"}}, "its files has the key 'a/b', which is no name of a file"),
        ({"files": {"a": "0"}}, "its files.a is '0', which is no sha256"),
        (
            {"probes": {"end": {"step": 1, "x": [None, "1"]}}},
            "its probes.end.x[1] is '1', which is",
        ),
        ({"probes": {"end": {}}}, "its probes.end.step is missing"),
        ({"provenance": {}}, "its provenance.git_commit is missing"),
        ({"references": {"pca": 3}}, "its references.pca is 3, which is no object"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(change: dict[str, Any], line: str) -> None:
    content = make_result({"signature": "a" * 64, "factors": {}}, 2, [0.1]) | {"probes": {}}
    assert parse_result(seal(content)).seeds == [0, 1]
    with pytest.raises(ValueError, match=re.escape(line)):
        parse_result(seal(content | change))
