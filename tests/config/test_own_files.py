"""`--config-dir`: a user's own experiments and levels beside those of conf/, or refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.__main__ import main
from study.config.compose import hydra_ready
from study.config.configuration import added, levels, own_files
from study.config.sweep import plan
from study.errors import InputError
from study.outputs.provenance import launch_overrides
from tests.tiny_launch import TINY

STEEP = "# leaky ReLU, steep\nname: leaky_relu\nslope: 0.3\n"
SLOPES = """# @package _global_
# is a steep one better?
defaults:
  - override /norm: batch
study: slopes
sweep:
  axes:
    activation: [relu, steep]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in {"activation/steep": STEEP, "experiment/slopes": SLOPES}.items():
        path = tmp_path / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "mine"
    assert not added
    assert "steep" not in levels("activation")


def test_its_files_are_found_beside_the_projects(folder: Path) -> None:
    with own_files(folder), hydra_ready():
        cells = plan(["experiment=slopes"], multirun=False).cells
        assert [cell.choices["activation"] for cell in cells] == ["relu", "steep"]
        assert cells[1].config.activation.level == {"name": "leaky_relu", "slope": 0.3}
        own = plan(["activation=leaky_relu", "activation.slope=0.3"], multirun=False).cells[0]
        steep = plan(["activation=steep"], multirun=False).cells[0]
        assert own.config.signature("data") == steep.config.signature("data")
        globbed = plan(["activation=glob(st*)"], multirun=False).cells
        assert [cell.choices["activation"] for cell in globbed] == ["steep"]
    with hydra_ready(), pytest.raises(InputError, match="unknown activation 'steep'"):
        plan(["activation=steep"], multirun=False)


def test_a_study_of_it_is_trained_and_read_without_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("experiment=slopes", "study=slopes", *TINY, "outputs.tensorboard=none")
    assert main(["train", "--config-dir", "mine", *words]) == 0
    ledger = json.loads(Path("outputs/slopes/study.json").read_text())
    assert ledger["experiment"]["text"] == SLOPES
    assert main(["train", f"--config-dir={folder}", *words]) == 0
    assert "2 cells, 0 to train" in capsys.readouterr().out
    for line in ("status", "table", "verify"):
        assert main([line, "outputs/slopes"]) == 0
    assert "steep" in capsys.readouterr().out


def test_jobs_of_a_launcher_find_it(folder: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    line = ("activation=steep", "study=jobs", "hydra/launcher=joblib", "outputs.tensorboard=none")
    assert main(["train", "-cd", "mine", *TINY, *line]) == 0


def test_pages_and_the_catalogue_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "activation", "--config-dir", "mine"]) == 0
    assert "leaky ReLU, steep" in capsys.readouterr().out
    assert main(["train", "--cfg", "job", "-cd", "mine", "activation=steep"]) == 0
    assert "slope: 0.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("config.yaml", "would not be read, that of conf/ is"),
        ("experiments/a.yaml", "unknown group 'experiments' (did you mean 'experiment'?)"),
        ("callbacks/a.yaml", "unknown group 'callbacks'"),
        ("hydra/sweeper/a.yaml", "unknown group 'hydra/sweeper'"),
        ("experiment/a.yml", "Hydra reads files named NAME.yaml"),
        ("activation/relu.yaml", "conf/activation has a relu already; give yours another name"),
    ],
)
def test_a_file_that_nothing_would_read_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(STEEP)
    assert main(["train", "--config-dir", "mine"]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"study: mine/{name}")
    assert says in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slope: 0.3", "mine/activation/steep.yaml: it has no line such as `name: relu`"),
        ("name: leaky_relu\nslpe: 1", "mine/activation/steep.yaml: unknown key 'activation.slpe'"),
        ("name: steepest", "has no entry 'steepest' that can be read"),
    ],
)
def test_a_faulty_level_of_it_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (folder / "activation" / "steep.yaml").write_text(text)
    assert main(["train", "--config-dir", "mine", "activation=steep"]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--config-dir mine", "--config-dir=mine", "-cd mine", "-cd=mine"])
def test_a_recorded_command_keeps_it(flag: str) -> None:
    given = launch_overrides(f"study train {flag} -m activation=steep,relu")
    assert given == ["-m", "--config-dir=mine", "activation=steep,relu"]
