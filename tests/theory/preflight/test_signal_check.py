"""Predictions against measurements on networks that are wide enough for the theory."""

import math
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import nn

from study.config.configuration import Config
from study.data import Data, Split
from study.networks import INITIALIZERS, MLP, MODELS, NORMS
from study.theory.preflight import signal_check as module
from study.theory.preflight.rules import RULES, flags
from study.theory.preflight.signal_check import (
    SignalCheck,
    measured_start,
    predict_and_measure,
    predicted_check,
    start_of,
)
from study.theory.preflight.weights import VARIANCES as VARIANCES_OF
from tests import tiny

SEEDS = 8
VARIANCES = ("preactivation_variance", "activation_variance", "gradient_variance")
WIDE = "model.widths=[256,256,256,256]"


def random_data(shape: tuple[int, int, int] = (1, 12, 12), num: int = 200) -> Data:
    """Smooth noise around a mean image, of second moment 1."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num, *shape, generator=generator, dtype=torch.float64)
    x = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    x = x + 0.3 * torch.randn(1, *shape, generator=generator, dtype=torch.float64)
    split = Split(x / x.square().mean().sqrt(), torch.arange(num) % 10)
    return Data(split, split, split, tuple("abcdefghij"), "random", torch.nn.Identity())  # type: ignore[arg-type]


def checked(
    *overrides: str, seeds: int = SEEDS, data: Data | None = None, model: str = "mlp"
) -> SignalCheck:
    own = [WIDE] if model == "mlp" else []
    config = tiny.config(*own, *overrides, f"seeds={seeds}", model=model)
    data = data or random_data()
    check = predicted_check(config, data, data.val)
    for seed in range(seeds):
        check.measured[seed] = measured_start(config, data, data.val, seed)
    return check


def agree(check: SignalCheck, tolerance: float) -> None:
    for probe in VARIANCES:
        for layer, value in enumerate(check.predicted[probe]):
            assert value == pytest.approx(fmean(check.spread(probe, layer)), rel=tolerance), probe


@pytest.mark.parametrize(
    "overrides",
    [
        ["activation=identity", "init=lecun_normal"],
        ["activation=relu", "init=he_normal"],
        ["activation=relu", "init=torch_default"],
        ["activation=tanh", "init=xavier_uniform"],
        ["activation=tanh", "init=orthogonal", "init.gain=auto"],
        ["activation=sigmoid", "init=standard"],
        ["activation=elu", "init=he_average", "init.bias=0.2"],
        ["activation=maxout", "init=lecun_normal"],
        ["activation=gelu", "init=lsuv"],
        ["activation=relu", "init=normal", "norm=batch"],
        ["activation=tanh", "init=he_uniform", "norm=batch", "norm.position=after"],
        ["activation=maxout", "init=he_uniform", "norm=batch", "norm.position=after"],
    ],
    ids=" ".join,
)
def test_measured_is_what_was_predicted(overrides: list[str]) -> None:
    agree(checked(*overrides), tolerance=0.25)


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_convolutions_come_within_a_factor_of_one_and_a_half(pool: str, activation: str) -> None:
    keys = [f"model.pool={pool}", "model.channels=[[48],[48]]", "model.head=[64]"]
    check = checked(f"activation={activation}", *keys, model="cnn", seeds=4)
    for probe in VARIANCES:
        for layer, value in enumerate(check.predicted[probe]):
            assert 2 / 3 < fmean(check.spread(probe, layer)) / value < 1.5, (probe, layer)


def test_an_autoencoders_code_is_linear() -> None:
    keys = ["model.widths=[200,100]", "model.code=50", "data.normalize=unit", "activation=sigmoid"]
    check = checked(*keys, "init=xavier_normal", model="autoencoder", data=unit_data())
    assert check.predicted["activation_variance"][2] == pytest.approx(
        check.predicted["preactivation_variance"][2]
    )
    agree(check, tolerance=0.35)


def unit_data() -> Data:
    raw = random_data()
    split = Split(raw.val.inputs.sigmoid(), raw.val.labels)
    return Data(split, split, split, raw.classes, "unit", raw.normalize)


@pytest.mark.parametrize(
    ("overrides", "codes"),
    [
        (["init=he_normal"], []),
        (["init=zeros"], ["A-", "G-", "D", "S"]),
        (["init=zeros", "activation=tanh"], ["A-", "G-", "S"]),
        (["init=normal", "init.std=0.001"], ["A-", "G-"]),
        (["init=normal", "init.std=1"], ["A+", "G+"]),
        (["init=normal", "init.std=0.001", "norm=batch", "norm.eps=1e-12"], []),
        (["init=he_normal", "init.bias=-9"], ["A-", "G-", "D"]),
        (["model.widths=[]"], []),
    ],
    ids=" ".join,
)
def test_flags_on_known_cases(overrides: list[str], codes: list[str]) -> None:
    check = checked(*overrides, seeds=2)
    assert check.measured_flags == codes
    assert check.predicted_flags == codes


def test_constant_weights_are_measured_alone_but_never_break_symmetry() -> None:
    check = checked("init=constant", "activation=tanh", seeds=2)
    assert check.predicted_flags == ["S"]
    assert "S" in check.measured_flags


def test_a_flag_needs_half_of_the_seeds() -> None:
    check = checked("init=he_normal", seeds=3)
    check.measured[0]["activation_variance"][-1] = math.nan
    assert check.measured_flags == []
    assert check.flags_of_seeds[0] == ["A+"]
    check.measured[2]["activation_variance"][-1] = math.inf
    assert check.measured_flags == ["A+"]


def test_thresholds_are_exclusive() -> None:
    base = {"activation_variance": [1.0, 1e-4], "gradient_variance": [1e4, 1.0]}
    base |= {"dead_fraction": [0.24, 0.0], "distinct_units": [1.0, 5.0]}
    assert flags(base, [1, 5]) == []
    base["activation_variance"] = [1.0, 0.9e-4]
    base["gradient_variance"] = [1.1e4, 1.0]
    base["dead_fraction"], base["distinct_units"] = [0.25, 0.0], [5.0, 1.0]
    assert flags(base, [5, 5]) == ["A-", "G+", "D", "S"]
    unknown = {name: [math.nan] * 2 for name in base}
    assert flags(unknown, [5, 5]) == []
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_cells_that_start_alike_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def count(config: Any, data: Any, batch: Any, seed: int) -> dict[str, list[float]]:
        calls.append(seed)
        return measured_start(config, data, batch, seed)

    monkeypatch.setattr(module, "measured_start", count)
    monkeypatch.setattr(module, "data_of", lambda config: tiny.data())
    keys = ["optimizer.lr=0.5", "optimizer=adam", "batch_size=8", "data.crop=1", "init=zeros"]
    checks = list(
        predict_and_measure(
            [tiny.config("seeds=2"), *(tiny.config("seeds=2", key) for key in keys)]
        )
    )
    assert calls == [0, 1, 0, 1]
    assert all(check is checks[0] for check in checks[:-1])
    other = [tiny.config(key) for key in ("seeds=[1]", "data.normalize=unit", "init.bias=0.1")]
    assert len({start_of(config) for config in [tiny.config(), *other]}) == 4


class Halved(nn.Module):
    """A norm of one's own."""

    def __init__(self, num_features: int) -> None:
        super().__init__()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


class Residual(MLP):
    """A forward of one's own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks[0](x)
        for block in list(self.blocks)[1:]:
            x = x + block(x)
        return self.output(x)


@pytest.mark.parametrize(
    ("group", "registry", "entry", "remark"),
    [
        ("norm", NORMS, Halved, "predicted as if there were no Halved"),
        (
            "model",
            MODELS,
            (lambda shape, classes, **keys: Residual(256, classes, **keys), Residual),
            "predicted as if Residual had no forward of its own",
        ),
        (
            "init",
            INITIALIZERS,
            lambda weight, generator: weight.fill_(0.1),
            "without a prediction: only data can say what init=own draws",
        ),
    ],
)
def test_what_theory_does_not_know_is_said_and_measured(
    group: str, registry: dict[str, Any], entry: Any, remark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "data_of", lambda config: tiny.data())
    monkeypatch.setitem(registry, "own", entry)
    monkeypatch.setitem(VARIANCES_OF, "own", lambda shape, keys: math.nan)
    config = tiny.config("model.widths=[8,8,8]")
    keys = {"widths": [8, 8, 8], "dropout": 0.0} if group == "model" else {}
    other = Config.from_mapping({**config.mapping, group: {"name": "own", **keys}})
    plain, own = predict_and_measure([config, other])
    assert own.remarks == (remark,)
    assert plain.remarks == ()
    assert own.measured[0]["activation_variance"] != plain.measured[0]["activation_variance"]
    if group == "init":
        assert all(math.isnan(value) for values in own.predicted.values() for value in values)
    else:
        assert own.predicted == plain.predicted


def test_a_start_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_data()
    black = Split(torch.zeros_like(data.val.inputs), data.val.labels)
    dark = Data(black, black, black, data.classes, "black", data.normalize)
    monkeypatch.setattr(module, "data_of", lambda config: dark)
    (check,) = predict_and_measure([tiny.config("init=lsuv")])
    assert check.error is not None
    assert "has variance 0" in check.error
    assert check.measured == {}
