"""Files are whole or absent."""

import errno
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from study import files
from study.errors import InputError
from study.files import (
    finite,
    replacing,
    sha256,
    writable_directory,
    write_arrays,
    write_csv,
    write_json,
    write_tensors,
    write_text,
)


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([old] if old else [])


def test_until_the_block_ends_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_rename_that_fails_leaves_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as error:
        write_text(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == []
    words = f"cannot write {tmp_path / 'file'}: No space left on device"
    assert files.unwritable(error.value) == words


def test_a_file_is_on_disk_before_its_name_and_its_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, (tmp_path / "name").exists()))

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(tmp_path / "name", "text")
    assert synced == [("file", False), ("directory", True)]


def test_a_directory_that_cannot_be_flushed_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "no")

    monkeypatch.setattr(files.os, "fsync", fsync)
    number = errno.EINVAL
    write_text(tmp_path / "name", "text")
    number = errno.EIO
    with pytest.raises(OSError, match="no"):
        write_text(tmp_path / "name", "text")


def test_other_errors_are_no_matter_of_writing() -> None:
    assert files.unwritable(FileNotFoundError(2, "No such file", "x")) is None
    assert files.unwritable(OSError(errno.EROFS, "Read-only")) == "cannot write a file: Read-only"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_no_link_leads_a_directory_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "other").symlink_to(inside / "real")
    (inside / "real").mkdir()
    (tmp_path / "alias").symlink_to(inside)
    for name in ("link", "link/deeper", "../outside"):
        with pytest.raises(InputError, match=r"leads out of .*, by a symbolic link"):
            files.make_directory(inside / name, within=inside)
    assert list(outside.iterdir()) == []
    for path in (inside / "other", inside / "new", tmp_path / "alias" / "new"):
        assert files.make_directory(path, within=path.parent).is_dir()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_utf8_with_its_line_ends_kept(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "text"
    write_text(path, text)
    assert path.read_bytes() == text.encode()
    assert sha256(path) == hashlib.sha256(text.encode()).hexdigest()


def test_json_refuses_what_json_has_no_word_for(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None, 0.1]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": [1, None, 0.1]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"loss": math.nan})
    assert not (tmp_path / "b.json").exists()


def test_csv_leaves_what_is_not_finite_empty(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"seed": 0, "loss": math.nan, "error": 0.25, "not a column": 3},
        {"seed": 1, "loss": math.inf, "error": -math.inf},
        {"seed": 2, "loss": 1e-300, "error": None},
    ]
    write_csv(tmp_path / "a.csv", ["seed", "loss", "error"], rows)
    assert (tmp_path / "a.csv").read_bytes() == b"seed,loss,error\n0,,0.25\n1,,\n2,1e-300,\n"


@given(st.floats())
def test_finite_keeps_finite_numbers_alone(value: float) -> None:
    assert finite(value) == (value if math.isfinite(value) else None)


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.array(0.1)}
    write_arrays(tmp_path / "a.npz", arrays)
    os.utime(tmp_path / "a.npz", (0, 0))
    write_arrays(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        assert all((loaded[name] == array).all() for name, array in arrays.items())


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(4.0), "a": torch.ones(2, 2)}
    write_tensors(tmp_path / "1.safetensors", tensors, {"input_shape": "1,2,2"})
    write_tensors(tmp_path / "2.safetensors", tensors, {"input_shape": "1,2,2"})
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    loaded = load_file(tmp_path / "1.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_a_directory_is_made_and_proved_writable(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er"
    assert writable_directory(path) == path
    assert writable_directory(path) == path
    assert list(path.iterdir()) == []


def test_a_directory_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file.*outputs_dir=DIR"):
        writable_directory(tmp_path / "file" / "study")

    def denied(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", denied)
    with pytest.raises(InputError, match="Permission denied"):
        writable_directory(tmp_path / "study")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    """Results are shared: a file has the permissions that any new file gets."""
    write_text(tmp_path / "a", "text")
    (tmp_path / "b").write_text("text")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes[0] == modes[1]
