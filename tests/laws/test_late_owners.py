"""An owner that wakes up after another has replaced it writes, renames and removes nothing."""

import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from study import files
from study.locks import OWNER, Lost, owned, still_ours, while_owned
from study.outputs import cell
from study.outputs.checkpoint import CHECKPOINT, Checkpoints
from study.outputs.clean import Leftover, remove
from study.tensorboard.writer import open_writer
from study.training.pretraining import cache
from tests import tiny
from tests.many_processes import await_that, ended, launched, notes
from tests.test_locks import taken_over

THEIRS = ("result.json", "config.yaml", "curves.csv", "error.txt", CHECKPOINT, "seed=0.csv")
KEPT = cache.Result({0: {"w": torch.zeros(1)}}, {0: [{"epoch": 1}]}, updates=1)
DEEDS: Mapping[str, Callable[[Path], object]] = {
    "a record": lambda place: files.write_json(place / "result.json", {}),
    "a table": lambda place: files.write_csv(place / "curves.csv", ["lr"], [{"lr": 0.1}]),
    "arrays": lambda place: files.write_arrays(place / "filters.npz", {"a": np.zeros(1)}),
    "weights": lambda place: files.write_tensors(
        place / "weights.safetensors", {"w": torch.zeros(1)}, {}
    ),
    "a configuration": lambda place: cell.write_config(place, {"seeds": 1}),
    "an error": lambda place: cell.write_error(place, {"seeds": 1}, "ValueError"),
    "a checkpoint": lambda place: Checkpoints(place, "ab", 0).offer(lambda: ({}, {})),
    "an occasion for one": lambda place: Checkpoints(place, "ab", None).offer(lambda: ({}, {})),
    "a checkpoint's end": lambda place: Checkpoints(place, "ab", 0).remove(),
    "an unfit checkpoint": lambda place: Checkpoints(place, "ab", 0).put_aside(Exception(), ""),
    "a damaged cell, set aside": lambda place: cell.clear_unfinished(place),
    "TensorBoard's events": lambda place: open_writer(place),
    "TensorBoard's events below": lambda place: open_writer(place / "seeds=0"),
    "pretrained weights": lambda place: cache._keep(place, "ab", 0, KEPT, 1.0),
}
"""All that an owner does in its directory."""


def content(directory: Path) -> dict[str, bytes]:
    """Every file but who owns it."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths if path.name not in ("lock", OWNER)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory beside which nothing else is."""
    directory = tmp_path / "study" / "cell"
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("is_gone", [False, True], ids=["at work", "done and gone"])
@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_of_the_other_is_touched(place: Path, deed: str, is_gone: bool) -> None:
    with owned(place, wait=False), ExitStack() as other:
        other.enter_context(taken_over(place))
        for name in THEIRS:
            (place / name).write_text("theirs")
        before = content(place.parent)
        if is_gone:
            other.close()
        with pytest.raises(Lost):
            DEEDS[deed](place)
        assert content(place.parent) == before


def test_an_events_file_that_the_other_removed_does_not_come_back(place: Path) -> None:
    with owned(place, wait=False), open_writer(place) as writer:
        writer.scalars(1, {"loss": 0.5})
        writer.flush()
        with taken_over(place):
            (events,) = place.glob("events.out.tfevents.*")
            events.unlink()
            with pytest.raises(Lost):
                writer.scalars(2, {"loss": 0.25})
            writer.close()
            assert content(place) == {}


def test_an_unfinished_attempt_of_the_other_is_not_cleared(place: Path) -> None:
    with owned(place, wait=False), taken_over(place):
        (place / "curves.csv").write_text("theirs")
        with pytest.raises(Lost):
            cell.clear_unfinished(place)
        assert (place / "curves.csv").exists()


def test_nor_does_it_touch_the_others_ownership(place: Path) -> None:
    with ExitStack() as mine:
        mine.enter_context(owned(place, wait=False))
        with taken_over(place) as theirs:
            names = {path.name for path in place.iterdir()}
            mine.close()
            theirs.check()
            assert {path.name for path in place.iterdir()} == names


def test_what_is_owned_and_what_nobody_owned_is_written(place: Path) -> None:
    still_ours(place)
    with owned(place, wait=False):
        for name in ("a record", "a checkpoint", "a checkpoint's end"):
            DEEDS[name](place)
        open_writer(place / "seeds=0").close()
    DEEDS["a table"](place)
    assert {path.name for path in place.iterdir()} == {"result.json", "seeds=0", "curves.csv"}


@pytest.mark.parametrize("is_gone", [False, True], ids=["at work", "done and gone"])
def test_one_that_sleeps_between_its_look_and_its_rename_has_nothing_to_rename(
    place: Path, is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever claims a directory removes what was being written there."""
    with ExitStack() as other, owned(place, wait=False):
        rename = Path.replace

        def late(path: Path, target: Path) -> Path:
            monkeypatch.undo()
            other.enter_context(taken_over(place))
            (place / "result.json").write_text("theirs")
            if is_gone:
                other.close()
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", late)
        with pytest.raises(Lost):
            files.write_text(place / "result.json", "late")
        assert content(place) == {str(place / "result.json"): b"theirs"}


@pytest.mark.parametrize("is_told", [True, False], ids=["it is told", "it fails by that"])
def test_work_that_was_taken_over_is_done_anew(place: Path, is_told: bool) -> None:
    said: list[str] = []
    found: list[str] = []

    def work() -> str:
        path = place / "a"
        found.append(path.read_text() if path.exists() else "nothing")
        if len(found) == 1:
            with taken_over(place):
                path.write_text("theirs")
            if not is_told:
                raise FileNotFoundError("what it wrote is gone")
        files.write_text(path, f"{found[-1]}, and mine")
        return path.read_text()

    assert while_owned(place, work, say=said.append) == "theirs, and mine"
    assert found == ["nothing", "theirs"]
    assert said == [
        f"{place}: taken over by another process while this process slept; "
        "what it did there is dropped"
    ]


def test_the_loss_of_another_directory_is_not_its_own(place: Path) -> None:
    inner = place / "inner"
    inner.mkdir()
    with owned(place, wait=False):

        def work() -> None:
            with taken_over(place):
                still_ours(place)

        with pytest.raises(Lost) as lost:
            while_owned(inner, work)
        assert lost.value.directory == place


def test_a_late_clean_removes_nothing_more(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [place / name for name in "abc"]
    for path in paths:
        path.write_text("left")

    def slept(path: Path) -> None:
        files.remove(path)
        if path == paths[0]:
            with taken_over(place):
                pass

    monkeypatch.setattr("study.outputs.clean.remove_file", slept)
    remove(Leftover("left", place, tuple(paths), (place,), room=place))
    assert set(content(place)) == set(map(str, paths[1:]))


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_whole_cell_that_wakes_up_late_leaves_the_others_as_it_is(
    root: Path, place: Path, tmp_path: Path, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps in an epoch, and does not go on training after it."""
    other = tmp_path / "other"
    tiny.train_to(other, root, "trainer.checkpoint_seconds=0")
    (other / "lock").unlink(missing_ok=True)
    offered: list[int] = []
    offer = Checkpoints.offer

    def asleep(checkpoints: Checkpoints, take: Callable[[], object]) -> None:
        offered.append(1)
        if len(offered) == epoch:
            with taken_over(place):
                for path in [*place.iterdir()]:
                    if path.name not in ("lock", OWNER):
                        path.unlink()
                for path in other.iterdir():
                    (place / path.name).write_bytes(path.read_bytes())
        offer(checkpoints, take)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoints, "offer", asleep)
    with owned(place, wait=False), pytest.raises(Lost):
        tiny.train_to(place, root, "trainer.checkpoint_seconds=0")
    assert len(offered) == epoch
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        path.name: path.read_bytes() for path in place.iterdir() if path.name != "lock"
    }
    assert [path.name for path in place.parent.iterdir()] == ["cell"]


@pytest.mark.parametrize("woken", ["in the middle", "after the end"])
def test_a_process_that_was_stopped_leaves_its_cell_to_the_other(
    tmp_path: Path, woken: str
) -> None:
    """Two hosts that see each other's heartbeat alone; the first is stopped while it trains."""
    stopped = launched("share", tmp_path, 1, 0, "a")
    (tmp_path / f"hold {stopped.pid}").touch()
    await_that(lambda: bool(notes(tmp_path)))
    stopped.send_signal(signal.SIGSTOP)
    other = launched("share", tmp_path, 1, 0, "b")
    (tmp_path / f"hold {other.pid}").touch()
    (tmp_path / f"hold {stopped.pid}").unlink()
    await_that(lambda: len(notes(tmp_path)) == 2)
    printed: list[str] = []
    if woken == "in the middle":
        stopped.send_signal(signal.SIGCONT)
        await_that((tmp_path / f"waiting {stopped.pid}").exists)
        (tmp_path / f"hold {other.pid}").unlink()
        late, printed = "host b", ended([stopped, other])
    else:
        (tmp_path / f"hold {other.pid}").unlink()
        printed = ended([other])
        stopped.send_signal(signal.SIGCONT)
        late, printed = "another process", [*ended([stopped]), *printed]
    assert [line[:2] for line in notes(tmp_path)] == [
        ["start", "number=0"],
        ["start", "number=0"],
        ["end", "number=0"],
    ]
    assert notes(tmp_path)[-1][-1] == str(other.pid)
    assert printed[0].count("what it trained is dropped\n") == 1
    assert f"number=0: taken over by {late}" in printed[0]
    assert "test error" not in printed[0]
    assert printed[1].count("test error") == 1
