"""Two commits compared: which differences fail, and which are only named. Nothing is trained."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare
from benchmarks.compare import LAUNCHES, ROOT, Side, check_out, constant, levels_of, verdict
from study.config import configuration
from study.config.keys import GROUPS
from study.errors import InputError


def cell(level: str = "relu", **record: Any) -> dict[str, Any]:
    return {
        "record": {"factors": {"activation": level}, "files": ["result.json"], **record},
        "replicas": {"seed=0,lr=0.01": {"test_error": 10.0}},
        "weights": {"0.output.weight": "float32 [3, 8] abc", "0.output.bias": "float32 [3] def"},
    }


def side(recipe: int = 1, levels: dict[tuple[str, str], int] | None = None, **cells: Any) -> Side:
    return Side(recipe, levels or {}, cells)


def changed(**tensors: str) -> dict[str, Any]:
    other = cell()
    return other | {"weights": other["weights"] | {f"0.output.{k}": v for k, v in tensors.items()}}


def test_equal_sides_are_silent() -> None:
    assert verdict(side(one=cell()), side(one=cell())) == ([], False)


def test_one_bit_fails_and_is_named() -> None:
    lines, wrong = verdict(
        side(one=cell(), two=cell()), side(one=changed(bias="float32 [3] ghi"), two=cell())
    )
    assert wrong
    assert lines[0] == "one: DIFFERS in 1 values"
    assert lines[1] == "    weights: 0.output.bias"
    assert "raise RECIPE" in lines[2]
    assert len(lines) == 3


def test_a_raised_recipe_excuses_all_and_still_names_them() -> None:
    lines, wrong = verdict(side(one=cell()), side(2, one=changed(weight="float32 [3, 8] ghi")))
    assert not wrong
    assert lines[0] == "RECIPE was 1 and is 2: results may differ"
    assert lines[1].startswith("one: differs in 1")


@pytest.mark.parametrize(("level", "wrong"), [("relu", False), ("tanh", True)])
def test_a_levels_recipe_excuses_its_cells_alone(level: str, wrong: bool) -> None:
    sides = side(one=cell()), side(1, {("activation", level): 2}, one=changed(bias="other"))
    lines, found = verdict(*sides)
    assert found == wrong
    assert ("activation=relu" in lines[0]) == (not wrong)
    slope = cell("relu slope=0.1")
    sides = side(one=slope), side(1, {("activation", level): 2}, one=slope | {"weights": {}})
    assert verdict(*sides)[1] == wrong


def test_what_is_new_is_no_difference_and_what_is_lost_is() -> None:
    more = cell(new_number=1.0, files=["result.json", "more.csv"])
    assert verdict(side(one=cell()), side(one=more, two=cell())) == (["two: here alone"], False)
    both = Side(1, {}, {"activation relu": cell(), "activation tanh slope=2": cell()})
    one = {"activation relu": cell()}
    lines, wrong = verdict(both, Side(1, {}, one, levels={"activation": ["relu", "tanh"]}))
    assert wrong
    assert lines[0] == "activation tanh slope=2: at the base alone"
    assert lines[1].endswith("activation tanh slope=2 was not trained here")
    lines, wrong = verdict(both, Side(1, {}, one, levels={"activation": ["relu"]}))
    assert not wrong
    assert lines == ["activation tanh slope=2: at the base alone, its level is gone"]
    engine = {"population.engine=stacked 32-true": cell()}
    assert verdict(Side(1, {}, {**one, **engine}), Side(1, {}, one))[1]
    lines, wrong = verdict(side(one=more), side(one=cell()))
    assert wrong
    assert "record new_number: 1.0 and absent" in lines[1]


def test_what_was_not_compared_fails() -> None:
    some = {"activation relu": cell()}
    whole = Side(1, {}, some)
    for base, head, said in [
        (Side(1, {}, {}), whole, "nothing was trained at the base"),
        (whole, Side(1, {}, {}, levels={"activation": ["relu"]}), "nothing was trained here"),
        (whole, Side(1, {}, some, ["norm"]), "here the launch norm failed"),
        (Side(1, {}, some, ["norm"]), whole, "at the base the launch norm failed"),
    ]:
        lines, wrong = verdict(base, head)
        assert wrong
        assert said in lines[-1]


def test_a_launch_that_fails_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a tree without code all do; one over a group that the tree has not is none."""
    (tmp_path / "tree" / "conf" / "norm").mkdir(parents=True)
    (tmp_path / "tree" / "conf" / "norm" / "batch.yaml").touch()
    monkeypatch.setattr(compare, "LAUNCHES", {"norm": (), "gone": (), "population.engine=x": ()})
    monkeypatch.setattr(compare.sys, "executable", "false")
    found = compare.trained(tmp_path / "tree", tmp_path / "outputs", "here")
    assert found.failed == ["norm", "population.engine=x"]
    assert found.levels["norm"] == ["batch"]
    assert not found.cells


def test_long_lists_are_cut_and_counted() -> None:
    many = {f"filter {index}": "a" for index in range(20)}
    lines, _ = verdict(
        side(one=cell() | {"filters": many}), side(one=changed(bias="b") | {"filters": {}})
    )
    assert lines[0] == "one: DIFFERS in 21 values"
    assert lines[1:3] == ["    weights: 0.output.bias", "    filters filter 0: a and absent"]
    assert len(lines) == 3 + compare.SHOWN


def test_the_launches_sweep_every_group_and_both_engines() -> None:
    assert set(GROUPS) - {"data"} <= LAUNCHES.keys()
    assert {"population.engine=stacked", "population.engine=sequential"} <= LAUNCHES.keys()
    for group in set(GROUPS) - {"pretraining"}:
        assert levels_of(ROOT, group) == list(configuration.levels(group))
    pretrainings = {text.strip("'").split()[0] for text in levels_of(ROOT, "pretraining")}
    assert pretrainings | {"none"} == set(configuration.levels("pretraining"))


def test_recipes_are_read_from_the_tree(tmp_path: Path) -> None:
    assert constant(ROOT, "RECIPE", 0) == configuration.RECIPE
    module = tmp_path / "study" / "deep" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text('A: dict = {("init", "zeros"): 2}\nB = 3\nC: int\n')
    assert constant(tmp_path, "A", {}) == {("init", "zeros"): 2}
    assert constant(tmp_path, "B", 0) == 3
    assert constant(tmp_path, "C", "absent") == "absent"


def test_a_commit_is_checked_out_beside_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    (repository / "outputs").mkdir(parents=True)
    (repository / "outputs" / "big").touch()
    (repository / "module.py").write_text("old\n")
    user = ["-c", "user.name=nobody", "-c", "user.email=nobody"]
    for command in (["init", "-q"], ["add", "."], [*user, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    (repository / "module.py").write_text("new\n")
    monkeypatch.setattr(compare, "ROOT", repository)
    check_out("HEAD", tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"module.py"}
    assert (tmp_path / "copy" / "module.py").read_text() == "old\n"
    with pytest.raises(InputError, match="'nowhere' cannot be checked out"):
        check_out("nowhere", tmp_path / "other")
    option = f"--output={tmp_path / 'written'}"
    with pytest.raises(InputError, match="git knows no commit of that name"):
        check_out(option, tmp_path / "other")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("differs", [False, True])
def test_the_status_says_whether_anything_differs(
    differs: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"main~1": side(one=cell()), "here": side(one=changed(bias="b") if differs else cell())}
    monkeypatch.setattr(compare, "check_out", lambda commit, directory: directory.mkdir())
    monkeypatch.setattr(compare, "write_images", lambda root: root.mkdir())
    monkeypatch.setattr(compare, "trained", lambda tree, outputs, place: found[place])
    assert compare.main(["main~1"]) == int(differs)
    assert ("one: DIFFERS" in capsys.readouterr().out) == differs
