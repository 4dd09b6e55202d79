"""Tasks: what outputs are compared with, alone and stacked, and what a reconstruction refuses."""

import math
import re
from typing import Any

import pytest
import torch

from study.config.configuration import Config
from study.data import Split
from study.errors import InputError
from study.training import Evaluation, Population, Replica, Settings
from study.training.build import initial_network
from study.training.references import principal_energies
from study.training.settings import EVALUATION_BATCH, RECONSTRUCTION_BATCH
from study.training.task import make_task
from tests import tiny
from tests.combinations import REPLICAS, assert_close

LOSSES = {"cross_entropy": "unit", "squared_error": "standard"}
SHAPE = (2, 3, 4)
SMALL = ("model.widths=[9,6]", "model.code=3", "optimizer.lr=0.002", "batch_size=8")


def config(*overrides: str, loss: str = "cross_entropy") -> Config:
    own = (f"loss={loss}", f"data.normalize={LOSSES[loss]}")
    return tiny.config(*SMALL, *own, *overrides, model="autoencoder")


def data(loss: str = "cross_entropy") -> Any:
    return tiny.data(shape=SHAPE, normalize=LOSSES[loss])


def shown(outputs: torch.Tensor, loss: str) -> torch.Tensor:
    return outputs.sigmoid() if loss == "cross_entropy" else outputs


def by_hand(population: Population, split: Split, loss: str) -> tuple[float, float]:
    """Mean loss and error of the first replica over a split."""
    network = population.engine.networks[0].eval()
    x = split.inputs.flatten(1)
    with torch.no_grad():
        outputs = network(split.inputs)
    error = (shown(outputs, loss) - x).square().sum(1)
    if loss == "cross_entropy":
        p = outputs.sigmoid()
        losses = -(x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    else:
        losses = error
    return float(losses.mean()), float(error.mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_error_are_sums_over_pixels_and_means_over_images(loss: str) -> None:
    population = tiny.train(config("norm=batch", "model.dropout=0.2", loss=loss), data(loss))
    last = population.evaluations["last"]
    for name, result in last.items():
        measured = float(result.loss[0]), float(result.error[0])
        split = getattr(tiny.data_of(population), name)
        assert measured == pytest.approx(by_hand(population, split, loss), rel=1e-10)
        assert set(result.predictions.flatten().tolist()) == {-1}
    row = population.progress[0].curve[-1]
    assert row["val_error"] == pytest.approx(float(last["val"].error[0]))
    assert all(math.isfinite(value) for value in row.values())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_of_zeros_reconstructs_a_constant(loss: str) -> None:
    population = tiny.build(config("init=zeros", loss=loss), data(loss))
    x = tiny.data_of(population).val.inputs.flatten(1)
    result = population.engine.evaluate(tiny.data_of(population).val)
    if loss == "cross_entropy":
        assert float(result.loss[0]) == pytest.approx(x.shape[1] * math.log(2))
        assert float(result.error[0]) == pytest.approx(float((x - 0.5).square().sum(1).mean()))
    else:
        assert float(result.error[0]) == pytest.approx(float(x.square().sum(1).mean()))
        assert float(result.loss[0]) == pytest.approx(float(result.error[0]))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_epochs_running_means_are_those_of_its_batches(loss: str) -> None:
    """At a learning rate of nothing they are the means over the training images."""
    settings = config("optimizer.lr=1e-30", "batch_size=10", "trainer.max_epochs=1", loss=loss)
    population = tiny.train(settings, data(loss))
    row = population.progress[0].curve[-1]
    measured = row["train_loss"], row["train_error"]
    expected = by_hand(population, tiny.data_of(population).train, loss)
    assert measured == pytest.approx(expected, rel=1e-10)


OVERRIDES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "norm": ("norm=batch",),
    "norm after": ("norm=batch", "norm.position=after", "norm.noise=0.5"),
    "evaluation": ("norm=batch", "norm.evaluation=batch", "norm.eval_batch_size=9"),
    "dropout": ("model.dropout=0.3", "activation=maxout", "init=normal"),
    "prelu": ("activation=prelu", "init=torch_default"),
    "no widths": ("model.widths=[]",),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("replicas", REPLICAS)
@pytest.mark.parametrize("kind", OVERRIDES)
def test_stacked_is_alone(kind: str, replicas: str, loss: str) -> None:
    chosen = [Replica(seed, (0.0005, 0.001)[rate]) for seed, rate in REPLICAS[replicas]]
    settings = config(*OVERRIDES[kind], loss=loss)
    alone = tiny.train(settings, data(loss), chosen)
    stacked = tiny.train(
        settings.changed({"population.engine": "stacked"}),
        data(loss),
        chosen,
    )
    assert len(stacked.engine.groups) == 1
    for index, replica in enumerate(alone.engine.replicas):
        place = stacked.engine.replicas.index(replica)
        own = alone.last_state(index)
        for name, value in stacked.last_state(place).items():
            assert_close(value, own[name], (replica, name))
        for split, result in stacked.evaluations["best"].items():
            assert_same(result, place, alone.evaluations["best"][split], index)
        rows = zip(stacked.progress[place].curve[1:], alone.progress[index].curve[1:], strict=True)
        for first, second in rows:
            names = [name for name in first if name != "seconds"]
            assert [first[name] for name in names] == pytest.approx(
                [second[name] for name in names], rel=1e-10
            )


def assert_same(first: Evaluation, one: int, second: Evaluation, other: int) -> None:
    assert_close(first.loss[one], second.loss[other], "loss")
    assert_close(first.error[one], second.error[other], "error")
    assert torch.equal(first.predictions[one], second.predictions[other])


def test_a_linear_autoencoder_approaches_pca_from_above() -> None:
    """No linear code leaves less (Eckart & Young 1936), and training ends close to the best."""
    images = tiny.data(shape=(1, 4, 4), normalize="centre")
    settings = config(
        "model.widths=[]", "data.normalize=centre", "activation=identity", "init=xavier_uniform",
        "optimizer=adam", "optimizer.lr=0.03", "batch_size=70", "trainer.max_epochs=600",
        "schedule=cosine", loss="squared_error",
    )  # fmt: skip
    population = tiny.train(settings, images)
    energies, _ = principal_energies([images.train.inputs], images.test.inputs)
    best = float(energies[3:].sum())
    reached = float(population.evaluations["last"]["train"].error[0])
    before = by_hand(tiny.build(settings, images), images.train, "squared_error")[1]
    print(f"linear autoencoder: {before:.4f} -> {reached:.4f}, PCA-3 {best:.4f}")
    assert best <= reached < 1.01 * best
    assert reached < before


def test_outputs_that_are_not_finite_have_an_infinite_error() -> None:
    for loss, normalize in LOSSES.items():
        task = make_task(config(f"data.normalize={normalize}", loss=loss))
        outputs = torch.tensor([[0.0, 0.0], [math.nan, 0.0], [0.0, 1e30], [math.inf, 0.0]])
        found, classes = task.judge(outputs, torch.zeros(4, 2))
        errors = found.tolist()
        assert math.isfinite(errors[0])
        assert errors[1] == math.inf
        assert loss == "cross_entropy" or errors[2:] == [math.inf, math.inf]
        assert classes.tolist() == [-1] * 4


def test_a_diverged_autoencoder_is_recorded_as_one() -> None:
    population = tiny.train(
        config("optimizer.lr=1e30", loss="squared_error"), data("squared_error")
    )
    (progress,) = population.progress
    assert progress.diverged()
    assert progress.best_epoch is None
    assert float(population.evaluations["best"]["val"].error[0]) == math.inf


def test_targets_are_the_labels_or_the_flat_inputs() -> None:
    inputs, labels = torch.rand(5, *SHAPE), torch.arange(5)
    assert make_task(tiny.config()).target(inputs, labels) is labels
    assert torch.equal(make_task(config()).target(inputs, labels), inputs.flatten(1))


def test_few_outputs_of_a_reconstruction_are_kept_at_once() -> None:
    many, few = Settings.from_config(tiny.config()), Settings.from_config(config())
    assert (many.task.updates_at_once, few.task.updates_at_once) == (64, 1)
    assert (many.eval_batch_size, few.eval_batch_size) == (EVALUATION_BATCH, RECONSTRUCTION_BATCH)


def test_an_untrained_network_is_worse_than_the_mean_image() -> None:
    images = data()
    network = initial_network(config(), images, 0).double().eval()
    with torch.no_grad():
        outputs = network(images.train.inputs).sigmoid()
    x = images.train.inputs.flatten(1)
    untrained = float((outputs - x).square().sum(1).mean())
    mean = float((x - x.mean(0)).square().sum(1).mean())
    assert mean < untrained < x.shape[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("input_noise=0.1",), "input_noise=0.1 beside model=autoencoder: it reconstructs its "
         "inputs as they are; set input_noise=0.0"),
        (("data.flip=true",), "data.flip=true beside model=autoencoder"),
        (("data.crop=2",), "set data.crop=0"),
        (("data.normalize=standard",), "reconstructs inputs in [0, 1], which "
         "data.normalize=standard does not give: set data.normalize=unit or data.normalize=binary, "
         "or loss=squared_error"),
        (("data.normalize=none",), "data.normalize=none does not give"),
    ],
)  # fmt: skip
def test_what_changes_the_target_or_leaves_its_range_is_refused(
    overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        Settings.from_config(config(*overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("normalize", ["unit", "binary"])
def test_cross_entropy_takes_what_lies_between_0_and_1(normalize: str) -> None:
    Settings.from_config(config(f"data.normalize={normalize}"))


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(InputError, match="hinge"):
        Settings.from_config(config().changed({"loss": "hinge"}))
