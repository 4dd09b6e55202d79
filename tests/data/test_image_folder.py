"""Image folders: read as ImageFolder reads them, and refused in one clear line."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder as TorchvisionImageFolder

from study.__main__ import main
from study.config.groups import DataGroup
from study.data.image_folder import IMAGES_PER_TASK, read_image
from study.data.preparation import prepare
from study.data.sources import read_images
from study.errors import InputError

SIDE = 6
CLASSES = ("bird", "cat")


def pixels(seed: int, *, channels: int = 3, side: int = SIDE) -> np.ndarray:
    shape = (side, side, channels) if channels > 1 else (side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, seed: int, **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, **options)).save(path)


def build(root: Path, *, channels: int = 3) -> Path:
    seed = 0
    for split, count in (("train", 4), ("test", 2)):
        for name in CLASSES:
            for index in range(count):
                save(root / split / name / f"{index}.png", seed, channels=channels)
                seed += 1
    return root


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_images("image_folder", root)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_it_reads_what_imagefolder_reads(tmp_path: Path, channels: int, mode: str) -> None:
    root = build(tmp_path, channels=channels)
    save(root / "train" / "bird" / "deep" / "er" / "1.png", 90, channels=channels)
    save(root / "train" / "bird" / "UPPER.PNG", 91, channels=channels)
    (root / "train" / "bird" / "notes.txt").write_text("not an image")
    images = read_images("image_folder", root)
    for split, tensor, labels in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        theirs = TorchvisionImageFolder(root / split)
        assert images.classes == tuple(theirs.classes)
        assert labels.tolist() == theirs.targets
        for ours, (image, _) in zip(tensor, theirs, strict=True):
            expected = np.asarray(image.convert(mode)).reshape(SIDE, SIDE, channels)
            assert torch.equal(ours, torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_hidden_names_are_passed_over(tmp_path: Path) -> None:
    root = build(tmp_path)
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "cat" / "._0.png").write_bytes(b"not an image")
    save(root / "train" / "cat" / ".thumbnails" / "0.png", 5, side=3)
    assert len(read_images("image_folder", root).train_images) == 8


def test_many_images_keep_their_order(tmp_path: Path) -> None:
    root = build(tmp_path, channels=1)
    for index in range(2 * IMAGES_PER_TASK):
        value = np.full((SIDE, SIDE), index % 256, dtype=np.uint8)
        Image.fromarray(value).save(root / "train" / "bird" / f"z{index:04}.png")
    images = read_images("image_folder", root).train_images[4:-4, 0, 0, 0]
    assert images.tolist() == [index % 256 for index in range(2 * IMAGES_PER_TASK)]


def test_the_second_start_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_images("image_folder", build(tmp_path))
    monkeypatch.setattr("study.data.image_folder.read_pixels", None)
    second = read_images("image_folder", tmp_path)
    assert second.fingerprint == first.fingerprint
    assert torch.equal(second.train_images, first.train_images)
    assert (tmp_path / ".study-tensors.safetensors").exists()


def test_a_cache_of_its_own_place_leaves_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two folders share one place, and what whitening keeps lies there too."""
    roots = [build(tmp_path / name, channels=channels) for name, channels in (("a", 1), ("b", 3))]
    files = sorted(tmp_path.rglob("*"))
    kept = tmp_path / "kept"
    options = DataGroup("image_folder", cache=str(kept), val_size=2, normalize="whiten")
    found = [prepare(replace(options, root=str(root))).fingerprint for root in roots]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(list(kept.iterdir())) == 4
    assert all("kept/image_folder-" in line.replace("\\", "/") for line in said)
    assert sorted(path for path in tmp_path.rglob("*") if kept not in (path, path.parent)) == files
    monkeypatch.setattr("study.data.image_folder.read_pixels", None)
    assert [read_images("image_folder", root, kept).fingerprint for root in roots] == found


def test_a_cache_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match=r"data\.cache=.*file is not a directory"):
        read_images("image_folder", build(tmp_path / "pictures"), file)


def test_a_folder_is_checked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = build(tmp_path / "pictures", channels=1)
    save(root / "train" / "bird" / "9.png", 99, channels=1)
    place = [f"data.root={root}", f"data.cache={tmp_path / 'kept'}"]
    assert main(["data", "image_folder", *place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "image_folder: 9 training and 4 test images of 1 x 6 x 6, 2 classes, "
        f"fingerprint {read_images('image_folder', root).fingerprint[:16]}",
        "  bird         5 training         2 test",
        "  cat          4 training         2 test",
    ]
    for name in ("train/astray.png", "test/cat/moving.gif"):
        (root / name).touch()
    assert main(["data", "image_folder", *place]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("  passed over, no images in a class folder: ")
    assert last.replace("\\", "/").endswith("pictures/train/astray.png and 1 more")
    cut_short(root / "test" / "bird" / "1.png")
    assert main(["data", "image_folder", *place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "test/bird/1.png cannot be read as an image" in line.replace("\\", "/")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["image_folder"], "data.root is not set"),
        (["image_folder", "data.rot=x"], "unknown key 'data.rot' (did you mean 'data.root'?)"),
        (["image_folder", "data.root="], "data.root= names no directory"),
        (["image_folder", "data.root=no/where"], "no/where is not a directory"),
        (["data.root=."], "which data set?"),
    ],
)
def test_what_the_command_cannot_check_is_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *words]) == 2
    captured = capsys.readouterr()
    assert line in captured.err.replace("\\", "/")
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_the_way_a_root_is_spelt_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_images("image_folder", build(tmp_path / "pictures"))
    monkeypatch.setattr("study.data.image_folder.read_pixels", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path / "pictures")
    for root in (".", "../pictures", "~/pictures", str(tmp_path / "pictures")):
        assert read_images("image_folder", root).fingerprint == first.fingerprint


def test_a_cache_does_not_hide_a_class_that_has_become_empty(tmp_path: Path) -> None:
    read_images("image_folder", build(tmp_path))
    for split in ("train", "test"):
        (tmp_path / split / "emu").mkdir()
    assert "emu is empty" in refusal(tmp_path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def remove_all(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


FAULTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no train": (lambda root: remove_all(root / "train"), ["has no train/ folder"]),
    "no test": (lambda root: remove_all(root / "test"), ["has no test/ folder"]),
    "no classes": (
        lambda root: remove_all(root / "test" / "bird", root / "test" / "cat"),
        ["test has no class folders"],
    ),
    "class missing from test": (
        lambda root: remove_all(root / "test" / "cat"),
        ["class 'cat' is in", "missing from", "test:"],
    ),
    "class missing from train": (
        lambda root: remove_all(root / "train" / "cat"),
        ["class 'cat' is in", "missing from", "train:"],
    ),
    "empty class": (lambda root: empty(root / "train" / "cat"), ["train/cat is empty", ".png"]),
    "mixed sizes": (
        lambda root: save(root / "test" / "cat" / "1.png", 1, side=9),
        ["one size", "train/bird/0.png is 6 x 6", "test/cat/1.png is 9 x 9"],
    ),
    "mixed channels": (
        lambda root: save(root / "train" / "cat" / "2.png", 1, channels=1),
        ["all grey or all RGB", "train/bird/0.png is RGB", "train/cat/2.png is grey"],
    ),
    "not an image": (
        lambda root: (root / "train" / "cat" / "2.png").write_text("not an image"),
        ["train/cat/2.png cannot be read as an image"],
    ),
    "first not an image": (
        lambda root: (root / "train" / "bird" / "0.png").write_text(""),
        ["train/bird/0.png cannot be read as an image"],
    ),
    "truncated": (
        lambda root: cut_short(root / "test" / "bird" / "1.png"),
        ["test/bird/1.png cannot be read as an image"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_refused(tmp_path: Path, fault: str) -> None:
    root = build(tmp_path)
    spoil, parts = FAULTS[fault]
    spoil(root)
    message = refusal(root).replace("\\", "/")
    for part in parts:
        assert part in message
    assert not (root / ".study-tensors.safetensors").exists()


def test_a_root_is_needed_and_must_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.root is not set.*data\.root=DIR"):
        read_images("image_folder")
    with pytest.raises(InputError, match="nowhere is not a directory"):
        read_images("image_folder", tmp_path / "nowhere")


def test_bilevel_palette_and_opaque_images_are_grey_or_rgb(tmp_path: Path) -> None:
    colour, grey = Image.fromarray(pixels(0)), Image.fromarray(pixels(1, channels=1))
    few = colour.quantize(4)
    opaque = Image.new("L", colour.size, 255)
    kept = {
        "bilevel": (grey.convert("1"), grey.convert("1").convert("L")),
        "palette": (few, few.convert("RGB")),
        "grey palette": (grey.convert("P"), grey),
        "opaque": (Image.merge("RGBA", (*colour.split(), opaque)), colour),
        "opaque grey": (Image.merge("LA", (grey, opaque)), grey),
    }
    for name, (image, expected) in kept.items():
        image.save(tmp_path / f"{name}.png")
        found = read_image(str(tmp_path / f"{name}.png"))
        channels = np.asarray(expected).reshape(SIDE, SIDE, -1).transpose(2, 0, 1)
        assert np.array_equal(found, channels), name


def test_transparent_and_deep_images_are_refused(tmp_path: Path) -> None:
    colour = Image.fromarray(pixels(0))
    colour.putalpha(Image.fromarray(pixels(2, channels=1)))
    deep = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 1000)
    palette = Image.fromarray(pixels(0)).quantize(4)
    palette.info["transparency"] = 0
    for name, image, reason in (
        ("clear", colour, "partly transparent"),
        ("palette", palette, "partly transparent"),
        ("deep", deep, "8 bits a channel"),
    ):
        path = tmp_path / f"{name}.png"
        image.save(path)
        with pytest.raises(InputError, match=reason) as caught:
            read_image(str(path))
        assert path.name in str(caught.value)
