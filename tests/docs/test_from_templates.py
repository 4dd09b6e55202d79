"""docs/from-templates.md: what it says to type works, and what it says is refused is refused."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import study.launch.train
from docs import manual, quoted
from docs.code import blocks
from study.__main__ import main
from study.config import compose, configuration, refused
from study.config.compose import SWITCHES, hydra_ready, parse_overrides
from study.config.configuration import CONF, own_files
from study.config.keys import KEYS
from study.config.sweep import plan
from study.console import COMMANDS
from study.errors import InputError
from tests.tiny_launch import TINY

TEXT = (Path(__file__).parents[2] / "docs/from-templates.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line) for line in re.findall(r"`study ([a-z][^`]*)`", TEXT)]
TRAINED = [words[1:] for words in TYPED if words[0] == "train"]
READ = [words for words in TYPED if words[0] in ("table", "status", "report")]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with hydra_ready():
        yield


def test_it_quotes_what_is_refused() -> None:
    assert len(quoted.quotations("study habits").findall(TEXT)) == len(manual.HABITS)
    fresh = quoted.refreshed(TEXT, {"study habits": manual.printed_habits})
    assert fresh == TEXT, "stale: run `make published`"


@pytest.mark.parametrize("words", TRAINED, ids=" ".join)
def test_what_it_says_to_train_can_be_trained(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if "--cfg" in words:
        assert main(["train", *words]) == 0
        assert "name: tanh" in capsys.readouterr().out
        return
    given = [word for word in words if not word.startswith("-")]
    assert plan(given, multirun="-m" in words).cells


def test_what_it_says_to_read_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "outputs.tensorboard=none"]) == 0
    assert {words[0] for words in READ} == {"table", "status", "report"}
    for words in READ:
        assert main(words) == 0
    loaded: Any = study.load("outputs/scratch")
    assert loaded.network
    assert {words[0] for words in TYPED} <= set(COMMANDS)


def test_its_search_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [block.code for block in blocks(TEXT) if block.language == "python"]
    train = study.launch.train.main
    monkeypatch.setattr("study.launch.train.main", lambda words: train([*TINY, *words]))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert list(namespace["errors"].index) == ["sgd", "sgd momentum=0.8"]


def test_its_experiment_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [block.code for block in blocks(TEXT) if block.language == "yaml"]
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf/experiment/mine.yaml").write_text(text, encoding="utf-8")
    configuration.levels.cache_clear()
    for module in (compose, configuration):
        monkeypatch.setattr(module, "CONF", tmp_path / "conf")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with hydra_ready():
        planned = plan(["experiment=mine"], multirun=False)
    configuration.levels.cache_clear()
    config = planned.base.config
    assert (config.study, config.batch_size, config.norm.name) == ("mine-C.UTF-8", 100, "batch")
    with hydra_ready():
        assert len(planned.cells) == len(plan(["experiment=quickstart"], multirun=False).cells)


def test_its_folder_of_ones_own_is_found(tmp_path: Path) -> None:
    (keys,) = re.findall(r"steep.yaml` \(`(.*?)`, `(.*?)`\)", TEXT)
    (tmp_path / "activation").mkdir()
    (tmp_path / "activation/steep.yaml").write_text("\n".join(keys))
    with own_files(tmp_path), hydra_ready():
        assert plan(["activation=steep"], multirun=False).cells[0].config.activation.level == {
            "name": "leaky_relu",
            "slope": 0.3,
        }


def test_nothing_that_works_is_called_refused() -> None:
    assert not set(refused.KEYS) & set(KEYS)


@pytest.mark.parametrize("name", refused.KEYS)
def test_what_it_calls_refused_is_refused_in_its_words(name: str) -> None:
    typed = f"{name}.study=1" if name in SWITCHES else name if "=" in name else f"{name}=1"
    with pytest.raises(InputError) as caught:
        parse_overrides([typed])
    assert refused.KEYS[name] in str(caught.value)
