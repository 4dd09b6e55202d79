"""A layer trained as an RBM: updates by hand, likelihood by enumeration, resumption."""

import pytest
import torch
from torch import Tensor

from study.training.pretraining import rbm_training
from study.training.pretraining.rbm import Rbm, contrastive_divergence, pseudo_likelihood
from study.training.pretraining.rbm_training import RbmSettings
from study.training.pretraining.trainee import Trainee
from tests.rbm_trainees import (
    LABELS,
    NUM_HIDDEN,
    NUM_VISIBLE,
    labelled,
    patterns,
    streams,
    train,
    trainee,
)


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
    pupil = trainee()
    ticks: list[None] = []
    for epoch in range(2):
        ticks += pupil.train_epoch(patterns(num_examples), LABELS, epoch=epoch)
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


def test_it_is_a_trainee():
    pupil: Trainee = trainee()
    assert pupil.updates == 0
