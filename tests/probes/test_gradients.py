"""Sign agreement: counted one weight at a time on gradients by plain autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from study.probes import gradients
from study.probes.gradients import convolution_sign_agreement, sign_agreement

dtypes = st.sampled_from([torch.float32, torch.float64])


def integers(stream, shape, dtype=torch.float64):
    """Small integers, many of them 0: their products and sums are exact."""
    return torch.tensor(stream.integers(-2, 3, shape) * stream.integers(0, 2, shape), dtype=dtype)


def agreement(weight_gradients):
    """Of an iterable of weight gradients, [U, ...] of one example each."""
    shares = []
    for unit in (unit.flatten() for example in weight_gradients for unit in example):
        positive, negative = int((unit > 0).sum()), int((unit < 0).sum())
        if positive + negative:
            shares.append(max(positive, negative) / (positive + negative))
    return np.mean(shares) if shares else math.nan


def by_autograd(layer, inputs, gradient, weight):
    """The weight gradients of each example: that of the outputs given."""
    for x, g in zip(inputs, gradient, strict=True):
        point = weight.detach().clone().requires_grad_()
        out = layer(x.unsqueeze(0), point).squeeze(0)
        yield torch.autograd.grad((out * g.view_as(out)).sum(), point)[0]


@given(*[st.integers(1, n) for n in (3, 6, 5, 4)], st.booleans(), st.integers(0, 2**32), dtypes)
def test_dense_agreement_is_counted_on_autograds_gradients(
    replicas, examples, features, units, shared, seed, dtype
):
    stream = np.random.default_rng(seed)
    inputs = integers(stream, (1 if shared else replicas, examples, features), dtype)
    gradient = integers(stream, (replicas, examples, units), dtype)
    found = sign_agreement(inputs, gradient)
    assert (found.shape, found.dtype) == ((replicas,), dtype)
    weight = torch.zeros(units, features, dtype=dtype)
    for replica in range(replicas):
        x = inputs[0 if shared else replica]
        each = by_autograd(functional.linear, x, gradient[replica], weight)
        np.testing.assert_allclose(found[replica], agreement(each), rtol=1e-6)


@given(
    *[st.integers(1, n) for n in (2, 5, 3, 3)],
    st.sampled_from([(1, 0), (3, 1), (3, 0), (5, 2), ((3, 1), (1, 0))]),
    st.booleans(),
    st.integers(0, 2**32),
    dtypes,
)
def test_agreement_of_convolutions_is_counted_on_autograds_gradients(
    replicas, examples, channels, units, kernel, shared, seed, dtype
):
    stream = np.random.default_rng(seed)
    size, padding = kernel
    weight = torch.zeros(units, channels, *np.broadcast_to(size, 2), dtype=dtype)

    def convolve(x, weight):
        return functional.conv2d(x, weight, padding=padding)

    inputs = integers(stream, (1 if shared else replicas, examples, channels, 5, 6), dtype)
    positions = convolve(inputs[0, :1], weight)[0, 0].numel()
    gradient = integers(stream, (examples, replicas, units, positions), dtype).transpose(0, 1)
    found = convolution_sign_agreement(inputs, gradient, size, padding)
    assert (found.shape, found.dtype) == ((replicas,), dtype)
    for replica in range(replicas):
        x = inputs[0 if shared else replica]
        each = by_autograd(convolve, x, gradient[replica], weight)
        np.testing.assert_allclose(found[replica], agreement(each), rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 300, 10**9])
def test_chunks_make_no_difference(monkeypatch, chunk):
    stream = np.random.default_rng(0)
    inputs, gradient = integers(stream, (2, 11, 2, 4, 4)), integers(stream, (2, 11, 3, 16))
    expected = convolution_sign_agreement(inputs, gradient, 3, 1)
    monkeypatch.setattr(gradients, "CHUNK", chunk)
    torch.testing.assert_close(convolution_sign_agreement(inputs, gradient, 3, 1), expected)


def test_a_convolution_of_one_position_is_dense():
    stream = np.random.default_rng(0)
    inputs, gradient = integers(stream, (2, 9, 6)), integers(stream, (2, 9, 4))
    images = inputs.view(2, 9, 6, 1, 1)
    torch.testing.assert_close(
        convolution_sign_agreement(images, gradient.unsqueeze(3), 1, 0),
        sign_agreement(inputs, gradient),
    )


@given(st.integers(0, 1000))
def test_positive_inputs_agree_and_standardized_ones_hardly_do(seed):
    stream = torch.Generator().manual_seed(seed)
    gradient = torch.randn(1, 20, 5, generator=stream)
    inputs = torch.randn(1, 20, 400, generator=stream)
    assert float(sign_agreement(inputs.sigmoid(), gradient)) == 1
    assert float(sign_agreement(inputs.relu(), gradient)) == 1
    assert 0.5 <= float(sign_agreement(inputs, gradient)) < 0.56


def test_only_pairs_with_a_gradient_count():
    inputs = torch.tensor([[[1.0, 1.0, 1.0, -1.0], [1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    gradient = torch.tensor([[[1.0, -1.0, 2.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]]])
    assert float(sign_agreement(inputs, gradient)) == pytest.approx((3 * 0.75 + 1) / 4)


def test_nothing_is_said_without_a_gradient_or_with_nan():
    inputs, gradient = torch.ones(4, 3, 5), torch.ones(4, 3, 2)
    gradient[0] = 0
    gradient[1, 0, 0] = math.nan
    inputs[2, 1, 1] = math.nan
    assert sign_agreement(inputs, gradient).isnan().tolist() == [True, True, True, False]
    found = convolution_sign_agreement(
        inputs.view(4, 3, 5, 1, 1), gradient.unsqueeze(3), kernel_size=1, padding=0
    )
    assert found.isnan().tolist() == [True, True, True, False]
