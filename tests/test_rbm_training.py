"""A layer trained as an RBM: updates by hand, likelihood by enumeration, resumption, refusals."""

import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.errors import InputError
from study.networks import BatchNorm, Block
from study.pretraining import rbm_training
from study.pretraining.rbm import Rbm, contrastive_divergence, pseudo_likelihood
from study.pretraining.rbm_training import RbmSettings, RbmTrainee, check_inputs, hidden_units
from study.pretraining.trainee import Labelled, Trainee

NUM_VISIBLE, NUM_HIDDEN = 6, 4
LABELS = torch.zeros(0, dtype=torch.int64)


def streams(seed: int = 0) -> Callable[[str, int], torch.Generator]:
    def generator(purpose: str, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{purpose}/{epoch}".encode()))

    return generator


def dense(activation: nn.Module | None = None, **keys: Any) -> Block:
    layer = nn.Linear(NUM_VISIBLE, NUM_HIDDEN, bias=keys.pop("bias", True)).double()
    nn.init.normal_(layer.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    if layer.bias is not None:
        nn.init.normal_(layer.bias, std=0.1, generator=torch.Generator().manual_seed(1))
    return Block(layer, activation=activation or nn.Sigmoid(), **keys).double()


def trainee(
    block: Block | None = None, seed: int = 0, keys: dict[str, Any] | None = None, **settings: Any
) -> RbmTrainee:
    chosen = RbmSettings(**{"batch_size": 10, **settings})
    return RbmTrainee(block or dense(), streams(seed), chosen, **(keys or {}))


def patterns(num: int = 60, seed: int = 0) -> Tensor:
    """Two patterns of six bits, each bit flipped with probability 0.1."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randint(2, (num, 1), generator=generator)
    bits = torch.cat([pattern.expand(-1, 3), 1 - pattern.expand(-1, 3)], 1)
    flips = torch.rand(num, NUM_VISIBLE, generator=generator) < 0.1
    return (bits ^ flips).double()


def labelled(inputs: Tensor) -> Labelled:
    return inputs, torch.zeros(len(inputs), dtype=torch.int64)


def train(pupil: RbmTrainee, epochs: range, data: Tensor | None = None) -> list[float]:
    inputs = patterns() if data is None else data
    return [pupil.train_epoch(inputs, LABELS, epoch=epoch, tick=lambda: None) for epoch in epochs]


def negative_log_likelihood(rbm: Rbm, data: Tensor) -> float:
    axis = torch.tensor([0.0, 1.0], dtype=torch.float64)
    every = torch.cartesian_prod(*[axis] * NUM_VISIBLE)
    return float(rbm.free_energy(data).mean() + torch.logsumexp(-rbm.free_energy(every), 0))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("cd_steps", [1, 3])
@pytest.mark.parametrize(
    ("persistent", "lr", "epochs"), [(False, 0.02, 50), (True, 0.005, 200)], ids=["cd", "pcd"]
)
def test_training_raises_the_likelihood(persistent, lr, epochs, cd_steps):
    pupil, data = trainee(lr=lr, persistent=persistent, cd_steps=cd_steps), patterns()
    before = negative_log_likelihood(pupil.rbm, data)
    train(pupil, range(epochs))
    assert negative_log_likelihood(pupil.rbm, data) < before - 1
    assert negative_log_likelihood(pupil.rbm, patterns(500, seed=1)) < before - 1


@pytest.mark.parametrize("settings", [{}, {"persistent": True}], ids=str)
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_reconstruction_error_falls(visible, settings):
    pupil = trainee(keys={"visible": visible}, lr=0.02, **settings)
    errors = train(pupil, range(40))
    assert errors[-1] < 0.8 * errors[0]


def test_updates_are_those_written_by_hand():
    """Momentum 0.5 for two epochs, then 0.9; weight cost on weights alone."""
    lr, cost, data = 0.3, 0.05, patterns(25)
    pupil = trainee(lr=lr, weight_cost=cost, momentum_switch=2)
    w, a, b = pupil.rbm.weight.clone(), torch.zeros(NUM_VISIBLE).double(), pupil.rbm.hidden_bias
    b, generator = b.clone(), streams()
    dw, da, db = torch.zeros_like(w), torch.zeros_like(a), torch.zeros_like(b)
    for epoch, momentum in enumerate([0.5, 0.5, 0.9, 0.9]):
        gibbs = generator("gibbs", epoch)
        order = torch.randperm(25, generator=generator("order", epoch))
        errors = []
        for batch in (order[:10], order[10:20]):
            phases = contrastive_divergence(Rbm(w, a, b), data[batch], steps=1, generator=gibbs)
            (v, h), (chain_v, chain_h) = phases.positive, phases.negative
            errors.append(float((v - chain_v).square().sum()) / 10)
            dw = momentum * dw + lr * ((h.T @ v - chain_h.T @ chain_v) / 10 - cost * w)
            da = momentum * da + lr * (v - chain_v).mean(0)
            db = momentum * db + lr * (h - chain_h).mean(0)
            w, a, b = w + dw, a + da, b + db
        mean_error = sum(errors) / 2
        assert train(pupil, range(epoch, epoch + 1), data) == pytest.approx([mean_error])
    torch.testing.assert_close(pupil.rbm.weight, w)
    torch.testing.assert_close(pupil.visible_bias, a)
    torch.testing.assert_close(pupil.rbm.hidden_bias, b)


def test_published_settings_are_the_defaults():
    settings = RbmSettings()
    assert [settings.momentum_of(epoch) for epoch in range(7)] == [0.5] * 5 + [0.9] * 2
    assert (settings.lr, settings.batch_size, settings.weight_cost) == (0.1, 100, 2e-4)


@pytest.mark.parametrize("num_examples", [7, 10, 29, 60])
def test_an_epoch_has_every_full_batch(num_examples):
    pupil, ticks = trainee(), []
    for epoch in range(2):
        pupil.train_epoch(patterns(num_examples), LABELS, epoch=epoch, tick=lambda: ticks.append(1))
    assert pupil.updates == len(ticks) == 2 * max(1, num_examples // 10)


@pytest.mark.parametrize("persistent", [False, True])
def test_training_is_a_function_of_its_streams(persistent):
    pupils = [trainee(seed=seed, persistent=persistent) for seed in (0, 0, 1)]
    before = torch.get_rng_state()
    for index, pupil in enumerate(pupils):
        train(pupil, range(3))
        pupil.measure(labelled(patterns()), labelled(patterns(9, seed=1)), epoch=index)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(pupils[0].state_dict(), pupils[1].state_dict())
    assert not same(pupils[0].state_dict(), pupils[2].state_dict())


@pytest.mark.parametrize("persistent", [False, True])
def test_resumed_is_uninterrupted(persistent):
    straight = trainee(persistent=persistent)
    losses = train(straight, range(7))
    resumed: list[float] = []
    state = trainee(persistent=persistent).state_dict()
    for epoch in range(7):
        pupil = trainee(persistent=persistent)
        pupil.load_state_dict(state)
        resumed += train(pupil, range(epoch, epoch + 1))
        state = pupil.state_dict()
    assert resumed == losses
    assert same(state, straight.state_dict())
    assert ("chains" in state) == persistent


def test_a_state_is_a_copy():
    pupil = trainee(persistent=True)
    train(pupil, range(1))
    state = pupil.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    train(pupil, range(1, 2))
    pupil.load_state_dict(state)
    train(pupil, range(1, 2))
    assert same(state, kept)


def test_persistent_chains_live_on():
    pupil = trainee(persistent=True)
    assert "chains" not in pupil.state_dict()
    train(pupil, range(1))
    chains = pupil.state_dict()["chains"]
    assert chains.shape == (10, NUM_HIDDEN)
    train(pupil, range(1, 2))
    assert pupil.state_dict()["chains"].shape == chains.shape


def test_monitors_are_means_over_the_splits(monkeypatch):
    pupil, train_inputs, val_inputs = trainee(), patterns(8), patterns(8, seed=1)
    train(pupil, range(3))
    arguments = labelled(train_inputs), labelled(val_inputs)
    monitors = pupil.measure(*arguments, epoch=0)
    for split, inputs in (("train", train_inputs), ("val", val_inputs)):
        free_energy = float(pupil.rbm.free_energy(inputs).mean())
        error = float((inputs - pupil.rbm.reconstruct(inputs)).square().sum(1).mean())
        assert monitors.pop(f"{split}_free_energy") == pytest.approx(free_energy)
        assert monitors.pop(f"{split}_reconstruction_error") == pytest.approx(error)
    gap = pupil.rbm.free_energy(val_inputs).mean() - pupil.rbm.free_energy(train_inputs).mean()
    assert monitors.pop("free_energy_gap") == pytest.approx(float(gap))
    first = pseudo_likelihood(pupil.rbm, train_inputs, streams()("monitor", 0)).mean()
    assert monitors.pop("train_pseudo_likelihood") == pytest.approx(float(first))
    assert monitors.keys() == {"val_pseudo_likelihood"}
    whole = pupil.measure(*arguments, epoch=0)
    monkeypatch.setattr(rbm_training, "EVALUATION_BATCH", 3)
    in_parts = pupil.measure(*arguments, epoch=0)
    for name in whole.keys() - {"train_pseudo_likelihood", "val_pseudo_likelihood"}:
        assert in_parts[name] == pytest.approx(whole[name])


def test_monitors_see_the_same_examples_at_every_epoch():
    pupil = trainee()
    arguments = labelled(patterns(60)), labelled(patterns(9, seed=1))
    assert pupil.measure(*arguments, epoch=0) == pupil.measure(*arguments, epoch=5)


def test_the_gap_grows_with_overfitting():
    pupil, few, val = trainee(weight_cost=0.0), patterns(10, seed=4), patterns(500, seed=1)
    gaps = []
    for start in (0, 200):
        train(pupil, range(start, start + 200), few)
        gaps.append(pupil.measure(labelled(few), labelled(val), epoch=0)["free_energy_gap"])
    assert 0 < gaps[0] < gaps[1]


def test_gaussian_units_have_no_pseudo_likelihood():
    monitors = trainee(keys={"visible": "gaussian"}).measure(
        labelled(3 * patterns(9)), labelled(3 * patterns(9, seed=1)), epoch=0
    )
    assert not any("pseudo_likelihood" in name for name in monitors)


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.Identity()])
def test_written_back_the_block_computes_the_hidden_means(activation):
    block = dense(activation)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    pupil = trainee(block, lr=0.01)
    train(pupil, range(3))
    assert same(before, dict(block.state_dict()))
    fed = pupil.hidden(patterns())
    pupil.write_back()
    assert torch.equal(block(patterns()), fed)
    torch.testing.assert_close(fed, pupil.rbm.hidden_mean(patterns()))
    written = block.layer.weight.clone()
    train(pupil, range(3, 4))
    assert torch.equal(block.layer.weight, written)
    assert not torch.equal(pupil.rbm.weight, written)


def test_images_are_flattened():
    block = dense(flattens=True)
    pupils = [trainee(block), trainee(dense())]
    images = patterns().view(-1, 1, 2, 3)
    assert train(pupils[0], range(2), images) == train(pupils[1], range(2))
    val = patterns(9, seed=1)
    assert pupils[0].measure(labelled(images), labelled(val.view(-1, 1, 2, 3)), epoch=0) == pupils[
        1
    ].measure(labelled(patterns()), labelled(val), epoch=0)
    assert torch.equal(pupils[0].hidden(images), pupils[1].hidden(patterns()))


def test_it_is_a_trainee():
    pupil: Trainee = trainee()
    assert pupil.updates == 0


@pytest.mark.parametrize(
    ("activation", "hidden", "mean_field", "kind"),
    [
        (nn.Sigmoid(), "auto", False, "bernoulli"),
        (nn.Sigmoid(), "bernoulli", False, "bernoulli"),
        (nn.Sigmoid(), "linear", True, "linear"),
        (nn.Identity(), "auto", False, "linear"),
        (nn.Identity(), "auto", True, "linear"),
        (nn.Identity(), "bernoulli", True, "bernoulli"),
        (nn.Tanh(), "auto", True, "bernoulli"),
        (nn.ReLU(), "linear", True, "linear"),
    ],
)
def test_kinds_of_hidden_units(activation, hidden, mean_field, kind):
    assert hidden_units(dense(activation), hidden, mean_field=mean_field, where="it") == kind
    assert trainee(dense(activation), keys={"hidden": kind, "mean_field": True}).rbm.hidden == kind


REFUSED = {
    "Tanh of blocks.1 is not the probability of a bernoulli hidden unit; "
    "use activation=sigmoid, or pretraining.mean_field=true": (dense(nn.Tanh()), "auto"),
    "Sigmoid of blocks.1 is not the mean of a linear hidden unit (pretraining.hidden=linear); "
    "use pretraining.hidden=auto, or": (dense(nn.Sigmoid()), "linear"),
    "Identity of blocks.1 is not the probability of a bernoulli": (
        dense(nn.Identity()),
        "bernoulli",
    ),
    "knows no norm, and blocks.1 has one; use norm=none, or": (
        dense(nn.Sigmoid(), norm=BatchNorm(NUM_HIDDEN)),
        "auto",
    ),
    "dense layers alone, and blocks.1 is a convolution; use pretraining=autoencoder": (
        Block(nn.Conv2d(1, 2, 3), activation=nn.Sigmoid()),
        "auto",
    ),
    "unknown pretraining.hidden 'binary' (did you mean 'linear'?); "
    "choose from: auto, bernoulli, linear": (
        dense(),
        "binary",
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_blocks(message):
    block, hidden = REFUSED[message]
    with pytest.raises(InputError, match=re.escape(message)):
        hidden_units(block, hidden, mean_field=False, where="blocks.1")


def test_a_convolution_is_refused_even_for_mean_field_use():
    with pytest.raises(InputError, match="blocks.0 is a convolution"):
        trainee(Block(nn.Conv2d(1, 2, 3)), keys={"mean_field": True, "where": "blocks.0"})


def test_mean_field_use_keeps_what_the_layer_has():
    block = dense(nn.ReLU(), norm=BatchNorm(NUM_HIDDEN), bias=False)
    pupil = trainee(block, keys={"mean_field": True})
    train(pupil, range(2))
    fed = pupil.hidden(patterns())
    pupil.write_back()
    assert torch.equal(block.layer.weight, pupil.rbm.weight)
    assert block.layer.bias is None
    assert torch.equal(block.eval()(patterns()), fed)


@pytest.mark.parametrize("inputs", [[-0.5, 1.0], [0.0, 1.01]])
def test_bernoulli_units_refuse_data_outside_the_unit_interval(inputs):
    data = torch.tensor(inputs).double().repeat(10, NUM_VISIBLE // 2)
    message = "the inputs of blocks.0 are in .*data.normalize=unit or binary.*visible=gaussian"
    pupil = trainee(keys={"where": "blocks.0"})
    with pytest.raises(InputError, match=message):
        train(pupil, range(1), data)
    check_inputs(data, "gaussian", where="blocks.0")
    with pytest.raises(InputError, match="unknown pretraining.visible 'linear'"):
        check_inputs(data, "linear", where="blocks.0")


def test_what_has_diverged_below_is_no_bad_input():
    check_inputs(torch.full((4, NUM_VISIBLE), float("nan")), "bernoulli", where="blocks.1")
