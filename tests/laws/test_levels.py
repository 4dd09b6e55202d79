"""Every level of every group trains one epoch on tiny images, in both models where it applies."""

from pathlib import Path

import pytest
import torch

from study.config.configuration import levels
from study.config.level_source import OWN
from study.data import NORMALIZATIONS
from study.data.device import DTYPES
from study.data.module import data_of
from study.errors import InputError
from study.training import Population
from tests import tiny

MODELS = {
    "mlp": (),
    "cnn": ("model.channels=[[4],[4]]", "model.head=[8]"),
}
ALONE = {("init", "delta_orthogonal", "mlp")}
"""What does not apply: (group, level, model)."""

BOTH = [
    (group, level, model)
    for group in ("activation", "init", "norm", "optimizer", "schedule", "trainer", "probes",
                  "pretraining")
    for level in levels(group)
    for model in MODELS
    if (group, level, model) not in ALONE
]  # fmt: skip

VARIANTS: list[tuple[str, ...]] = [
    ("norm=batch", "norm.position=after"),
    ("norm=batch", "norm.evaluation=batch", "norm.eval_batch_size=1"),
    ("norm=batch", "norm.evaluation=batch", "norm.position=after"),
    ("norm=batch", "norm.noise=0.5", "norm.affine=false"),
    ("loss=squared_error",),
    ("input_noise=0.5",),
    ("model.dropout=0.5",),
    ("data.flip=true", "data.crop=2"),
    ("init=xavier_normal", "init.gain=auto"),
    ("init=lsuv", "norm=batch", "norm.position=after"),
    ("activation=maxout", "activation.pieces=3", "norm=batch"),
    ("optimizer.nesterov=true", "optimizer.weight_decay=0.1"),
    ("optimizer=rmsprop", "optimizer.momentum=0.5"),
    ("schedule=step", "schedule.every_epochs=0.5", "schedule.warmup_epochs=0.5"),
    ("trainer.precision=32-true",),
    ("trainer.precision=64-true",),
    ("trainer.precision=bf16-mixed", "norm=batch"),
    ("trainer.precision=bf16-mixed", "norm=batch", "norm.evaluation=batch"),
    (
        "trainer.precision=bf16-mixed",
        "loss=squared_error",
        "optimizer.lr=0.0001",
        "input_noise=1.0",
    ),
    ("trainer.precision=bf16-mixed", "norm=batch", "norm.noise=1.0", "model.dropout=0.5"),
    ("batch_size=1000",),
    ("batch_size=1", "norm=batch"),
]


def trained(overrides: tuple[str, ...], model: str) -> tuple[Population, list[str]]:
    """A population after one epoch, and the names of the parameters that changed."""
    config = tiny.config(
        "trainer.max_epochs=1", "trainer.precision=32-true", "trainer.accelerator=cpu",
        *MODELS[model], *overrides, model=model,
    )  # fmt: skip
    data = tiny.data(dtype=DTYPES[config.trainer.precision], num_train=20)
    population = tiny.build(config, data)
    before = population.last_state(0)
    tiny.test(tiny.fit(population, config), population, config)
    after = population.last_state(0)
    parameters = dict(population.engine.networks[0].named_parameters())
    changed = [name for name in parameters if not torch.equal(before[name], after[name])]
    return population, changed


def check_finite(population: Population) -> None:
    row = population.progress[0].curve[-1]
    assert all(value == value and abs(value) < 1e6 for value in row.values())
    for when in ("best", "last"):
        for evaluation in population.evaluations[when].values():
            assert bool(evaluation.loss.isfinite().all())


@pytest.mark.parametrize(("group", "level", "model"), BOTH)
def test_a_level_trains(group: str, level: str, model: str) -> None:
    is_own = level in OWN.get(f"{group}.name", (level,))
    rate = ("optimizer.lr=0.05",) if group == "optimizer" else ()
    population, changed = trained((f"{group}={level}", *rate), model)
    if is_own:  # another one may diverge here
        check_finite(population)
    parameters = dict(population.engine.networks[0].named_parameters())
    if (group, level) == ("init", "zeros"):
        assert changed == ["output.bias"]
    elif (group, level) == ("init", "constant"):
        # Equal rows of output weights: the gradients of the classes cancel behind them.
        assert {"output.weight", "output.bias"} <= set(changed)
    elif not is_own:
        assert changed
    else:
        assert set(changed) == set(parameters)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("overrides", VARIANTS)
def test_a_variant_trains(overrides: tuple[str, ...], model: str) -> None:
    if "batch_size=1" in overrides and model == "mlp":
        overrides = (*overrides, "model.widths=[8]")
    population, changed = trained(overrides, model)
    check_finite(population)
    assert "output.weight" in changed or "batch_size=1" in overrides
    assert "output.bias" in changed


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 9)])
@pytest.mark.parametrize("level", levels("model"))
def test_a_model_preset_trains_on_grey_and_colour_images(
    level: str, shape: tuple[int, int, int]
) -> None:
    overrides = ("data.normalize=unit", "optimizer.lr=0.001") if level == "autoencoder" else ()
    config = tiny.config(
        "trainer.max_epochs=1", "trainer.precision=32-true", *overrides, model=level
    )
    normalize = config.data.normalize
    data = tiny.data(num_train=20, dtype=torch.float32, shape=shape, normalize=normalize)
    check_finite(tiny.train(config, data))


AUTOENCODER = ("model.widths=[8]", "model.code=4", "data.normalize=unit", "optimizer.lr=0.001")


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.precision=bf16-mixed", "norm=batch", "model.dropout=0.5"),
        ("trainer.precision=32-true", "norm=batch", "norm.noise=1.0", "population.engine=stacked"),
        ("loss=squared_error", "batch_size=1000", "init=lsuv"),
        ("activation=maxout", "init=xavier_normal", "init.gain=auto", "optimizer=adam"),
    ],
)
def test_an_autoencoder_trains(overrides: tuple[str, ...]) -> None:
    config = tiny.config("seeds=2", *AUTOENCODER, *overrides, model="autoencoder")
    dtype = DTYPES[config.trainer.precision]
    check_finite(tiny.train(config, tiny.data(dtype=dtype, normalize="unit")))


@pytest.mark.parametrize("widths", ["[]", "[1]", "[4,4,4,4,4,4]"])
def test_an_mlp_of_any_depth_trains(widths: str) -> None:
    config = tiny.config(f"model.widths={widths}")
    check_finite(tiny.train(config))


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_a_normalization_trains(normalize: str) -> None:
    config = tiny.config(f"data.normalize={normalize}", "optimizer.lr=0.0001")
    check_finite(tiny.train(config, tiny.data(normalize=normalize)))


def test_delta_orthogonal_is_refused_without_convolutions() -> None:
    with pytest.raises(InputError, match="delta_orthogonal"):
        tiny.build(tiny.config("init=delta_orthogonal"))


def test_an_image_folder_trains(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path / "images")
    config = tiny.config("data=image_folder", f"data.root={root}", "data.val_size=0.2")
    check_finite(tiny.train(config, data_of(config)))


@pytest.mark.parametrize("model", MODELS)
def test_mnist_trains(model: str) -> None:
    config = tiny.config(
        "data=mnist", "data.train_size=64", "data.test_size=50", "data.val_size=100",
        "trainer.precision=32-true", *MODELS[model], model=model,
    )  # fmt: skip
    check_finite(tiny.train(config, data_of(config)))
