"""Losses per example, against NumPy."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.training.task import LOSSES, cross_entropy, judge_classes, squared_error

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 7), st.integers(0, 99))


def batch(num: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(num, classes, generator=generator, dtype=torch.float64)
    return outputs, torch.randint(0, classes, (num,), generator=generator)


@given(SHAPES)
def test_cross_entropy_is_minus_the_log_of_the_labels_probability(
    shape: tuple[int, int, int],
) -> None:
    outputs, labels = batch(*shape)
    z = outputs.numpy()
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = -np.log(softmax[np.arange(len(z)), labels.numpy()])
    np.testing.assert_allclose(cross_entropy(outputs, labels), expected, rtol=1e-12, atol=1e-14)


@given(SHAPES)
def test_squared_error_sums_over_classes_without_a_half(shape: tuple[int, int, int]) -> None:
    outputs, labels = batch(*shape)
    targets = np.eye(outputs.shape[1])[labels.numpy()]
    expected = ((outputs.numpy() - targets) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared_error(outputs, labels), expected, rtol=1e-12)


def test_squared_error_of_zero_outputs_is_one() -> None:
    assert squared_error(torch.zeros(4, 10), torch.arange(4)).tolist() == [1.0] * 4


def test_every_loss_is_per_example_and_keeps_its_type() -> None:
    """Of each example alone: in a stack the examples of all replicas are one batch."""
    generator = torch.Generator().manual_seed(0)
    for loss in LOSSES.values():
        outputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        labels = torch.tensor([0, 1, 2, 2, 1, 0])
        one_by_one = [loss(outputs[i : i + 1], labels[i : i + 1]) for i in range(6)]
        torch.testing.assert_close(loss(outputs, labels), torch.cat(one_by_one))
        for dtype in (torch.float32, torch.float64):
            result = loss(torch.zeros(5, 3, dtype=dtype), torch.zeros(5, dtype=torch.int64))
            assert result.shape == (5,)
            assert result.dtype == dtype


@given(SHAPES)
def test_wrong_is_another_class_than_the_label(shape: tuple[int, int, int]) -> None:
    outputs, labels = batch(*shape)
    expected = outputs.numpy().argmax(axis=1) != labels.numpy()
    errors, classes = judge_classes(outputs, labels)
    assert errors.tolist() == expected.tolist()
    assert classes.tolist() == outputs.numpy().argmax(axis=1).tolist()


def test_an_output_that_is_not_finite_is_wrong_whatever_its_largest_entry() -> None:
    inf, nan = torch.inf, torch.nan
    outputs = torch.tensor(
        [[1.0, 0.0], [inf, 0.0], [1.0, -inf], [nan, 0.0], [1.0, nan], [0.0, 1.0]]
    )
    labels = torch.zeros(6, dtype=torch.int64)
    errors, classes = judge_classes(outputs, labels)
    assert errors.tolist() == [False, True, True, True, True, True]
    assert classes.tolist() == [0, -1, -1, -1, -1, 1]
