"""Principal components: laws on small sets, and the published errors on MNIST."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.config.groups import DataGroup
from study.data import prepare
from study.training.references import EXAMPLES_PER_CHUNK, principal_energies

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 8), st.integers(0, 99))


def images(num: int, size: int, seed: int) -> torch.Tensor:
    """Correlated, with a mean."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.randn(num, size, generator=generator, dtype=torch.float64) @ mixing + mixing[0]


def test_mnist_has_the_published_errors() -> None:
    """Hinton & Salakhutdinov 2006: PCA of 30 components leaves 13.87 on the test images."""
    data = prepare(DataGroup("mnist", normalize="unit"))
    train, test = principal_energies((data.train.inputs, data.val.inputs), data.test.inputs)
    assert float(test[30:].sum()) == pytest.approx(13.866, abs=5e-4)
    assert float(train[30:].sum()) == pytest.approx(14.207, abs=5e-4)
    assert float(test.sum()) == pytest.approx(52.90, abs=5e-3)
    assert float(train.sum()) == pytest.approx(52.73, abs=5e-3)


@given(SHAPES)
def test_what_is_left_is_what_projecting_leaves(shape: tuple[int, int, int, int]) -> None:
    num_train, num_test, size, seed = shape
    fitted, tested = images(num_train, size, seed), images(num_test, size, seed + 100)
    train, test = principal_energies([fitted], tested)
    mean = fitted.mean(0)
    directions = torch.linalg.svd(fitted - mean).Vh
    assert train.tolist() == sorted(train.tolist(), reverse=True)
    for components in range(min(size, num_train) + 1):
        for images_, energies in ((fitted, train), (tested, test)):
            centred = images_ - mean
            kept = centred @ directions[:components].T @ directions[:components]
            left = (centred - kept).square().sum(1).mean()
            # Directions of nearly equal energy may change places.
            if components in (0, size) or _gap(train, components):
                assert float(energies[components:].sum()) == pytest.approx(
                    float(left), rel=1e-6, abs=1e-8 * float(train.sum() + test.sum())
                )


def _gap(energies: torch.Tensor, place: int) -> bool:
    return float(energies[place - 1] - energies[place]) > 1e-6 * float(energies[0])


def test_neither_parts_nor_chunks_nor_shape_nor_precision_matter() -> None:
    num = EXAMPLES_PER_CHUNK + 10
    fitted, tested = images(num, 6, 1).float(), images(num, 6, 2).float()
    whole = principal_energies([fitted.double()], tested.double())
    parts = [fitted[:3].view(3, 1, 2, 3), fitted[3:].view(-1, 1, 2, 3)]
    for one, other in zip(whole, principal_energies(parts, tested.view(-1, 1, 2, 3)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
        assert one.dtype == other.dtype == torch.float64


def test_the_images_stay_as_they_are() -> None:
    fitted, tested = images(20, 4, 1), images(20, 4, 2)
    before = fitted.clone(), tested.clone()
    principal_energies([fitted], tested)
    assert torch.equal(fitted, before[0])
    assert torch.equal(tested, before[1])
