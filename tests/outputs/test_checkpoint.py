"""A checkpoint gives back what was put in, or is named and not used."""

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.outputs import checkpoint
from study.outputs.checkpoint import CHECKPOINT, Checkpoints, read_checkpoint, write_checkpoint

SIGNATURE = "ab" * 32
OTHERWISE = "the cell starts over"

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
shapes = st.lists(st.integers(0, 3), max_size=3)
kinds = st.sampled_from(["float64", "float32", "int64", "int32", "int16", "uint8", "bool"])
arrays = st.builds(lambda shape, kind: np.ones(shape).astype(kind), shapes, kinds)
trees = st.recursive(
    plain | arrays | arrays.map(torch.from_numpy),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[n], second[n]) for n in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, torch.Tensor):
        first, second = first.numpy(), second.numpy()
    if isinstance(first, np.ndarray):
        own = (first.dtype, first.shape, first.tobytes())
        return bool(own == (second.dtype, second.shape, second.tobytes()))
    return type(first) is type(second) and (first == second or first != first)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_every_state_comes_back(tmp_path_factory: pytest.TempPathFactory, state: Any) -> None:
    path = tmp_path_factory.mktemp("a") / CHECKPOINT
    write_checkpoint(path, SIGNATURE, {"epoch": 3}, state)
    found = read_checkpoint(path, SIGNATURE, OTHERWISE)
    assert found is not None
    assert found.record["epoch"] == 3
    assert same(state, found.state)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.randn(3, 5).T,
        torch.randn(6)[::2],
        torch.randn(4).expand(3, 4),
        torch.tensor(2.0),
    ],
)
def test_tensors_may_lie_in_memory_as_they_like(tmp_path: Path, tensor: torch.Tensor) -> None:
    write_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, {}, {"one": tensor, "same memory": tensor})
    found = read_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, OTHERWISE)
    assert found is not None
    for each in found.state.values():
        assert torch.equal(each, tensor)
        assert each.is_contiguous()


def test_other_programs_read_it(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    write_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, {}, {"w": torch.arange(3.0), "b": 1})
    assert torch.equal(load_file(tmp_path / CHECKPOINT)["/w"], torch.arange(3.0))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / CHECKPOINT
    state = {"rows": [{"loss": 0.5}], "w": torch.arange(8.0), "flag": torch.tensor([True])}
    write_checkpoint(path, SIGNATURE, {"epoch": 1}, state)
    return path.read_bytes()


def test_a_flipped_bit_anywhere_is_noticed(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """But for one in the blanks that fill up the header, which hold nothing."""
    path = tmp_path / CHECKPOINT
    used = []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        if read_checkpoint(path, SIGNATURE, OTHERWISE) is not None:
            used.append(content[place : place + 1])
    assert set(used) <= {b" "}
    assert len(used) < 8
    assert len(caplog.records) == len(content) - len(used)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -1])
def test_a_truncated_file_is_named_in_one_line(
    tmp_path: Path, content: bytes, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(content[:length])
    assert read_checkpoint(path, SIGNATURE, OTHERWISE) is None
    (entry,) = caplog.records
    assert entry.levelno == logging.WARNING
    assert "\n" not in entry.getMessage()
    assert str(path) in entry.getMessage()
    assert entry.getMessage().endswith(OTHERWISE)


def test_a_foreign_one_is_named_and_none_is_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / CHECKPOINT
    assert read_checkpoint(path, SIGNATURE, OTHERWISE) is None
    assert not caplog.records
    path.write_bytes(content)
    assert read_checkpoint(path, "cd" * 32, OTHERWISE) is None
    assert "of another training" in caplog.text


def state_of(epoch: int) -> tuple[dict[str, int], dict[str, Any]]:
    return {"epoch": epoch}, {}


def test_a_write_that_ends_in_the_middle_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And is said once; the training goes on."""
    kept = Checkpoints(tmp_path, SIGNATURE, 0)
    kept.offer(lambda: ({"epoch": 1}, {"w": torch.zeros(1000)}))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for epoch in (2, 3):
            kept.offer(partial(state_of, epoch))
    assert [entry.getMessage().count("No space left") for entry in caplog.records] == [1]
    found = read_checkpoint(tmp_path / CHECKPOINT, SIGNATURE, OTHERWISE)
    assert found is not None
    assert found.record["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    kept.remove()
    kept.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("seconds", "written"), [(0, [1, 2, 3, 4]), (60, [3]), (None, [])])
def test_they_are_written_as_often_as_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None, written: list[int]
) -> None:
    """Epochs of 25 seconds; writing takes none."""
    now, epochs = [0.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        checkpoint, "write_checkpoint", lambda path, sig, record, state: epochs.append(record)
    )
    kept = Checkpoints(tmp_path, SIGNATURE, seconds)
    for epoch in (1, 2, 3, 4):
        now[0] += 25
        kept.offer(partial(state_of, epoch))
    assert [record["epoch"] for record in epochs] == written
