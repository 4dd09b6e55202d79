"""Augmentations of a user's own: the same stacked and alone, from a stream of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from study.__main__ import main
from study.config import own
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import Config, level_versions, use_levels
from study.data.batches import Run
from study.errors import InputError
from study.training.group import SeedBatches, batches_of
from study.training.pretraining.cache import pretraining_signature
from study.training.settings import Settings
from tests import tiny

AUGMENTATIONS = '''
import torch
from study.levels import augmentation, key, whole


@augmentation("strip", key("strip_width", whole(1), "columns that are blank"))
def strip(images, generator, *, strip_width=3):
    """A vertical strip of each image is blank."""
    num, width = len(images), images.shape[3]
    left = torch.randint(width, (num, 1, 1, 1), generator=generator, device=generator.device)
    columns = torch.arange(width, device=images.device)
    inside = (columns >= left) & (columns < left + strip_width)
    return images.masked_fill(inside, 0.0)


@augmentation
def brighter(images, generator, *, most):
    """Each image is multiplied by a number from 1 to `most`."""
    shape = (len(images), 1, 1, 1)
    factor = torch.rand(shape, generator=generator, device=generator.device, dtype=images.dtype)
    return images * (1 + (most - 1) * factor)
'''


@pytest.fixture(autouse=True)
def levels(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "levels"
    (folder / "data").mkdir(parents=True)
    (folder / "mine.py").write_text(AUGMENTATIONS)
    usual = (Path(__file__).parents[2] / "conf/data/mnist.yaml").read_text()
    text = usual.replace("augment: []", "augment: [strip]\nstrip_width: 5")
    (folder / "data/striped.yaml").write_text(text)
    use_levels([f"levels={folder}"])
    own.register()
    yield folder
    own.use(None)
    use_levels()


def config(*words: str) -> Config:
    with hydra_ready():
        return compose_cell([*tiny.SMALL, *words]).config


def batches(config: Config, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    settings, data = Settings.from_config(config), tiny.data()
    seeds = SeedBatches(seed, settings, epoch, data.train.inputs.device)
    run = Run.of_epoch(data.train, [seed], settings.streams, epoch=epoch, batch_size=16)
    return torch.cat([images.clone() for (images,), _ in batches_of(run, [seeds])])


def test_a_batch_is_the_same_for_a_seed_and_an_epoch_and_others_differ() -> None:
    plain, striped = config(), config("data.augment=strip")
    found = batches(striped)
    assert torch.equal(found, batches(striped))
    changed = found != batches(plain)
    assert 0 < int(changed.any(1).any(1).sum(1).amax()) <= 3
    for other in (batches(striped, seed=1), batches(striped, epoch=1)):
        assert not torch.equal(found, other)
    pinned = config("data.augment=strip", "streams.augmentation=1", "streams.order=0")
    free = config("data.augment=strip", "streams.order=0")
    assert torch.equal(batches(pinned), batches(pinned, seed=1))
    assert not torch.equal(batches(free), batches(free, seed=1))


def test_flips_and_crops_are_what_they_are_without_it() -> None:
    """Each draws from a stream of its own, so that cells with and without it are paired."""
    usual = batches(config("data.flip=true", "data.crop=2"))
    striped = batches(config("data.flip=true", "data.crop=2", "data.augment=strip"))
    assert ((striped == usual) | (striped == 0)).all()


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_stacked_is_alone(model: str) -> None:
    words = ["data.augment=strip", "seeds=2", "optimizer.lr=[0.01,0.05]"]
    words += ["model.channels=[[3],[4]]", "model.head=[5]"] if model == "cnn" else []
    found = []
    for engine in ("sequential", "stacked"):
        trained = tiny.train(tiny.config(*words, f"population.engine={engine}", model=model))
        found.append(dict(zip(trained.engine.replicas, tiny.states(trained), strict=True)))
    alone, stacked = found
    for replica, state in alone.items():
        for name, value in state.items():
            torch.testing.assert_close(value, stacked[replica][name], rtol=1e-9, atol=1e-12)


def test_its_code_and_its_keys_are_signed_but_not_for_pretraining() -> None:
    plain, striped = config(), config("data.augment=[strip]")
    wide, narrow = config("data=striped"), config("data=striped", "data.strip_width=1")
    assert len({each.signature("d") for each in (plain, striped, wide, narrow)}) == 4
    assert list(level_versions({"data.augment": ["strip"]})) == ["data.augment=strip"]
    same = (pretraining_signature(each, "d") for each in (plain, striped))
    assert len(set(same)) == 1
    assert batches(narrow).count_nonzero() > batches(wide).count_nonzero()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("data.augment=stripe",), "unknown augmentation 'stripe' .did you mean 'strip'"),
        (("data.augment=brighter",), "data.augment=brighter takes data.most, which data=mnist has"),
        (("data=striped", "data.augment=[]"), "data.strip_width=5 is of an augmentation that"),
        (("data.strip_width=3",), "data=mnist has no key 'strip_width'"),
        (
            ("data.augment=strip", "model=autoencoder", "loss=squared_error"),
            r"data.augment=\[strip\] beside model=autoencoder: .* set data.augment=\[\]",
        ),
    ],
)
def test_what_cannot_be_is_one_line(words: tuple[str, ...], line: str) -> None:
    small = [word for word in tiny.SMALL if "model" not in word or "autoencoder" not in str(words)]
    with pytest.raises(InputError, match=line), hydra_ready():
        Settings.from_config(compose_cell([*small, *words]).config)


def test_the_list_shows_it(levels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "data", f"levels={levels}"]) == 0
    printed = capsys.readouterr().out
    assert f"data.augment=[...]    of {levels}\n  strip " in printed


def test_groups_are_told_apart_by_it_and_may_be_keys_of_a_cache() -> None:
    plain, striped = config().data, config("data.augment=strip").data
    assert {plain: 0}[plain] == 0
    assert plain != striped
