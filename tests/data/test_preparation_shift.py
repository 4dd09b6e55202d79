"""Corrupted test images: the formulas, and that nothing else of a cell's data changes."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.config.groups import DataGroup, typed
from study.config.keys import TEST_SHIFTS
from study.data import SHIFTS, Data, prepare, shifted
from study.errors import InputError
from tests import tiny

SPLITS = ("train", "val", "test")


def images(num: int = 40, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (num, channels, 12, 10)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def test_every_shift_has_its_name() -> None:
    assert ("none", *SHIFTS) == TEST_SHIFTS


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_changes_images_and_is_the_same_each_time(shift: str) -> None:
    before = images()
    after = shifted(before, shift, None)
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert not torch.equal(after, before)
    assert torch.equal(before, images())
    torch.manual_seed(7)
    assert torch.equal(shifted(before, shift, None), after)
    assert torch.equal(shifted(before, shift, SHIFTS[shift].usual), after)
    assert shifted(before, "none", None) is before


def test_noise_has_the_std_that_is_asked_for() -> None:
    grey = torch.full((200, 1, 12, 10), 128, dtype=torch.uint8)
    noise = (shifted(grey, "noise", 0.1).double() - 128) / 255
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.003)
    assert len(noise.unique(dim=0)) == 200
    black = shifted(torch.zeros_like(grey), "noise", 0.1)
    assert float((black == 0).double().mean()) == pytest.approx(0.5, abs=0.03)


@given(st.floats(0.01, 1.0))
def test_contrast_keeps_means_and_scales_the_rest(share: float) -> None:
    before = images(5).double()
    after = shifted(images(5), "contrast", share).double()
    means = before.mean((2, 3), keepdim=True)
    assert torch.allclose(after, means + (1 - share) * (before - means), atol=0.501)


@pytest.mark.parametrize("distance", [1, 3, 9])
def test_translation_moves_each_image_in_one_of_four_directions(distance: int) -> None:
    before = images()
    after = shifted(before, "translate", distance)
    moves = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    taken = [0, 0, 0, 0]
    for one, other in zip(before, after, strict=True):
        rolled = [
            torch.roll(one, (distance * down, distance * right), (1, 2)) for down, right in moves
        ]
        for image, (down, right) in zip(rolled, moves, strict=True):
            rows = slice(None, distance) if down > 0 else slice(-distance, None)
            image[:, rows if down else slice(None), :] *= 1 - abs(down)
            columns = slice(None, distance) if right > 0 else slice(-distance, None)
            image[:, :, columns if right else slice(None)] *= 1 - abs(right)
        found = [torch.equal(image, other) for image in rolled]
        assert sum(found) == 1
        taken[found.index(True)] += 1
    assert min(taken) > 0


def test_a_translation_out_of_sight_is_refused() -> None:
    with pytest.raises(InputError, match="moves images of 12 x 10 pixels out of sight"):
        shifted(images(), "translate", 10)


def folder_data(root: Path, *overrides: str) -> Data:
    config = tiny.config("data=image_folder", f"data.root={root}", *overrides)
    return prepare(config.data)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("normalize", ["standard", "whiten", "unit"])
def test_the_test_images_alone_are_others(tmp_path: Path, shift: str, normalize: str) -> None:
    root, own = tiny.folder(tmp_path), f"data.normalize={normalize}"
    usual, other = folder_data(root, own), folder_data(root, own, f"data.test_shift={shift}")
    for name in SPLITS:
        one, two = getattr(usual, name), getattr(other, name)
        assert torch.equal(one.labels, two.labels)
        assert torch.equal(one.inputs, two.inputs) == (name != "test")
    assert other.fingerprint == usual.fingerprint
    for name, value in usual.normalize.state_dict().items():
        assert torch.equal(value, other.normalize.state_dict()[name])


def test_an_image_is_corrupted_alike_in_every_subset(tmp_path: Path) -> None:
    root = tiny.folder(tmp_path)
    whole = folder_data(root, "data.test_shift=noise").test.inputs
    some = folder_data(root, "data.test_shift=noise", "data.test_size=9").test.inputs
    assert all(any(torch.equal(image, other) for other in whole) for image in some)


def test_no_shift_is_what_a_configuration_without_the_key_has(tmp_path: Path) -> None:
    config = tiny.config("data=image_folder", f"data.root={tiny.folder(tmp_path)}")
    keys = config.mapping["data"].items()
    older = {name: value for name, value in keys if not name.startswith("test_shift")}
    assert prepare(typed(DataGroup, older)) is prepare(config.data)
