"""What a cell is given: split, normalized, kept for the next cell."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from study.config.groups import DataGroup, typed
from study.config.level_source import OWN
from study.data import prepare as exported
from study.data.images import Images, build_images
from study.data.normalize import NORMALIZATIONS, fit_normalization
from study.data.preparation import _kept, prepare
from study.data.sources import SOURCES
from study.data.split import split_indices
from study.errors import InputError

CONF = Path(__file__).parents[2] / "conf" / "data"


def small_images(num: int = 200, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (num + 40, 1, 4, 4), generator=generator, dtype=torch.uint8)
    labels = torch.arange(num + 40) % 4
    train, test = (pixels[:num], labels[:num]), (pixels[num:], labels[num:])
    return build_images(train, test, tuple("abcd"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Small images in place of every data set, in `tmp_path`; the names of the data sets read."""
    names: list[str] = []

    def read(name: str, root: object, cache: object) -> Images:
        names.append(name)
        return small_images()

    monkeypatch.setattr("study.data.preparation.read_images", read)
    monkeypatch.setattr("study.data.sources.EMBEDDED_ROOT", tmp_path)
    _kept.clear()
    yield names
    _kept.clear()


def config(**changes: Any) -> DataGroup:
    return replace(DataGroup("mnist", val_size=40), **changes)


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_all_inputs_have_the_statistics_of_the_training_split(kind: str) -> None:
    images = small_images()
    whole, subset, val = split_indices(images.train_labels, val_size=40, train_size=16)
    normalize = fit_normalization(kind, images.train_images[whole], zca_epsilon=1e-2)
    data = prepare(config(normalize=kind, train_size=16))
    for split, pixels, labels in (
        (data.train, images.train_images[subset], images.train_labels[subset]),
        (data.val, images.train_images[val], images.train_labels[val]),
        (data.test, images.test_images, images.test_labels),
    ):
        assert torch.allclose(split.inputs, normalize(pixels), atol=1e-6)
        assert torch.equal(split.labels, labels)
        assert torch.allclose(data.normalize(pixels), split.inputs, atol=1e-6)


@pytest.mark.usefixtures("reads")
def test_sizes_shapes_and_names() -> None:
    data = prepare(config(train_size=20, test_size=12))
    assert (len(data.train), len(data.val), len(data.test)) == (20, 40, 12)
    assert data.test.labels.bincount().tolist() == [3, 3, 3, 3]
    assert data.input_shape == (1, 4, 4)
    assert data.num_classes == 4
    assert data.classes == tuple("abcd")
    assert data.fingerprint == small_images().fingerprint
    assert exported is prepare


@pytest.mark.usefixtures("reads")
def test_another_precision_starts_from_the_same_inputs() -> None:
    single, double = prepare(config()), prepare(config(), dtype=torch.float64)
    assert double.train.inputs.dtype == torch.float64
    assert torch.equal(single.train.inputs.double(), double.train.inputs)


def test_the_last_data_sets_are_kept(reads: list[str]) -> None:
    kinds = ("standard", "unit", "pixel", "centre", "none", "binary", "whiten")
    first = [prepare(config(normalize=kind)) for kind in kinds]
    assert all(
        prepare(config(normalize=kind)) is data for kind, data in zip(kinds, first, strict=True)
    )
    assert prepare(config(flip=True, crop=2, zca_epsilon=0.5)) is first[0]
    assert len(reads) == len(kinds)


def test_what_is_kept_fits_into_its_memory(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(config())
    assert first.num_bytes == 240 * 16 * 4
    monkeypatch.setattr("study.data.preparation.MAX_KEPT_BYTES", 2 * first.num_bytes)
    second = prepare(config(normalize="unit"))
    assert prepare(config()) is first
    prepare(config(split_seed=1))
    assert prepare(config()) is first
    assert prepare(config(normalize="unit")) is not second
    assert len(reads) == 4
    prepare(config(), dtype=torch.float64)
    assert prepare(config()) is not first
    monkeypatch.setattr("study.data.preparation.MAX_KEPT_BYTES", 0)
    last = prepare(config(split_seed=2))
    assert prepare(config(split_seed=2)) is last
    assert list(_kept.values()) == [last]


@pytest.mark.usefixtures("reads")
def test_whitening_alone_is_kept_beside_the_images(tmp_path: Path) -> None:
    for kind in NORMALIZATIONS:
        if kind != "whiten":
            prepare(config(normalize=kind))
    assert list(tmp_path.iterdir()) == []
    first = prepare(config(normalize="whiten"))
    (path,) = tmp_path.glob("MNIST/*.safetensors")
    _kept.clear()
    before = path.stat().st_mtime_ns
    again = prepare(config(normalize="whiten", train_size=16, test_size=12))
    assert again is not first
    assert path.stat().st_mtime_ns == before
    assert list(tmp_path.glob("MNIST/*.safetensors")) == [path]
    assert torch.equal(again.val.inputs, first.val.inputs)


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize(
    "change",
    [
        {"val_size": 41},
        {"train_size": 9},
        {"test_size": 9},
        {"split_seed": 1},
        {"normalize": "unit"},
        {"normalize": "whiten"},
        {"root": "elsewhere"},
        {"name": "kmnist"},
    ],
)
def test_whatever_matters_is_told_apart(change: dict[str, Any]) -> None:
    assert prepare(config()) is not prepare(config(**change))


def test_unknown_names_are_refused_before_anything_is_read(reads: list[str]) -> None:
    with pytest.raises(InputError, match="unknown data set 'minst'"):
        prepare(config(name="minst"))
    with pytest.raises(InputError, match="unknown normalization 'zca'"):
        prepare(config(normalize="zca"))
    assert reads == []


def test_mnist_comes_in_the_sizes_of_its_level() -> None:
    data = prepare(typed(DataGroup, yaml.safe_load((CONF / "mnist.yaml").read_text())))
    assert (len(data.train), len(data.val), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.input_shape == (1, 28, 28)
    assert data.train.inputs.double().mean().abs() < 1e-6
    assert abs(data.train.inputs.double().std() - 1) < 1e-4
    _kept.clear()


def test_every_source_has_a_level_with_all_keys() -> None:
    levels = {path.stem: path.read_text() for path in CONF.glob("*.yaml")}
    assert set(levels) == set(SOURCES)
    for name, text in levels.items():
        level = yaml.safe_load(text)
        assert text.startswith("# ")
        assert level["name"] == name
        usual = asdict(DataGroup(name, augment=[]))
        del usual["level"]
        assert set(level) == set(usual), f"conf/data/{name}.yaml"
        assert name not in OWN["data.name"] or level == usual | {"val_size": level["val_size"]}
