"""A kept whitening is the fitted one, or it is fitted again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from study.data import normalize as whitening
from study.data.images import Images, build_images
from study.data.normalize import Normalize, fit_normalization, fit_whitening

TRAIN = torch.arange(100)


def images(seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (120, 3, 4, 4), generator=generator, dtype=torch.uint8)
    labels = torch.arange(120) % 2
    return build_images((pixels, labels), (pixels[:5], labels[:5]), ("no", "yes"))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is fitted from here on."""
    kinds: list[str] = []
    fit = whitening.fit_normalization

    def spy(kind: str, *arguments: Any, **options: Any) -> Normalize:
        kinds.append(kind)
        return fit(kind, *arguments, **options)

    monkeypatch.setattr(whitening, "fit_normalization", spy)
    return kinds


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "tensors.safetensors"


def whiten(cache: Path, seed: int = 0, train: torch.Tensor = TRAIN, epsilon: float = 0.1) -> bytes:
    """The bytes of the normalization's numbers."""
    state = fit_whitening(images(seed), train, zca_epsilon=epsilon, cache=cache).state_dict()
    return save(state)


def kept(cache: Path) -> Path:
    (path,) = cache.parent.glob("*whiten-*.safetensors")
    return path


def test_the_second_is_read_and_is_the_first(cache: Path, fitted: list[str]) -> None:
    expected = fit_normalization("whiten", images().train_images[TRAIN], zca_epsilon=0.1)
    assert whiten(cache) == whiten(cache) == save(expected.state_dict())
    assert fitted == ["whiten"]
    assert list(cache.parent.iterdir()) == [kept(cache)]


def test_its_name_is_that_of_the_images(cache: Path) -> None:
    whiten(cache.with_name(".study-tensors.safetensors"))
    assert kept(cache).name.startswith(".study-whiten-")


def test_whatever_matters_is_kept_apart(cache: Path, fitted: list[str]) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"train": torch.arange(99)},
        {"train": torch.arange(20, 120)},
        {"epsilon": 0.2},
    ]
    first = [whiten(cache, **change) for change in changes]
    assert len(set(first)) == len(fitted) == len(changes)
    assert [whiten(cache, **change) for change in changes] == first
    assert len(fitted) == len(changes)


def test_another_number_of_threads_or_version_fits_its_own(
    cache: Path, fitted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("get_num_threads", lambda: 77), ("__version__", "0")):
        whiten(cache)
        monkeypatch.setattr(torch, name, value)
    whiten(cache)
    assert len(fitted) == 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))


def other_tensors(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    path.write_bytes(save({"offset": torch.zeros(3)}, metadata=metadata))


def no_metadata(path: Path) -> None:
    path.write_bytes(save({"offset": torch.zeros(3)}))


@pytest.mark.parametrize("damage", [cut, emptied, flipped, other_tensors, no_metadata])
def test_no_damage_is_trusted(
    cache: Path,
    fitted: list[str],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    first = whiten(cache)
    damage(kept(cache))
    assert whiten(cache) == whiten(cache) == first
    assert len(fitted) == 2
    (entry,) = caplog.records
    assert "\n" not in entry.getMessage()


def test_a_file_of_other_images_is_not_taken(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = whiten(cache, seed=1)
    content = kept(cache).read_bytes()
    kept(cache).unlink()
    first = whiten(cache)
    kept(cache).write_bytes(content)
    assert whiten(cache) == first != other
    assert caplog.records == []


@pytest.mark.parametrize("failing", ["lock", "write"])
def test_where_nothing_can_be_written_it_is_fitted_every_time(
    cache: Path,
    fitted: list[str],
    failing: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    if failing == "lock":
        monkeypatch.setattr("study.data.cache.owned", refuse)
    else:
        monkeypatch.setattr("study.data.cache.save", refuse)
    assert whiten(cache) == whiten(cache)
    assert len(fitted) == 2
    assert "cannot be written (Permission denied)" in caplog.text
    assert not list(cache.parent.glob("*.partial"))
    assert not list(cache.parent.glob("*.safetensors"))
