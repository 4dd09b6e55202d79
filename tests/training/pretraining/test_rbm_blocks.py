"""Which layers an RBM trains, on which data, and what the block computes afterwards."""

import re

import pytest
import torch
from torch import Tensor, nn

from study.errors import InputError
from study.networks import BatchNorm, Block
from study.training.pretraining.rbm_training import check_inputs, hidden_units
from tests.rbm_trainees import NUM_HIDDEN, NUM_VISIBLE, dense, labelled, patterns, train, trainee


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


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
