"""The numbers in what was found, which are written by hand, against the published outputs."""

from functools import cache
from statistics import fmean

import pytest
from scipy.stats import spearmanr

from docs.lecture.entries import PUBLISHED, read_lecture
from study.analysis.claims.quantities import epochs_to
from study.analysis.frames import Frames
from study.analysis.lookup import ProbeMetric, find_metric, with_probe
from study.outputs.records import CellRecord
from study.outputs.results import CHOSEN


@cache
def frames(study: str) -> Frames:
    return Frames.read(PUBLISHED / study)


def cells(study: str, **levels: str) -> list[CellRecord]:
    return [
        cell
        for cell in frames(study).finished
        if all(str(cell.factors[name.replace("__", ".")]) == at for name, at in levels.items())
    ]


def by_seed(cell: CellRecord, name: str, lr: float | None = None) -> dict[int, float]:
    """A metric or probe of the trained replicas at a learning rate, the chosen one if None."""
    metric = find_metric(name)
    (cell,) = with_probe([cell], metric) if isinstance(metric, ProbeMetric) else (cell,)
    values = {r.seed: metric.value(r) for r in cell.finished.at(lr or CHOSEN) if not r.diverged}
    return {seed: metric.scale * value for seed, value in values.items() if value is not None}


def mean_of(cell: CellRecord, name: str, lr: float | None = None) -> float:
    return fmean(by_seed(cell, name, lr).values())


def found(number: int) -> str:
    return " ".join(read_lecture().entries[number - 1].found)


def test_5_the_epochs_to_a_training_error() -> None:
    epochs = epochs_to("epochs_to_train_error", 25)

    def mean(activation: str, lr: float) -> float:
        (cell,) = cells("paper_krizhevsky", activation=activation)
        values = epochs.read(frames("paper_krizhevsky"), [cell], lr).values[cell.directory]
        return fmean(values.values())

    words = found(5)
    assert f"after {mean('tanh', 0.005):.1f} epochs on average" in words
    assert f"ReLU after {mean('relu', 0.005):.1f};" in words
    assert f"it takes {mean('tanh', 0.02):.1f} and ReLU {mean('relu', 0.02):.1f}," in words
    assert f"where it is fastest, {mean('relu', 0.01):.1f}." in words


def test_6_the_leaky_nets_that_did_not_diverge() -> None:
    (leaky,) = cells("dying_relu", activation="leaky_relu")
    (relu,) = cells("dying_relu", activation="relu", init="he_normal")
    errors = sorted(by_seed(leaky, "test_error", 0.1).values())
    assert len(errors) == 4
    words = found(6)
    assert (
        f"end at {errors[0]:.1f} to {errors[-1]:.1f} %, on average at {fmean(errors):.1f}" in words
    )
    assert f"end at {mean_of(relu, 'test_error', 0.1):.0f} %" in words


def test_8_no_unit_differs_from_the_others_of_its_layer() -> None:
    for init in ("zeros", "constant"):
        for cell in cells("initializations", init=init):
            assert set(by_seed(cell, "distinct_units@end").values()) == {1}


def test_12_nets_that_leave_chance_late() -> None:
    (cell,) = cells("paper_he30", activation="relu", init="xavier_uniform")
    *left, stuck = sorted(by_seed(cell, "test_error").values())
    assert stuck == pytest.approx(88.65)
    assert f"they end at {left[0]:.1f} to {left[-1]:.1f} %" in found(12)


def test_16_the_largest_rates_at_which_relu_nets_are_good() -> None:
    def largest(norm: str) -> set[float]:
        """By seed the largest rate within 2 points of the seed's best one."""
        (cell,) = cells("batchnorm_rates", activation="relu", norm=norm)
        rates = cell.finished.rates
        errors = {lr: by_seed(cell, "val_error", lr) for lr in rates}
        seeds = {seed for found in errors.values() for seed in found}
        best = {s: min(found[s] for found in errors.values() if s in found) for s in seeds}
        return {max(r for r in rates if errors[r].get(s, 100) <= best[s] + 2) for s in seeds}

    words = found(16)
    for norm, text in (
        ("none", "up to {:g} or {:g}, by seed, without"),
        ("batch", "{:g} or {:g} with"),
    ):
        assert text.format(*sorted(largest(norm))) in words


def test_23_noise_at_the_chosen_rates_and_at_one() -> None:
    none, noise = (
        cells("noise_jacobian", input_noise=level, optimizer__weight_decay="0.0")[0]
        for level in ("0.0", "0.3")
    )

    def change(name: str, lr: float | None) -> float:
        return 100 * (mean_of(noise, name, lr) / mean_of(none, name, lr) - 1)

    jacobian, norm = "jacobian_singular_value@end", "weight_norm@end"
    smaller = [-change(jacobian, lr) for lr in (None, 0.01, 0.03)]
    words = found(23)
    assert (
        f"smaller by {smaller[0]:.0f} % and their weights larger by {change(norm, None):.0f} %"
        in (words)
    )
    assert f"smaller by {smaller[1]:.0f} or {smaller[2]:.0f} % and changes weights by " in words
    assert f"by {change(norm, 0.01):+.1f} or {change(norm, 0.03):+.1f} %" in words


def test_24_the_correlation_over_initializations() -> None:
    words = found(24)

    def correlation(activation: str) -> tuple[int, float]:
        nets = cells("initializations", activation=activation)
        linear, errors = (
            [mean_of(cell, name) for cell in nets]
            for name in ("linear_fraction@start", "test_error")
        )
        return len(nets), float(spearmanr(linear, errors).statistic)

    number, tanh = correlation("tanh")
    assert f"are {number} initializations of one tanh net" in words
    other, relu = correlation("relu")
    assert f"{other} initializations the same net with ReLU" in words
    assert (
        f"rank correlation of {relu:+.2f}, as the lecture says, where tanh has {tanh:+.2f}."
        in words
    )
