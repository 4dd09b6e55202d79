"""Laws of the flips and shifts."""

import pytest
import torch

from study.data.preparation import augment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(image: torch.Tensor, crop: int, *, flip: bool) -> dict[tuple[int, int, bool], bytes]:
    """Every image that `augment` may make of [C, H, W], written out by slices."""
    _, height, width = image.shape
    made = {}
    for mirrored in (False, True) if flip else (False,):
        padded = torch.zeros(len(image), height + 2 * crop, width + 2 * crop)
        padded[:, crop : crop + height, crop : crop + width] = image
        for down in range(2 * crop + 1):
            for right in range(2 * crop + 1):
                cut = padded[:, down : down + height, right : right + width]
                made[down, right, mirrored] = (cut.flip(2) if mirrored else cut).numpy().tobytes()
    return made


def test_off_is_the_identity_and_draws_nothing() -> None:
    inputs, generator = torch.randn(4, 3, 5, 6), seeded()
    before = generator.get_state()
    assert torch.equal(augment(inputs, flip=False, crop=0, generator=generator), inputs)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(("flip", "crop"), [(True, 0), (False, 2), (True, 1)])
def test_every_image_is_one_of_its_places_and_all_places_occur(flip: bool, crop: int) -> None:
    image = torch.randn(3, 4, 6, generator=seeded(1))
    made = places(image, crop, flip=flip)
    outputs = augment(image.expand(2000, -1, -1, -1), flip=flip, crop=crop, generator=seeded())
    found = [output.numpy().tobytes() for output in outputs]
    assert set(found) == set(made.values())
    share = 1 / len(made)
    for place in made.values():
        error = (share * (1 - share) / len(found)) ** 0.5
        assert abs(found.count(place) / len(found) - share) < 5 * error


def test_each_image_stays_its_own() -> None:
    inputs = torch.arange(1.0, 9).reshape(8, 1, 1, 1).expand(8, 2, 3, 3)
    outputs = augment(inputs, flip=True, crop=1, generator=seeded())
    for image, output in zip(inputs, outputs, strict=True):
        assert set(output.unique().tolist()) <= {0.0, image.max().item()}


def test_the_generator_decides() -> None:
    inputs = torch.randn(16, 1, 8, 8)
    first, again, other = (
        augment(inputs, flip=True, crop=2, generator=seeded(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == inputs.shape
    assert first.dtype == inputs.dtype
