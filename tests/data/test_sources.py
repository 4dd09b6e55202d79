"""MNIST as embedded, its relatives through tiny files of the same formats, and broken files."""

import gzip
import hashlib
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from study.data.sources import EMBEDDED_ROOT, SOURCES, in_order, read_images
from study.data.torchvision_sets import MnistFamily
from study.errors import InputError

RAW = EMBEDDED_ROOT / "MNIST" / "raw"
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A root of our own, with the embedded files."""
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for file in RAW.glob("*.gz"):
        shutil.copy2(file, tmp_path / "MNIST" / "raw")
    return tmp_path


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def refusal(name: str, root: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_images(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_mnist_is_embedded() -> None:
    images = read_images("mnist")
    assert images.train_images.shape == (60000, 1, 28, 28)
    assert images.test_images.shape == (10000, 1, 28, 28)
    assert images.train_images.dtype == images.test_images.dtype == torch.uint8
    assert images.train_labels.dtype == images.test_labels.dtype == torch.int64
    assert images.train_labels.bincount().tolist() == TRAIN_COUNTS
    assert images.test_labels.bincount().tolist() == TEST_COUNTS
    assert images.classes == tuple("0123456789")


def test_the_fingerprint_of_mnist_never_changes() -> None:
    """It is part of every signature: another one would make every record another cell's."""
    expected = "67f900151ee2b83a7f09127cff5d14d2f89ba15d9f5ae11ce6dab0427533fde8"
    assert read_images("mnist").fingerprint == expected


def test_reading_leaves_only_the_cache_and_says_so_once(
    mnist: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = read_images("mnist", mnist)
    (line,) = capfd.readouterr().err.splitlines()
    assert "MNIST/tensors.safetensors (55.4 MB) is kept" in line.replace("\\", "/")
    assert "data.cache=DIR" in line
    second = read_images("mnist", mnist)
    assert first.fingerprint == second.fingerprint == read_images("mnist").fingerprint
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in (mnist / "MNIST").iterdir()} == {
        "raw",
        "tensors.safetensors",
    }
    assert len(list((mnist / "MNIST" / "raw").iterdir())) == 4


def test_the_second_start_decodes_nothing(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_images("mnist", mnist)
    monkeypatch.setattr("study.data.torchvision_sets.load", None)
    assert read_images("mnist", mnist).fingerprint == first.fingerprint


def test_a_truncated_cache_is_decoded_again(mnist: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = read_images("mnist", mnist)
    os.truncate(mnist / "MNIST" / "tensors.safetensors", 1_000_000)
    assert read_images("mnist", mnist).fingerprint == first.fingerprint
    assert len(caplog.records) == 1


def test_a_corrupted_file_is_named(mnist: Path) -> None:
    broken = mnist / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    flip_a_byte(broken)
    before = broken.read_bytes()
    message = refusal("mnist", mnist)
    assert str(broken) in message
    assert "checksum" in message
    assert "ec29112dd5afa0611ce80d1b7f02629c" in message
    assert "Error downloading t10k-labels" in message
    assert "git checkout" not in message
    assert "connect to the network" in message
    assert broken.read_bytes() == before


def test_a_file_corrupted_after_it_was_cached_is_named(mnist: Path) -> None:
    read_images("mnist", mnist)
    flip_a_byte(mnist / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz")
    assert "train-labels-idx1-ubyte.gz is corrupted" in refusal("mnist", mnist)


def test_a_missing_file_is_named(mnist: Path) -> None:
    (mnist / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").unlink()
    message = refusal("mnist", mnist)
    assert "train-images-idx3-ubyte.gz is missing" in message
    assert "connect to the network" in message


def test_git_is_advised_for_the_repositorys_own_files_alone(
    mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCES["mnist"]
    assert isinstance(source, MnistFamily)
    assert source.embedded == EMBEDDED_ROOT
    own = replace(source, embedded=mnist)
    monkeypatch.setitem(SOURCES, "mnist", own)
    (mnist / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").unlink()
    assert "git checkout -- data/MNIST" in refusal("mnist", mnist)
    assert "git checkout" not in refusal("mnist", mnist / "elsewhere")


def test_an_extracted_file_is_never_trusted(mnist: Path) -> None:
    """Shown what a killed extraction has left, torchvision itself would read it."""
    raw = mnist / "MNIST" / "raw"
    for file in list(raw.glob("*.gz")):
        raw.joinpath(file.stem).write_bytes(b"half written")
    assert read_images("mnist", mnist).fingerprint == read_images("mnist").fingerprint
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    assert "t10k-images-idx3-ubyte.gz is missing" in refusal("mnist", mnist)


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "cifar10", "cifar100"])
def test_without_a_network_the_missing_file_is_named(name: str, tmp_path: Path) -> None:
    message = refusal(name, tmp_path)
    assert "is missing and could not be downloaded" in message
    assert "connect to the network" in message
    assert socket.getdefaulttimeout() is None


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(InputError, match=r"'minst' \(did you mean 'mnist'\?\).*cifar100"):
        read_images("minst")


def idx(values: np.ndarray) -> bytes:
    """IDX: two zeros, type 8 (unsigned byte), the number of dimensions, each, the values."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fashion-MNIST and CIFAR-10 as files of a few images, with sums that torchvision accepts."""
    values = np.random.default_rng(0).integers(0, 256, (6, 2, 2), dtype=np.uint8)
    served = tmp_path / "served"
    served.mkdir()
    for part in ("train", "t10k"):
        (served / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(values))
        labels = np.arange(6, dtype=np.uint8)
        (served / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    fashion = torchvision.datasets.FashionMNIST
    resources = [(name, md5_of(served / name)) for name, _ in fashion.resources]
    monkeypatch.setattr(fashion, "resources", resources)
    return tmp_path


def serve(monkeypatch: pytest.MonkeyPatch, served: Path) -> list[str]:
    """Let torchvision download from a folder; returns the list of what it asks for."""
    asked: list[str] = []

    def download(url: str, root: str, filename: str, md5: str) -> None:
        target = Path(root, filename)
        if not (target.exists() and md5_of(target) == md5):
            asked.append(filename)
            shutil.copyfile(served / filename, target)

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download)
    return asked


def test_what_is_downloaded_is_kept_and_only_what_is_needed_is(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve(monkeypatch, tiny / "served")
    images = read_images("fashion_mnist", tiny)
    assert len(asked) == 4
    assert images.train_images.shape == (6, 1, 2, 2)
    assert images.train_labels.tolist() == list(range(6))
    assert images.classes[9] == "Ankle boot"
    raw = tiny / "FashionMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(asked)
    flip_a_byte(raw / "t10k-images-idx3-ubyte.gz")
    assert read_images("fashion_mnist", tiny).fingerprint == images.fingerprint
    assert asked[4:] == ["t10k-images-idx3-ubyte.gz"]
    read_images("fashion_mnist", tiny)
    assert len(asked) == 5


def test_class_names_are_torchvisions() -> None:
    for name in ("fashion_mnist", "kmnist"):
        source = SOURCES[name]
        theirs = getattr(torchvision.datasets, source.dataset)  # type: ignore[attr-defined]
        assert source.classes == tuple(theirs.classes)  # type: ignore[attr-defined]


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    dataset = torchvision.datasets.CIFAR10
    folder = tmp_path / dataset.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)
    sums = {}
    for name, _ in (*dataset.train_list, *dataset.test_list):
        values = generator.integers(0, 256, (4, 3 * 32 * 32), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": values, "labels": [3, 1, 0, 2]}))
        sums[name] = md5_of(folder / name)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcd")}))
    for part in ("train_list", "test_list"):
        batches = [[name, sums[name]] for name, _ in getattr(dataset, part)]
        monkeypatch.setattr(dataset, part, batches)
    meta = {**dataset.meta, "md5": md5_of(folder / "batches.meta")}
    monkeypatch.setattr(dataset, "meta", meta)
    return tmp_path


def test_cifar_batches_become_channels_rows_and_columns(cifar: Path) -> None:
    images = read_images("cifar10", cifar)
    folder = cifar / "cifar-10-batches-py"
    batches = [pickle.loads((folder / f"data_batch_{i}").read_bytes())["data"] for i in range(1, 6)]
    expected = torch.from_numpy(np.concatenate(batches)).reshape(20, 3, 32, 32)
    labels = torch.tensor([3, 1, 0, 2] * 5)
    for image, label in zip(images.train_images, images.train_labels, strict=True):
        (place,) = (expected == image).flatten(1).all(1).nonzero().flatten().tolist()
        assert labels[place] == label
    assert len(images.train_images) == 20
    assert images.test_images.shape == (4, 3, 32, 32)
    assert images.classes == tuple("abcd")
    assert read_images("cifar10", cifar).fingerprint == images.fingerprint


def test_cifar_is_one_data_set_from_batches_and_from_a_folder_of_images(cifar: Path) -> None:
    images = read_images("cifar10", cifar)
    parts = {
        "train": (images.train_images, images.train_labels),
        "test": (images.test_images, images.test_labels),
    }
    for part, (pixels, labels) in parts.items():
        for name in images.classes:
            (cifar / "cifar10" / part / name).mkdir(parents=True)
        for index in torch.randperm(len(labels)).tolist():
            place = cifar / "cifar10" / part / images.classes[labels[index]] / f"{index}.png"
            Image.fromarray(pixels[index].permute(1, 2, 0).numpy()).save(place)
    shutil.rmtree(cifar / "cifar-10-batches-py")
    assert read_images("cifar10", cifar).fingerprint == images.fingerprint


def test_the_order_of_images_is_that_of_their_content() -> None:
    pixels = torch.randint(0, 256, (9, 3, 4, 4), dtype=torch.uint8)
    labels = torch.arange(9)
    order = torch.randperm(9)
    first, second = in_order(pixels, labels), in_order(pixels[order], labels[order])
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_corrupted_cifar_batch_is_named(cifar: Path, name: str) -> None:
    read_images("cifar10", cifar)
    flip_a_byte(cifar / "cifar-10-batches-py" / name)
    message = refusal("cifar10", cifar)
    assert f"{name} is corrupted" in message
    assert "delete" in message


def test_a_start_from_the_cache_does_without_torchvision(mnist: Path) -> None:
    read_images("mnist", mnist)
    program = (
        "import sys; from study.data import read_images; "
        f"read_images('mnist', {str(mnist)!r}); sys.exit('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=EMBEDDED_ROOT.parent, check=False)
    assert done.returncode == 0
