"""Plain modules against hand-written loops: what each replica becomes, alone or not."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.config.configuration import Config
from study.data import Data, Split, augment
from study.data.batches import Streams
from study.errors import InputError
from study.networks import set_generators
from study.training import Replica, Settings
from study.training.build import initial_network, replicas_of
from study.training.optimizers import learning_rate_factors
from study.training.population import Progress
from study.training.task import LOSSES
from tests import tiny

CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("mlp", ()),
    "dropout": ("mlp", ("model.dropout=0.5",)),
    "input noise": ("mlp", ("input_noise=0.3",)),
    "batch norm": ("mlp", ("norm=batch",)),
    "norm noise": ("mlp", ("norm=batch", "norm.noise=1.0", "input_noise=0.1")),
    "squared error": ("mlp", ("loss=squared_error", "optimizer.lr=0.01")),
    "schedule": ("mlp", ("schedule=cosine", "schedule.warmup_epochs=1")),
    "nesterov": ("mlp", ("optimizer.nesterov=true",)),
    "float32": ("mlp", ("trainer.precision=32-true", "input_noise=0.3", "model.dropout=0.2")),
    "pinned": ("mlp", ("streams.order=3", "streams.initialization=5")),
    "cnn": ("cnn", ("model.channels=[[4],[4]]", "model.head=[8]", "norm=batch")),
    "flip and crop": ("cnn", ("model.channels=[[4]]", "data.flip=true", "data.crop=2")),
    "bf16": ("mlp", ("trainer.precision=bf16-mixed", "norm=batch")),
}


def autocast(config: Config) -> Any:
    mixed = config.trainer.precision == "bf16-mixed"
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed)


def hand_batches(
    config: Config, data: Split, seed: int, epoch: int, network: nn.Module
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch as the design words them."""
    streams = Streams(config.streams)
    noise = streams.generator(seed, "noise", epoch)
    shifts = streams.generator(seed, "augmentation", epoch)
    set_generators(network, dropout=streams.generator(seed, "dropout", epoch), noise=noise)
    num = len(data.labels)
    order = torch.randperm(num, generator=streams.generator(seed, "order", epoch))
    size = min(config.batch_size, num)
    for batch in range(num // size):
        chosen = order[batch * size : (batch + 1) * size]
        x = data.inputs[chosen]
        x = augment(x, flip=config.data.flip, crop=config.data.crop, generator=shifts)
        if config.input_noise:
            x = x + config.input_noise * torch.randn(
                x.shape, generator=noise, dtype=torch.float32
            ).to(x.dtype)
        yield x, data.labels[chosen]


def by_hand(config: Config, data: Data, replica: Replica) -> tuple[nn.Module, list[float]]:
    """One replica trained by a plain loop: its network and each epoch's mean training loss."""
    torch.manual_seed(123)
    network = initial_network(config, data, replica.seed).to(data.train.inputs.dtype)
    keys = config.optimizer.level
    assert isinstance(keys["momentum"], float)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=replica.lr,
        momentum=keys["momentum"],
        nesterov=bool(keys["nesterov"]),
        fused=True,
    )
    curve = []
    for epoch in range(config.trainer.max_epochs):
        size = min(config.batch_size, len(data.train))
        factors = learning_rate_factors(
            config.schedule.level,
            epoch=epoch,
            num_epochs=config.trainer.max_epochs,
            updates_per_epoch=len(data.train) // size,
        )
        losses = []
        network.train()
        batches = hand_batches(config, data.train, replica.seed, epoch, network)
        for (x, y), factor in zip(batches, factors, strict=True):
            optimizer.param_groups[0]["lr"] = replica.lr * factor
            optimizer.zero_grad()
            with autocast(config):
                outputs = network(x)
            loss = LOSSES[config.loss](outputs.to(x.dtype), y).mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        curve.append(math.fsum(losses) / len(losses))
    return network.eval(), curve


@torch.no_grad()
def evaluated_by_hand(network: nn.Module, config: Config, split: Split) -> tuple[float, float]:
    """Mean loss and error over a split."""
    network.eval()
    with autocast(config):
        outputs = network(split.inputs)
    outputs = outputs.to(split.inputs.dtype)
    loss = LOSSES[config.loss](outputs, split.labels).double().mean()
    return float(loss), float((outputs.argmax(1) != split.labels).double().mean())


@pytest.mark.parametrize("case", CASES)
def test_every_replica_is_what_a_hand_written_loop_makes_of_it(case: str) -> None:
    model, overrides = CASES[case]
    config = tiny.config("seeds=2", "optimizer.lr=[0.02,0.05]", *overrides, model=model)
    population = tiny.train(config)
    data = tiny.data_of(population)
    for index, replica in enumerate(replicas_of(config)):
        network, curve = by_hand(config, data, replica)
        assert tiny.equal(population.last_state(index), dict(network.state_dict()))
        rows = population.progress[index].curve
        assert [row["train_loss"] for row in rows[1:]] == pytest.approx(curve, rel=1e-12)
        assert (rows[-1]["val_loss"], rows[-1]["val_error"]) == pytest.approx(
            evaluated_by_hand(network, config, data.val), rel=1e-12
        )
        for name in ("train", "val", "test"):
            last = population.evaluations["last"][name]
            assert (float(last.loss[index]), float(last.error[index])) == pytest.approx(
                evaluated_by_hand(network, config, getattr(data, name)), rel=1e-12
            )


@pytest.mark.parametrize("case", ["plain", "bf16"])
def test_epoch_0_is_the_state_before_training(case: str) -> None:
    model, overrides = CASES[case]
    config = tiny.config(*overrides, model=model)
    population = tiny.train(config)
    first = population.progress[0].curve[0]
    data = tiny.data_of(population)
    network = initial_network(config, data, 0).to(data.val.inputs.dtype)
    assert (first["val_loss"], first["val_error"]) == pytest.approx(
        evaluated_by_hand(network, config, tiny.data_of(population).val), rel=1e-12
    )
    assert math.isnan(first["train_loss"])
    assert [row["epoch"] for row in population.progress[0].curve] == [0, 1, 2]


@pytest.mark.parametrize("case", ["plain", "dropout", "norm noise", "cnn"])
def test_a_replica_is_the_same_alone_and_among_others(case: str) -> None:
    model, overrides = CASES[case]
    config = tiny.config(
        "seeds=3", "optimizer.lr=[0.01,0.03]", "batch_size=10", "trainer.max_epochs=8", *overrides,
        model=model,
    )  # fmt: skip
    together = tiny.train(config)
    assert together.updates >= 50
    for index, replica in enumerate(replicas_of(config)):
        alone = tiny.train(config, replicas=[replica])
        assert tiny.equal(alone.last_state(0), together.last_state(index))
        assert without_seconds(alone.progress[0]) == without_seconds(together.progress[index])


def without_seconds(progress: Progress) -> str:
    return str([row | {"seconds": 0} for row in progress.curve])


def test_nothing_that_trained_before_changes_a_replica() -> None:
    config = tiny.config("model.dropout=0.3", "input_noise=0.1")
    first = tiny.train(config).last_state(0)
    torch.rand(1000)
    tiny.train(tiny.config("norm=batch", "trainer.precision=32-true"))
    assert tiny.equal(first, tiny.train(config).last_state(0))


@pytest.mark.parametrize(("num_train", "batch_size", "updates"), [(70, 16, 4), (10, 16, 1)])
def test_an_incomplete_last_batch_is_dropped_and_a_batch_is_at_most_the_training_set(
    num_train: int, batch_size: int, updates: int
) -> None:
    config = tiny.config(f"batch_size={batch_size}")
    population = tiny.build(config, tiny.data(num_train=num_train))
    sizes: list[int] = []
    network = population.engine.networks[0]
    network.register_forward_hook(lambda module, inputs, _: sizes.append(len(inputs[0])))
    trainer = tiny.fit(population, config)
    assert trainer.global_step == population.updates == 2 * updates
    trained = [size for size in sizes if size != 40]
    assert trained == [min(batch_size, num_train)] * (2 * updates)


def test_augmentation_and_noise_are_for_training_alone() -> None:
    config = tiny.config("data.flip=true", "data.crop=3", "input_noise=5.0", "model.dropout=0.9")
    population = tiny.build(config)
    data = tiny.data_of(population)
    first, second = (population.engine.evaluate(data.val) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    network = population.engine.networks[0]
    loss, error = evaluated_by_hand(network, config, data.val)
    assert (float(first.loss), float(first.error)) == pytest.approx((loss, error), rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 40, 500])
def test_evaluation_on_the_batchs_own_statistics_mixes_the_classes(size: int) -> None:
    config = tiny.config("norm=batch", "norm.evaluation=batch", f"norm.eval_batch_size={size}")
    data = tiny.data()
    by_class = data.val.labels.argsort(stable=True)
    split = Split(data.val.inputs[by_class], data.val.labels[by_class])
    population = tiny.build(config, data)
    network = population.engine.networks[0]
    seen: list[Tensor] = []
    hook = network.register_forward_hook(lambda module, inputs, out: seen.append(inputs[0]))
    result = population.engine.evaluate(split)
    hook.remove()
    assert [len(batch) for batch in seen] == [len(part) for part in split.labels.split(size)]
    predictions: dict[int, int] = {}
    losses = []
    for batch in seen:
        indices = [int((split.inputs == x).flatten(1).all(1).nonzero()) for x in batch]
        assert len(batch) < 5 or len(set(split.labels[indices].tolist())) > 1
        with torch.no_grad():
            outputs = network.eval()(batch)
        losses.append(nn.functional.cross_entropy(outputs, split.labels[indices], reduction="sum"))
        predictions |= dict(zip(indices, outputs.argmax(1).tolist(), strict=True))
    assert sorted(predictions) == list(range(40))
    assert result.predictions[0].tolist() == [predictions[index] for index in range(40)]
    assert float(result.loss[0]) == pytest.approx(float(sum(losses)) / 40)
    wrong = sum(predictions[index] != int(split.labels[index]) for index in range(40))
    assert float(result.error[0]) == wrong / 40


def test_running_statistics_do_not_depend_on_the_evaluation_batch() -> None:
    data = tiny.data()
    network = initial_network(tiny.config("norm=batch"), data, 0).double()
    first = network.eval()(data.val.inputs)
    torch.testing.assert_close(first[:3], network(data.val.inputs[:3]), rtol=1e-12, atol=1e-12)


def test_an_unknown_loss_is_refused() -> None:
    config = tiny.config().changed({"loss": "hinge"})
    with pytest.raises(InputError, match="hinge"):
        Settings.from_config(config)
