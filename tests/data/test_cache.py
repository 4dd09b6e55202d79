"""A cache is used while it can be trusted, and never else."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from study.data import cache
from study.data.images import Images, build_images, fingerprint_of
from tests.test_locks import taken_over


@dataclass
class CountingSource:
    """One file of bytes as images of one pixel; counts how often it is decoded."""

    decoded: list[bytes] = field(default_factory=list)

    def cache(self, root: Path) -> Path:
        return root / "tensors.safetensors"

    def files(self, root: Path) -> list[str]:
        return [str(root / "pixels")]

    def decode(self, root: Path) -> Images:
        self.decoded.append(content := (root / "pixels").read_bytes())
        pixels = torch.tensor(list(content), dtype=torch.uint8).reshape(-1, 1, 1, 1)
        labels = torch.arange(len(pixels)) % 2
        return build_images((pixels, labels), (pixels[:2] + 1, labels[:2] + 0), ("no", "yes"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pixels").write_bytes(bytes(range(100)))
    return tmp_path


def read_cached(source: CountingSource, root: Path, **options: Any) -> Images:
    return cache.read_cached(source, root, source.cache(root), **options)


def same(first: Images, second: Images) -> bool:
    tensors = second.tensors()
    return (first.classes, first.fingerprint) == (second.classes, second.fingerprint) and all(
        torch.equal(tensor, tensors[name]) for name, tensor in first.tensors().items()
    )


def test_the_second_start_reads_the_cache(root: Path) -> None:
    source = CountingSource()
    first, second = read_cached(source, root), read_cached(source, root)
    assert len(source.decoded) == 1
    assert same(first, second)
    assert {path.name for path in root.iterdir()} == {"pixels", "tensors.safetensors"}


def test_what_other_code_decoded_is_decoded_again(root: Path) -> None:
    source = CountingSource()
    for version in ("", "1", "1", "2", "2"):
        read_cached(source, root, version=version)
    assert len(source.decoded) == 3


def test_fresh_decodes_again(root: Path) -> None:
    source = CountingSource()
    read_cached(source, root)
    read_cached(source, root, fresh=True)
    assert len(source.decoded) == 2


def test_a_changed_source_is_decoded_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = CountingSource()
    before = read_cached(source, root)
    (root / "pixels").write_bytes(bytes(range(50)))
    after = read_cached(source, root)
    assert len(after.train_images) == 50
    assert after.fingerprint != before.fingerprint
    assert caplog.records == []
    assert same(read_cached(source, root), after)
    assert len(source.decoded) == 2


def test_a_touched_source_is_decoded_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = CountingSource()
    read_cached(source, root)
    os.utime(root / "pixels", ns=(0, 0))
    read_cached(source, root)
    assert len(source.decoded) == 2
    assert caplog.records == []


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def made_from(path: Path) -> tuple[str, str] | None:
    """The format and the source that a cache names, if it does."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            return metadata["format"], metadata["source"]
    except (SafetensorError, OSError, KeyError, TypeError):
        return None


def test_no_damage_is_trusted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache cut short anywhere, or with any bit flipped, gives the source's images or itself.

    Each is told, but for a flip in what names its source: that is as if the source had changed.
    """
    source = CountingSource()
    expected = read_cached(source, root)
    path = source.cache(root)
    good, made_from_good = path.read_bytes(), made_from(path)
    cuts = [good[:length] for length in (0, 1, 8, 100, len(good) // 2, len(good) - 1)]
    flips = [flipped(good, place) for place in range(0, len(good), 41)]
    flips += [flipped(good, len(good) - place) for place in range(1, 102)]
    for damaged in [*cuts, *flips]:
        path.write_bytes(damaged)
        made_from_damaged = made_from(path)
        caplog.clear()
        assert same(read_cached(source, root), expected)
        if path.read_bytes() != damaged:
            messages = [entry.getMessage() for entry in caplog.records]
            assert len(messages) == (made_from_damaged in (None, made_from_good))
            assert not any("\n" in message for message in messages)


def test_damaged_pixels_and_a_cut_file_are_decoded_again(root: Path) -> None:
    source = CountingSource()
    read_cached(source, root)
    path = source.cache(root)
    good = path.read_bytes()
    for damaged in (good[:-1], flipped(good, len(good) - 1), b""):
        decoded = len(source.decoded)
        path.write_bytes(damaged)
        read_cached(source, root)
        read_cached(source, root)
        assert len(source.decoded) == decoded + 1


def test_a_cache_of_other_tensors_is_decoded_again(root: Path) -> None:
    source = CountingSource()
    read_cached(source, root)
    path = source.cache(root)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        names = list(file.keys())
    for tensors in (
        {},
        {name: torch.zeros(3) for name in names},
        {name: torch.zeros(3, dtype=torch.uint8) for name in names},
    ):
        path.write_bytes(save(tensors, metadata=metadata))
        read_cached(source, root)
    assert len(source.decoded) == 4


def test_other_classes_or_formats_are_decoded_again(root: Path) -> None:
    source = CountingSource()
    tensors = read_cached(source, root).tensors()
    path = source.cache(root)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    for change in ({"classes": json.dumps(["a", "b"])}, {"classes": "{"}, {"format": "0"}):
        path.write_bytes(save(tensors, metadata={**metadata, **change}))
        assert read_cached(source, root).classes == ("no", "yes")
    assert len(source.decoded) == 4


def test_a_source_that_changes_while_it_is_decoded_is_kept_as_it_is_now(root: Path) -> None:
    class Growing(CountingSource):
        def decode(self, root: Path) -> Images:
            images = super().decode(root)
            if len(self.decoded) == 1:
                (root / "pixels").write_bytes(bytes(range(120)))
            return images

    source = Growing()
    assert len(read_cached(source, root).train_images) == 120
    assert len(read_cached(source, root).train_images) == 120
    assert len(source.decoded) == 2


def test_of_several_at_once_one_decodes(root: Path) -> None:
    class Slow(CountingSource):
        def decode(self, root: Path) -> Images:
            time.sleep(0.1)
            return super().decode(root)

    source = Slow()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_cached(source, root), range(4)))
    assert len(source.decoded) == 1
    assert all(same(found[0], each) for each in found)


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from tests.data.test_cache import CountingSource, read_cached
import study.data.cache as cache

def half(tensors, metadata):
    content = save(tensors, metadata)
    path = Path(sys.argv[1], f".tensors.safetensors.{os.getpid()}.partial")
    path.write_bytes(content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

save, cache.save = cache.save, half
read_cached(CountingSource(), Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="it has no SIGKILL")
def test_one_that_is_killed_while_it_writes_leaves_nothing_to_trust(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(root)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert {path.name for path in root.iterdir()} > {"lock", "owner.json"}
    source = CountingSource()
    assert len(read_cached(source, root).train_images) == 100
    assert len(source.decoded) == 1
    assert {path.name for path in root.iterdir()} == {"pixels", "tensors.safetensors"}


@pytest.mark.parametrize("failing", ["lock", "write"])
def test_where_nothing_can_be_written_images_still_come(
    root: Path, failing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    if failing == "lock":
        monkeypatch.setattr("study.data.cache.owned", refuse)
    else:
        monkeypatch.setattr("study.data.cache.save", refuse)
    source = CountingSource()
    with caplog.at_level(logging.WARNING):
        assert len(read_cached(source, root).train_images) == 100
        assert len(read_cached(source, root).train_images) == 100
    assert len(source.decoded) == 2
    assert "cannot be written (Permission denied)" in caplog.text
    assert "made at every start; data.cache=DIR keeps it elsewhere" in caplog.text
    assert not list(root.glob("*.partial"))
    assert not source.cache(root).exists()


def test_one_that_wakes_up_late_keeps_nothing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Slept(CountingSource):
        def decode(self, root: Path) -> Images:
            with taken_over(root):
                self.cache(root).write_text("theirs")
            return super().decode(root)

    with caplog.at_level(logging.WARNING):
        assert len(read_cached(Slept(), root).train_images) == 100
    assert caplog.text.count("cannot be written") == 1
    assert "taken over by another process" in caplog.text
    assert (root / "tensors.safetensors").read_text() == "theirs"


def test_the_fingerprint_knows_pixels_labels_shapes_and_classes() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).reshape(6, 1, 2, 2)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    tensors = {"pixels": pixels, "labels": labels}
    other_pixels, other_labels = pixels.clone(), labels.clone()
    other_pixels[3, 0, 1, 1] ^= 1
    other_labels[5] = 0
    fingerprints = {
        fingerprint_of(tensors, ("a", "b")),
        fingerprint_of(tensors, ("a", "c")),
        fingerprint_of({**tensors, "pixels": other_pixels}, ("a", "b")),
        fingerprint_of({**tensors, "pixels": pixels.reshape(6, 1, 4, 1)}, ("a", "b")),
        fingerprint_of({**tensors, "labels": other_labels}, ("a", "b")),
    }
    assert len(fingerprints) == 5
    strided = {"pixels": pixels.transpose(2, 3).contiguous().transpose(2, 3), "labels": labels}
    assert fingerprint_of(strided, ("a", "b")) in fingerprints


class Absent(CountingSource):
    """A source whose file is neither there nor to be fetched."""

    def files(self, root: Path) -> list[str]:
        return []


def test_a_source_that_cannot_be_had_leaves_no_directory(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(FileNotFoundError):
        read_cached(Absent(), tmp_path / "kept" / "typed" / "wrong")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]
