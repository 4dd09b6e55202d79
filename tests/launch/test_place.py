"""Where a launch's cells are kept, and that no launch loses what another has finished."""

import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import study.config.compose
import study.config.configuration
import study.launch.train
import study.outputs.unlisted
from study.__main__ import main
from study.config.compose import compose_raw, hydra_ready
from study.config.configuration import CONF, LEVEL_RECIPES, levels
from study.config.level_source import OWN
from study.config.sweep import plan
from study.errors import InputError
from study.launch.place import Launch, prepared
from study.outputs import read_cells, read_ledger
from study.outputs.ledger import record_launch
from study.outputs.provenance import code_and_machine
from study.outputs.unlisted import unlisted_cells
from study.theory.preflight.record import read_checks

PAIR = """# @package _global_
# {name}: relu or tanh?
study: {name}
seeds: 1
data:
  train_size: 64
  val_size: 64
  test_size: 64
model:
  widths: [8]
optimizer:
  lr: [0.01, 0.1]
trainer:
  max_epochs: 1
  threads: 1
  accelerator: cpu
outputs:
  tensorboard: none
sweep:
  axes:
    activation: [relu, tanh]
claims:
  - id: relu-is-better
    statement: It is.
    source: here
    measure: difference
    of: test_error
    cells: {{activation: relu}}
    against: {{activation: tanh}}
    expect: lower by 1 points
"""
Output = pytest.CaptureFixture[str]
Train = Callable[..., int]


@pytest.fixture(autouse=True, scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A copy of the configuration with experiments of two cells each.

    What Hydra composes of it is composed once for all tests: a plan takes it ten times.
    """
    directory = tmp_path_factory.mktemp("tree") / "conf"
    shutil.copytree(CONF, directory)
    folder = "data:\n  root: {}\n".format
    texts = {name: PAIR.format(name=name) for name in ("pair", "other")}
    for name, root in (("open", "null"), ("a", "a"), ("b", "b")):
        text = PAIR.format(name=name).replace("data:\n", folder(root))
        at = "study: {}\n".format
        texts[name] = text.replace(
            at(name), at(name) + "defaults:\n  - override /data: image_folder\n"
        )
    for name, text in texts.items():
        (directory / "experiment" / f"{name}.yaml").write_text(text)
    once = functools.cache(compose_raw)
    with pytest.MonkeyPatch.context() as patch:
        for module in (
            study.config.compose,
            study.config.configuration,
            study.outputs.unlisted,
        ):
            patch.setattr(module, "CONF", directory)
        for module in (study.config.compose, study.config.compose):
            patch.setattr(module, "compose_raw", lambda overrides: once(tuple(overrides)))
        levels.cache_clear()
        yield
    levels.cache_clear()


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where studies go: `outputs` of a directory of each test's own."""
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """`study train`, as the shell would start it."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["study", "train", *arguments])
        monkeypatch.setattr("study.console._program", lambda: ["study"])
        code_and_machine.cache_clear()
        return main(["train", *arguments])

    return run


def launch(*arguments: str) -> Launch:
    given = [text for text in arguments if text != "-m"]
    with hydra_ready():
        return prepared(plan(given, multirun="-m" in arguments))


def recorded(*arguments: str) -> str:
    """The name of the study that a launch goes to, once it stands in its ledger."""
    one = launch(*arguments)
    one.study.mkdir(parents=True, exist_ok=True)
    path = study.config.compose.CONF / "experiment" / f"{one.planned.experiment}.yaml"
    record_launch(
        one.study,
        study=one.study.name,
        threads=1,
        cells=one.cells,
        experiment=path if one.planned.experiment else None,
        claims=one.planned.base.config.claims,
        replaces=one.replaces,
        accepts=one.accepts,
    )
    return one.study.name


def listed(directory: Path) -> list[str]:
    return [cell.factors["activation"] for cell in read_ledger(directory).cells]


@pytest.mark.parametrize(
    ("overrides", "name", "replaces"),
    [
        ((), "pair", True),
        (("trainer.threads=2", "outputs.weights=all", "sweep.max_failures=2"), "pair", True),
        (("seeds=3",), "pair", True),
        (("activation=tanh,relu",), "pair", True),
        (("activation=relu",), "pair", False),
        (("activation=relu", "seeds=3"), "pair", False),
        (("sweep.exclude=[{activation:tanh}]",), "pair", False),
        (("activation=gelu",), "pair-2", False),
        (("activation=relu,tanh,gelu",), "pair-2", False),
        (("model.widths=[9]",), "pair-2", False),
        (("optimizer.lr=[0.01]",), "pair-2", False),
        (("-m", "batch_size=32,64"), "pair-2", False),
        (("study=x", "model.widths=[9]"), "x", False),
        (("study=pair", "model.widths=[9]"), "pair", False),
        (("study=x",), "x", True),
    ],
)
def test_a_study_is_of_its_files_cells_alone(
    outputs: Path, overrides: tuple[str, ...], name: str, replaces: bool
) -> None:
    found = launch("experiment=pair", *overrides)
    assert (found.study, found.replaces) == (outputs / name, replaces)
    assert (found.remark is not None) == (name == "pair-2")
    assert {cell.config.study for cell in found.cells} == {name}
    assert found.planned.base.config.study == name


def test_what_a_launcher_is_handed_names_the_study_too(outputs: Path) -> None:
    moved = launch("experiment=pair", "model.widths=[9]")
    assert all("study=pair-2" in cell.overrides for cell in moved.cells)


def test_a_launch_without_an_experiment_adds(outputs: Path) -> None:
    assert not launch("study=pair", "activation=relu").replaces


def test_the_same_overrides_go_on_in_the_same_study(outputs: Path) -> None:
    wide = ("experiment=pair", "model.widths=[9]")
    assert recorded(*wide) == "pair-2"
    assert recorded(*wide) == "pair-2"
    assert recorded(*wide, "trainer.threads=2") == "pair-2"
    assert recorded(*wide, "activation=relu") == "pair-2"
    assert listed(outputs / "pair-2") == ["relu", "tanh"]
    assert recorded(*wide, "seeds=2") == "pair-2"
    assert [cell.seeds for cell in read_ledger(outputs / "pair-2").cells] == [(0, 1)] * 2
    assert recorded(*wide, "activation=relu,tanh,elu") == "pair-2"
    assert listed(outputs / "pair-2") == ["relu", "tanh", "elu"]
    assert recorded("experiment=pair", "model.widths=[7]") == "pair-3"
    assert recorded("experiment=pair") == "pair"
    assert recorded(*wide) == "pair-2"


def test_a_name_that_is_taken_by_something_else_is_passed_over(outputs: Path) -> None:
    assert recorded("study=pair-2", "activation=relu") == "pair-2"
    assert recorded("experiment=other", "study=pair-3", "model.widths=[9]") == "pair-3"
    assert recorded("experiment=pair", "model.widths=[9]") == "pair-4"


def test_two_launches_do_not_take_one_place(outputs: Path) -> None:
    first = launch("experiment=pair", "model.widths=[9]")
    assert recorded("experiment=pair", "model.widths=[7]") == first.study.name
    before = (first.study / "study.json").read_bytes()
    with pytest.raises(InputError, match="taken by another launch just now"):
        record_launch(
            first.study, study="pair-2", threads=1, cells=first.cells,
            experiment=None, claims=[], accepts=first.accepts,
        )  # fmt: skip
    assert (first.study / "study.json").read_bytes() == before


def test_the_study_of_another_experiment_is_not_taken(outputs: Path) -> None:
    assert recorded("experiment=pair") == "pair"
    for more in ((), ("model.widths=[9]",)):
        with pytest.raises(InputError, match="is the study of experiment=pair: give") as refused:
            launch("experiment=other", "study=pair", *more)
        assert "\n" not in str(refused.value)
    assert listed(outputs / "pair") == ["relu", "tanh"]


@pytest.mark.parametrize(("name", "study"), [("open", "open"), ("a", "a-2"), ("b", "b")])
def test_a_folder_that_the_file_names_is_its_own(
    name: str, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it leaves to the launch makes no other study."""
    monkeypatch.setattr(
        "study.launch.place.identify",
        lambda cells: [replace(cell, directory="cell", family="0" * 64) for cell in cells],
    )
    assert launch(f"experiment={name}", "data.root=b").study.name == study


def test_changing_one_thing_leaves_the_study_as_it_is(
    train: Train, outputs: Path, capsys: Output
) -> None:
    assert train("experiment=pair") == 0
    before = (outputs / "pair" / "study.json").read_bytes()
    capsys.readouterr()
    changed = ("experiment=pair", "activation=sigmoid", "model.widths=[9,9]")
    assert train(*changed, "--dry-run") == 0
    dry = capsys.readouterr().out
    assert train(*changed) == 0
    out = capsys.readouterr().out
    said = "other cells than those of conf/experiment/pair.yaml: they are a study of their own, "
    said += str(outputs / "pair-2")
    assert dry.splitlines()[0].startswith(said)
    assert out.splitlines()[0].startswith(said)
    assert f"{outputs / 'pair-2'}: 1 cell, 1 to train" in out
    assert out.splitlines()[-1] == f"report: study report {outputs / 'pair-2'}"
    assert (outputs / "pair" / "study.json").read_bytes() == before
    (cell,) = read_cells(outputs / "pair-2")
    assert cell.status == "done"
    assert "study: pair-2\n" in (cell.path / "config.yaml").read_text()
    assert train(*changed) == 0
    assert f"{outputs / 'pair-2'}: 1 cell, 0 to train" in capsys.readouterr().out
    assert main(["clean", str(outputs / "pair")]) == 0
    assert "nothing is left over" in capsys.readouterr().out


def test_some_of_the_files_cells_are_trained_in_its_study(
    train: Train, outputs: Path, capsys: Output
) -> None:
    assert train("experiment=pair", "activation=relu") == 0
    assert "no cell has" not in capsys.readouterr().err
    assert listed(outputs / "pair") == ["relu"]
    assert train("experiment=pair", "activation=tanh") == 0
    assert "also lists 1 cell of earlier launches" in capsys.readouterr().out
    assert listed(outputs / "pair") == ["relu", "tanh"]
    assert train("experiment=pair") == 0
    assert "2 cells, 0 to train" in capsys.readouterr().out


def test_the_files_launch_says_which_cells_it_lists_no_longer(
    train: Train, outputs: Path, capsys: Output
) -> None:
    """And table, status and clean say how they are listed again; clean keeps them."""
    directory = outputs / "pair"
    again = "study train experiment=pair activation=elu study=pair"
    assert train("experiment=pair", "study=pair", "activation=elu") == 0
    (elu,) = read_cells(directory)
    capsys.readouterr()
    assert train("experiment=pair", "--dry-run") == 0
    line = "1 finished cell, kept beside the others; " + f"{again} lists it again"
    dry = capsys.readouterr().out.splitlines()[0]
    assert dry == f"{directory} would no longer list {line}"
    assert listed(directory) == ["elu"]
    assert train("experiment=pair") == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{directory} no longer lists {line}"
    assert listed(directory) == ["relu", "tanh"]

    assert main(["table", str(directory)]) == 0
    assert f"1 finished cell outside study.json left out; {again} lists it again." in (
        capsys.readouterr().out
    )
    assert main(["table", str(directory.absolute())]) == 0
    assert f"left out; {again} lists it again." in capsys.readouterr().out
    assert main(["status", str(directory.absolute())]) == 0
    assert f"{again} outputs_dir={outputs.absolute()} lists" in capsys.readouterr().out
    assert main(["status", str(directory)]) == 0
    out = capsys.readouterr().out
    assert f"1 finished cell outside study.json, in no table: {elu.directory}\n  {again}" in out
    assert "stale" not in out

    size = sum(path.stat().st_size for path in elu.path.iterdir())
    for options in ((), ("--yes",)):
        assert main(["clean", str(directory), *options]) == 0
        first, kept = capsys.readouterr().out.splitlines()
        assert first.startswith(f"finished, and not in study.json: {elu.path} (")
        assert kept.startswith("kept: 1 finished cell, ")
        assert f"{again} lists it again" in kept
        assert kept.endswith("--yes --finished removes it")
        assert elu.path.is_dir()
    assert train(*again.split()[2:]) == 0
    assert listed(directory) == ["relu", "tanh", "elu"]
    assert "0 to train" in capsys.readouterr().out
    assert train("experiment=pair") == 0
    capsys.readouterr()
    partial = directory / ".study.json.999999999.partial"
    partial.touch()
    os.utime(partial, (0, 0))
    assert main(["clean", str(directory), "--finished"]) == 0
    *_, said, total = capsys.readouterr().out.splitlines()
    assert said.endswith(f", not in study.json; {again} lists it again")
    assert re.match(r"1 finished cell, [\d.]+ kB; 1 left-over, 0 B; study clean", total)
    assert main(["clean", str(directory), "--yes", "--finished"]) == 0
    *_, said, total = capsys.readouterr().out.splitlines()
    assert said.endswith(f"; {again} trains it again")
    assert re.fullmatch(r"removed 1 finished cell, [\d.]+ kB; 1 left-over, 0 B", total)
    assert size > 0
    assert not elu.path.exists()
    assert [cell.status for cell in read_cells(directory)] == ["done", "done"]


def test_an_edited_file_is_not_said_to_list_again_what_it_dropped(
    train: Train, outputs: Path, capsys: Output
) -> None:
    """Neither by the launch nor later, not even where a launch of some cells came between.

    `seeds` in the words that the file has not, since what is composed is kept.
    """
    path = study.config.configuration.CONF / "experiment" / "edited.yaml"
    text = PAIR.format(name="edited").partition("claims:")[0]
    path.write_text(text)
    levels.cache_clear()
    assert train("experiment=edited") == 0
    path.write_text(text.replace("[relu, tanh]", "[relu]"))
    assert train("experiment=edited", "seeds=1") == 0
    since = "conf/experiment/edited.yaml has changed since: as it was, study train "
    since += "experiment=edited lists it again"
    assert since in capsys.readouterr().out
    for command in ("status", "table", "clean"):
        assert main([command, str(outputs / "edited")]) == 0
        assert since in capsys.readouterr().out
    path.write_text(text)
    assert main(["status", str(outputs / "edited")]) == 0
    assert "\n  study train experiment=edited lists it again" in capsys.readouterr().out
    assert train("experiment=edited") == 0
    path.write_text(text.replace("[relu, tanh]", "[relu]"))
    assert recorded("experiment=edited", "activation=relu") == "edited"
    assert listed(outputs / "edited") == ["relu", "tanh"]
    assert train("experiment=edited", "seeds=[0]", "--dry-run") == 0
    assert since in capsys.readouterr().out
    path.unlink()


def test_raised_seeds_begin_with_the_cells_that_were(
    train: Train, outputs: Path, capsys: Output
) -> None:
    directory = outputs / "pair"
    assert train("experiment=pair") == 0
    old = [cell.directory for cell in read_cells(directory)]
    capsys.readouterr()
    assert train("experiment=pair", "seeds=3", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"{directory}: 2 cells, 2 to train; nothing is written"
    assert out.count("; 2 of 6 replicas copied") == 2
    assert train("experiment=pair", "seeds=3") == 0
    assert "no longer lists" not in capsys.readouterr().out
    cells = read_cells(directory)
    assert all(cell.result and len(cell.result.replicas) == 6 for cell in cells)

    assert main(["table", str(directory)]) == 0
    assert "left out" not in capsys.readouterr().out
    assert main(["status", str(directory)]) == 0
    out = capsys.readouterr().out
    assert "2 finished cells with fewer seeds, which those above begin with: " in out
    assert "stale" not in out
    assert main(["clean", str(directory), "--yes"]) == 0
    assert "listed cells copy the seeds of 2" in capsys.readouterr().out
    assert all((directory / name / "result.json").exists() for name in old)

    assert train("experiment=pair", "--dry-run") == 0
    lost = capsys.readouterr().out.splitlines()[0]
    again = "study train experiment=pair seeds=3 lists them again"
    assert lost.endswith(f"would no longer list 2 finished cells, kept beside the others; {again}")


def test_cells_that_are_to_copy_others_are_known_before_they_have(
    train: Train, outputs: Path
) -> None:
    assert train("experiment=pair") == 0
    assert recorded("experiment=pair", "seeds=2") == "pair"
    ledger = read_ledger(outputs / "pair")
    found = unlisted_cells(ledger, read_cells(ledger))
    assert [cell.is_beginning for cell in found] == [True, True]
    assert recorded("experiment=pair", "seeds=[1]") == "pair"
    ledger = read_ledger(outputs / "pair")
    found = unlisted_cells(ledger, read_cells(ledger))
    assert [cell.is_left_out for cell in found] == [True, True]


@pytest.mark.parametrize("own", [True, False])
def test_no_launch_is_named_for_cells_that_this_version_trains_otherwise(
    train: Train, outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, own: bool
) -> None:
    """One of the project's levels has another recipe, or one that is not has another source."""
    assert train("experiment=pair") == 0
    capsys.readouterr()
    if own:
        monkeypatch.setitem(LEVEL_RECIPES, ("activation", "relu"), 2)
    else:
        monkeypatch.setitem(OWN, "activation.name", OWN["activation.name"] - {"relu"})
    assert train("experiment=pair", "--dry-run") == 0
    lost = capsys.readouterr().out.splitlines()[0]
    others = "kept beside the others; no launch of this version of the code lists it again"
    assert lost.endswith(f"would no longer list 1 finished cell, {others}")


def test_a_cell_with_other_rates_in_its_place_is_said(
    train: Train, outputs: Path, capsys: Output
) -> None:
    assert train("experiment=pair", "study=own", "activation=relu") == 0
    capsys.readouterr()
    assert train("experiment=pair", "study=own", "activation=relu", "optimizer.lr=[0.2]") == 0
    assert "own no longer lists 1 finished cell, kept" in capsys.readouterr().out


def test_a_preflight_goes_where_its_launch_goes(outputs: Path, capsys: Output) -> None:
    wide = ["experiment=pair", "model.widths=[9]"]
    assert main(["preflight", *wide]) == 0
    assert "a study of their own" in capsys.readouterr().out
    assert [path.name for path in outputs.iterdir()] == ["pair-2"]
    assert launch(*wide).study.name == "pair-2"
    first = read_checks(outputs / "pair-2" / "preflight.json")
    assert main(["preflight", "experiment=pair", "model.widths=[10]", "activation=relu"]) == 0
    (other,) = read_checks(outputs / "pair-2" / "preflight.json")
    assert other["signature"] not in {cell["signature"] for cell in first}


def test_a_ledger_of_before_is_left_as_it_is(outputs: Path) -> None:
    recorded("experiment=pair")
    path = outputs / "pair" / "study.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    for cell in content["cells"]:
        del cell["family"], cell["seeds"]
    path.write_text(json.dumps(content))
    recorded("experiment=pair")
    assert all(cell.family is None for cell in read_ledger(outputs / "pair").cells)
