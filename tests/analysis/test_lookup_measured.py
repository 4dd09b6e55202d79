"""Probes in tables: every number against one computed naively from probes.csv."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.lookup import SUMMARIES, summed_up
from study.analysis.pivot import Request
from study.analysis.table import render
from study.errors import InputError
from tests.synthetic import (
    ProbeRow,
    change_probes,
    change_result,
    diverge,
    make_probed_study,
    make_probes,
    make_study,
    probe_of,
    rows_of,
    write_probes,
)

TWO = {"activation": ["relu", "tanh"]}


def slope(values: list[float]) -> float:
    return float(np.polyfit(range(len(values)), np.log10(values), 1)[0])


NAIVE: dict[str | None, Callable[[list[float]], float]] = {
    None: statistics.fmean,
    "mean": statistics.fmean,
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
    "slope": slope,
    "1": lambda values: values[0],
    "3": lambda values: values[2],
    "02": lambda values: values[1],
}
MOMENTS = {"": 100, "@end": 100, "@start": 0, "@10": 10, "@0": 0}


@pytest.mark.parametrize("layer", NAIVE)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_entry_is_the_naive_number_of_the_file(
    tmp_path: Path, layer: str | None, moment: str
) -> None:
    paths = make_probed_study(tmp_path)
    rows = rows_of(tmp_path, metric=f"gradient_variance{moment}", layer=layer)
    for row, path in zip(rows, paths, strict=True):
        seeds = [NAIVE[layer](v) for v in probe_of(path, "gradient_variance", MOMENTS[moment])]
        mean, error = statistics.fmean(seeds), float(stats.sem(seeds))
        low, high = stats.t.interval(0.95, 2, loc=mean, scale=error)
        numbers = [float(row[name]) for name in ("mean", "low", "high")]
        assert numbers == pytest.approx([mean, low, high], rel=1e-8)
        assert (row["status"], row["n"], row["best"]) == ("done", "3", "")
        assert row["layer"] == (layer or "mean").lstrip("0")


@pytest.mark.parametrize("fixed", ["rows", "columns"])
def test_layer_is_a_factor(tmp_path: Path, fixed: str) -> None:
    paths = make_probed_study(tmp_path)
    other = {"rows": "columns", "columns": "rows"}[fixed]
    request = {fixed: "layer", other: "activation", "metric": "gradient_variance@start"}
    rows = rows_of(tmp_path, **request)
    assert len(rows) == 6
    for row in rows:
        values = probe_of(paths[TWO["activation"].index(row["activation"])], "gradient_variance", 0)
        expected = statistics.fmean(seed[int(row["layer"]) - 1] for seed in values)
        assert float(row["mean"]) == pytest.approx(expected)
    for layer in ("1", "3"):
        chosen = rows_of(tmp_path, metric="gradient_variance@start", where=[f"layer={layer}"])
        alone = rows_of(tmp_path, metric="gradient_variance@start", layer=layer)
        assert chosen == alone
    by_seed = rows_of(tmp_path, **{**request, other: "seed", "where": ["activation=tanh"]})
    values = probe_of(paths[1], "gradient_variance", 0)
    assert [float(row["mean"]) for row in by_seed if row["layer"] == "2"] == [
        seed[1] for seed in values
    ]


def test_at_another_learning_rate(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    for path in paths:
        change_result(path, lambda result: result.update(chosen_lr=0.01))
    before = [row["mean"] for row in rows_of(tmp_path, metric="weight_norm")]
    for path in paths:
        change_result(path, lambda result: result.update(chosen_lr=1.0))
    assert [row["mean"] for row in rows_of(tmp_path, metric="weight_norm")] != before
    fixed = rows_of(tmp_path, metric="weight_norm", where=["lr=0.01"])
    assert [row["mean"] for row in fixed] == before


@pytest.mark.parametrize("layer", ["3", "mean", "last", None])
def test_a_layer_that_a_net_lacks_is_not_measured(tmp_path: Path, layer: str | None) -> None:
    _, shallow = make_probed_study(tmp_path, depths=(3, 2))
    axes = {"rows": "layer", "columns": "activation"} if layer is None else {"layer": layer}
    rows = rows_of(tmp_path, metric="weight_norm", **axes)
    states = [row["status"] for row in rows if row["activation"] == "tanh"]
    if layer in ("3", None):
        assert states[-1] == "not measured"
        assert set(states[:-1]) <= {"done"}
    else:
        values = probe_of(shallow, "weight_norm", 100)
        expected = statistics.fmean(NAIVE[layer](seed) for seed in values)
        assert float(rows[1]["mean"]) == pytest.approx(expected)


def test_averaging_over_a_cell_that_was_not_measured_is_incomplete(tmp_path: Path) -> None:
    first, _, *_ = make_study(tmp_path, {**TWO, "norm": ["none", "batch"]}, seeds=3)
    write_probes(first, make_probes(first))
    rows = rows_of(tmp_path, metric="weight_norm", rows="activation", over=["norm"])
    assert [row["status"] for row in rows] == ["incomplete", "not measured"]


def test_a_number_that_is_not_finite_is_counted(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)

    def overflow(row: ProbeRow) -> None:
        if (row["seed"], row["layer"]) == ("1", "2"):
            row["gradient_variance"] = ""

    zero, _, two = probe_of(paths[0], "gradient_variance", 100)
    finite = [statistics.fmean(zero), statistics.fmean(two)]
    change_probes(paths[0], overflow)
    row, other = rows_of(tmp_path, metric="gradient_variance")
    assert (row["mean"], row["not_finite"], other["not_finite"]) == ("", "1", "0")
    assert float(row["median"]) == pytest.approx(statistics.median(finite))
    for layer, lost in {"1": "0", "2": "1", "last": "0", "max": "1", "slope": "0"}.items():
        row, _ = rows_of(tmp_path, metric="gradient_variance", layer=layer)
        assert row["not_finite"] == lost
    # Everywhere empty: of a probe that every moment has, it is not finite, not unmeasured.
    change_probes(paths[0], lambda row: row.update(gradient_variance="", effective_rank=""))
    assert rows_of(tmp_path, metric="gradient_variance")[0]["not_finite"] == "3"
    assert rows_of(tmp_path, metric="effective_rank")[0]["status"] == "not measured"


def test_a_diverged_replica_is_told_but_not_before_training(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    change_result(paths[0], diverge(2))
    row, _ = rows_of(tmp_path, metric="dead_fraction@end")
    assert (row["status"], row["diverged"], row["mean"]) == ("diverged", "1", "")
    values = [statistics.fmean(seed) for seed in probe_of(paths[0], "dead_fraction", 100)]
    assert float(row["median"]) == pytest.approx(statistics.median(values))
    row, _ = rows_of(tmp_path, metric="dead_fraction@start")
    values = [statistics.fmean(seed) for seed in probe_of(paths[0], "dead_fraction", 0)]
    assert (row["status"], row["diverged"]) == ("done", "0")
    assert float(row["mean"]) == pytest.approx(statistics.fmean(values))


def test_a_probe_is_sound_until_its_replica_diverges(tmp_path: Path) -> None:
    """As activations are at a learning rate at which they explode later, or not yet."""
    paths = make_probed_study(tmp_path)
    change_result(paths[0], diverge(2))
    row, _ = rows_of(tmp_path, metric="dead_fraction@10")
    values = [statistics.fmean(seed) for seed in probe_of(paths[0], "dead_fraction", 10)]
    assert (row["status"], row["diverged"]) == ("done", "0")
    assert float(row["mean"]) == pytest.approx(statistics.fmean(values))
    for moment in ("100", "end"):
        assert rows_of(tmp_path, metric=f"dead_fraction@{moment}")[0]["status"] == "diverged"

    def explode(change: ProbeRow) -> None:
        if (change["seed"], change["step"], change["layer"]) == ("2", "10", "3"):
            change["dead_fraction"] = ""

    change_probes(paths[0], explode)
    row, _ = rows_of(tmp_path, metric="dead_fraction@10")
    assert (row["status"], row["diverged"], row["mean"]) == ("diverged", "1", "")
    row, _ = rows_of(tmp_path, metric="dead_fraction@10", layer="2")
    assert (row["status"], row["diverged"]) == ("done", "0")
    axes = {"metric": "dead_fraction@10", "rows": "layer", "columns": "activation"}
    states = [row["status"] for row in rows_of(tmp_path, **axes) if row["activation"] == "relu"]
    assert states == ["done", "done", "diverged"]


def test_a_probe_that_a_moment_lacks(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    for path in paths:
        change_probes(path, lambda row: row["step"] == "10" and row.update(effective_rank=""))
        change_probes(path, lambda row: row.update(gamma_std=""))
    with pytest.raises(InputError, match="not measured @10, but at 0, 100 updates"):
        render(tmp_path, Request(metric="effective_rank@10"))
    with pytest.raises(InputError, match="gamma_std was not measured in any cell"):
        render(tmp_path, Request(metric="gamma_std"))


def test_shares_of_a_slope_without_bound_are_not_lost_but_not_there(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    change_probes(paths[0], lambda row: row.update(dead_fraction="", saturated_fraction=""))
    for metric in ("dead_fraction@end", "saturated_fraction@start"):
        first, *others = (row["status"] for row in rows_of(tmp_path, metric=metric))
        assert first == "not measured"
        assert set(others) == {"done"}
        assert "slope has no bound" in render(tmp_path, Request(metric=metric))
    assert "slope has no bound" not in render(tmp_path, Request(metric="weight_norm@end"))


def test_moments_that_only_some_cells_have(tmp_path: Path) -> None:
    paths = make_study(tmp_path, TWO, seeds=3)
    write_probes(paths[0], make_probes(paths[0], steps=(0, 10, 100)))
    write_probes(paths[1], make_probes(paths[1], steps=(0, 20, 200)))
    rows = rows_of(tmp_path, metric="weight_norm@20")
    assert [row["status"] for row in rows] == ["not measured", "done"]
    ends = [row["mean"] for row in rows_of(tmp_path, metric="weight_norm@end")]
    for row, step, end in zip((0, 1), (100, 200), ends, strict=True):
        assert rows_of(tmp_path, metric=f"weight_norm@{step}")[row]["mean"] == end


def test_a_slope_needs_two_layers(tmp_path: Path) -> None:
    make_probed_study(tmp_path / "a", depths=(1, 1))
    with pytest.raises(InputError, match="single layer"):
        render(tmp_path / "a", Request(metric="weight_norm", layer="slope"))
    make_probed_study(tmp_path / "b", depths=(1, 2))
    rows = rows_of(tmp_path / "b", metric="weight_norm", layer="slope")
    assert [row["status"] for row in rows] == ["not measured", "done"]


@given(st.dictionaries(st.integers(1, 30), st.none() | st.floats(1e-30, 1e30), min_size=1))
def test_sums_over_layers_lie_where_they_must(values: dict[int, float | None]) -> None:
    ordered = dict(sorted(values.items()))
    found = {layer: summed_up(layer, ordered) for layer in SUMMARIES}
    assert found["last"] == list(ordered.values())[-1]
    assert all(summed_up(str(layer), ordered) == value for layer, value in ordered.items())
    if None in ordered.values():
        assert found["min"] is found["mean"] is found["max"] is None
        return
    low, mean, high = found["min"], found["mean"], found["max"]
    assert low is not None
    assert mean is not None
    assert high is not None
    assert low * (1 - 1e-15) <= mean <= high * (1 + 1e-15)


@pytest.mark.parametrize("missing", [(), (2,), (3, 5), (6,)])
@pytest.mark.parametrize("how", ["absent", "not finite", "zero"])
def test_the_slope_of_a_power_is_its_exponent(missing: tuple[int, ...], how: str) -> None:
    layers = [layer for layer in range(1, 7) if how != "absent" or layer not in missing]
    other = {"absent": 1.0, "not finite": None, "zero": 0.0}[how]
    values = {n: other if n in missing else 10 ** (-1.5 * n) for n in layers}
    assert summed_up("slope", values) == pytest.approx(-1.5)
    assert summed_up("slope", {1: 1.0, 2: None}) is None


def diverge_everywhere(result: dict[str, Any]) -> None:
    for replica in result["replicas"]:
        replica["status"] = "diverged"


def test_a_cell_whose_replicas_all_diverged_says_that_first(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    empty = {"effective_rank": "", "weight_norm": ""}
    change_probes(paths[0], lambda row: row["step"] != "0" and row.update(empty))
    change_result(paths[0], diverge_everywhere)
    for probe in ("effective_rank", "weight_norm"):
        row, other = rows_of(tmp_path, metric=probe)
        assert (row["status"], row["diverged"], row["median"]) == ("diverged", "3", "")
        assert other["status"] == "done"
        row, _ = rows_of(tmp_path, metric=f"{probe}@start")
        assert (row["status"], row["diverged"]) == ("done", "0")


def test_a_replica_without_rows_is_not_finite_if_it_diverged_else_left_out(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    for path in paths:
        write_probes(path, [row for row in make_probes(path) if row["seed"] != 2])
    change_result(paths[0], diverge(2))
    row, other = rows_of(tmp_path, metric="weight_norm")
    assert (row["status"], row["n"], row["diverged"]) == ("diverged", "3", "1")
    assert (other["status"], other["n"]) == ("done", "2")


def test_some_layers_as_rows(tmp_path: Path) -> None:
    make_probed_study(tmp_path)
    axes = {"metric": "weight_norm", "rows": "layer", "columns": "activation"}
    every = rows_of(tmp_path, **axes)
    some = rows_of(tmp_path, **axes, where=["layer=3", "layer=1"])
    assert [row["mean"] for row in some] == [r["mean"] for r in every if r["layer"] != "2"]


def test_an_edge_of_the_grid_is_no_matter_before_training(tmp_path: Path) -> None:
    def at_edge(result: dict[str, Any]) -> None:
        result["chosen_lr_at_edge"] = "highest"

    change_result(make_probed_study(tmp_path)[0], at_edge)
    assert "lr↑" in render(tmp_path, Request(metric="gradient_variance@end"))
    assert "lr↑" not in render(tmp_path, Request(metric="gradient_variance@start"))
