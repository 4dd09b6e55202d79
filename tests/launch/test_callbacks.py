"""Callbacks of a user's own: trained with, signed, kept by checkpoints, refused in one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import study
from study.__main__ import main
from study.config import own
from study.config.configuration import use_levels
from study.errors import InputError
from study.launch.reproduce.comparable import comparable
from study.outputs.cell import read_result
from tests import tiny
from tests.interrupted import NEVER, train_with_kills

CALLBACKS = '''
import lightning
import torch
from study.levels import callback


@callback("shrinking")
class Shrinking(lightning.Callback):
    """Weights shrink after each epoch, by the more the later it is."""

    def __init__(self):
        self.times = 0

    def on_train_epoch_end(self, trainer, pl_module):
        self.times += 1
        with torch.no_grad():
            for each in pl_module.parameters():
                each *= 1 - 0.01 * self.times

    def state_dict(self):
        return {"times": self.times}

    def load_state_dict(self, state):
        self.times = state["times"]


@callback("stopping")
def stopping():
    class Stopping(lightning.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = True

    return Stopping()


@callback("nothing")
def nothing():
    return 3
'''
EPOCHS = ("trainer.max_epochs=3", "outputs.tensorboard=none")


@pytest.fixture(autouse=True)
def levels(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "levels"
    folder.mkdir()
    (folder / "mine.py").write_text(CALLBACKS)
    use_levels([f"levels={folder}"])
    own.register()
    yield folder
    own.use(None)
    use_levels()


def test_a_callback_trains_along_and_its_code_is_signed(root: Path, tmp_path: Path) -> None:
    usual = tiny.train_to(tmp_path / "usual/cell", root, *EPOCHS)
    with_it = tiny.train_to(tmp_path / "own/cell", root, *EPOCHS, "callbacks=shrinking")
    assert list(with_it["provenance"]["levels"]) == ["callbacks=shrinking"]
    assert with_it["signature"] != usual["signature"]
    first, second = (each["replicas"][0]["weights_sha256"] for each in (usual, with_it))
    assert first != second


def test_stopped_and_gone_on_with_it_ends_the_same(root: Path, tmp_path: Path) -> None:
    overrides = (*EPOCHS, "callbacks=[shrinking]")
    whole, stopped = tmp_path / "whole/cell", tmp_path / "stopped/cell"
    tiny.train_to(whole, root, *overrides, NEVER)
    assert train_with_kills(stopped, root, *overrides) == 3
    assert len(read_result(stopped)["provenance"]["resumed"]) == 3
    assert comparable(stopped) == comparable(whole)


def test_parts_of_a_cell_share_it(root: Path, tmp_path: Path) -> None:
    """It is made once: the second part's weights shrink by more."""
    overrides = (*EPOCHS, "seeds=2", "callbacks=shrinking")
    together, apart = (
        tiny.train_to(
            tmp_path / f"{most}/cell", root, *overrides, f"population.max_replicas={most}"
        )
        for most in (2, 1)
    )
    first, second = zip(together["replicas"], apart["replicas"], strict=True)
    assert first[0]["weights_sha256"] == first[1]["weights_sha256"]
    assert second[0]["weights_sha256"] != second[1]["weights_sha256"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("stopping", "a callback stopped training after 1 epoch: no cell stops early"),
        ("nothing", "callbacks=nothing makes a int, and no lightning.Callback"),
    ],
)
def test_what_a_callback_may_not_do_is_one_line(
    root: Path, tmp_path: Path, name: str, line: str
) -> None:
    with pytest.raises(InputError, match=line):
        tiny.train_to(tmp_path / "cell", root, *EPOCHS, f"callbacks=[{name}]")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("callbacks=[shrink]", "unknown callback 'shrink' (did you mean 'shrinking'?); choose "),
        ("callbacks=[shrinking,shrinking]", "a list of names, each once, or one name, or null"),
        ("trainer.callbacks=x", "write callbacks=[NAME], of a folder of levels"),
    ],
)
def test_a_name_that_is_none_is_one_line(
    levels: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    assert main(["train", f"levels={levels}", words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_without_a_folder_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "callbacks=[shrinking]"]) == 2
    assert "no folder of levels has callbacks: name one that has" in capsys.readouterr().err


def test_a_trainer_of_ones_own_takes_its_own() -> None:
    with pytest.raises(InputError, match="give yours to your own"):
        study.population("callbacks=shrinking")
