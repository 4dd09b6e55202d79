"""A level that is not the project's own is its source: told without torch, whatever its layout."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from study.analysis.pivot import Request
from study.analysis.table import render
from study.config import configuration, level_source
from study.config.configuration import hashed, level_versions, signature
from study.config.level_source import (
    BESIDE,
    COMPUTE_NOTHING,
    OWN,
    REGISTRIES,
    check_unchanged,
    read_source,
    source_of,
)
from study.errors import InputError
from study.files import read_json
from study.launch.reproduce.saved import read_saved
from study.outputs import versions
from study.outputs.records import CellRecord, read_cells, read_ledger
from study.outputs.results import parse_result
from study.outputs.series import parsed_config
from study.outputs.verify import identity_problems
from study.outputs.versions import changed_levels, other_versions
from study.training.pretraining.cache import pretraining_signature
from tests import tiny
from tests.synthetic import Change, change_result, make_study

PUBLISHED = Path(__file__).parents[2] / "outputs/published"
ACTIVATIONS = "study/networks/activations.py"
TREE = {
    ACTIVATIONS: '''
"""Activations."""
import torch
from torch import nn
from study.networks.bends import smooth
from study.networks import bends
from study.networks.base import Base as Root

SCALE = 2.0

def helper(x):
    return SCALE * x

class Bent(Root):
    """Bends."""

    def forward(self, x, *, alpha=1.0):
        from study.networks.late import late
        # bends
        return helper(x) + bends.sharp(x) + smooth(late(x))

class Other(nn.Module):
    pass

ACTIVATIONS = {"relu": lambda: nn.ReLU(), "bent": Bent, "other": Other}
''',
    "study/networks/__init__.py": "from study.networks.base import Base\n",
    "study/networks/base.py": "class Base:\n    slope = 1\n\nclass Unused:\n    pass\n",
    "study/networks/bends.py": (
        "from . import shared\n\ndef smooth(x):\n    return shared.ROUND(x)\n\n"
        "def sharp(x):\n    return x\n\ndef never(x):\n    return x\n"
    ),
    "study/networks/shared.py": "ROUND = round\n",
    "study/networks/late.py": "def late(x):\n    return x\n",
    "study/training/stacking.py": (
        "from study.networks.activations import Bent\n\nclass StackedBent:\n    pass\n\n"
        "class StackedMore:\n    pass\n\nSTACKED = {Bent: StackedBent, int: StackedMore}\n"
    ),
}


def digest(root: Path, tree: Mapping[str, str], name: str = "bent") -> str:
    for path, text in tree.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    found = read_source(root, "activation.name", name)
    assert found is not None
    return found.sha256


def edited(file: str, old: str, new: str) -> dict[str, str]:
    assert old in TREE[file]
    return {**TREE, file: TREE[file].replace(old, new)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (ACTIVATIONS, "helper(x) +", "helper(x) -"),
        (ACTIVATIONS, "alpha=1.0", "alpha=2.0"),
        (ACTIVATIONS, "SCALE * x", "x * SCALE"),
        (ACTIVATIONS, "SCALE = 2.0", "SCALE = 3.0"),
        (ACTIVATIONS, "SCALE = 2.0", "SCALE = 2.0\nSCALE += 1"),
        (ACTIVATIONS, '"bent": Bent', '"bent": lambda: Bent()'),
        ("study/networks/base.py", "slope = 1", "slope = 2"),
        ("study/networks/bends.py", "return x\n\ndef never", "return -x\n\ndef never"),
        ("study/networks/shared.py", "ROUND = round", "ROUND = abs"),
        ("study/networks/late.py", "return x", "return 2 * x"),
        (
            "study/training/stacking.py",
            "class StackedBent:\n    pass",
            "class StackedBent:\n    x=1",
        ),
    ],
)
def test_what_a_level_is_made_of_changes_its_digest(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    assert digest(tmp_path / "a", TREE) != digest(tmp_path / "b", edited(file, old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (ACTIVATIONS, "# bends", "# bends, and how"),
        (ACTIVATIONS, '"""Bends."""', '"""Bends a lot."""'),
        (ACTIVATIONS, "helper(x) + bends", "helper( x )  +  bends"),
        (ACTIVATIONS, "class Other(nn.Module):\n    pass", "class Other(nn.Module):\n    x = 1"),
        (ACTIVATIONS, '"other": Other', '"other": lambda: Other(), "third": Other'),
        (ACTIVATIONS, "nn.ReLU()", "nn.ReLU6()"),
        ("study/networks/base.py", "class Unused:\n    pass", "class Unused:\n    x = 1"),
        ("study/networks/bends.py", "def never(x):\n    return x", "def never(x):\n    return 1"),
        (
            "study/training/stacking.py",
            "class StackedMore:\n    pass",
            "class StackedMore:\n    x=1",
        ),
    ],
)
def test_layout_and_what_a_level_does_not_use_leave_its_digest(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    assert digest(tmp_path / "a", TREE) == digest(tmp_path / "b", edited(file, old, new))


def test_a_level_may_stand_in_another_file_and_be_registered_from_there(tmp_path: Path) -> None:
    moved = {
        **edited(ACTIVATIONS, '"bent": Bent, ', ""),
        "study/mine.py": (
            "from study.networks import activations\n"
            "from study.networks.activations import Bent\n\n"
            'activations.ACTIVATIONS["bent"] = Bent\n'
        ),
    }
    assert digest(tmp_path / "a", TREE) == digest(tmp_path / "b", moved)
    found = read_source(tmp_path / "b", "activation.name", "bent")
    assert found
    assert found.files[0] == tmp_path / "b" / ACTIVATIONS
    assert tmp_path / "b" / "study/mine.py" in found.files


def test_what_no_file_registers_has_no_source_and_what_is_no_python_is_named(
    tmp_path: Path,
) -> None:
    digest(tmp_path, TREE)
    assert read_source(tmp_path, "activation.name", "swish") is None
    (tmp_path / "study/networks/base.py").write_text("class Base:\nslope = 1\n")
    with pytest.raises(InputError, match=r"study\.networks\.base cannot be read: line 2: expected"):
        read_source(tmp_path, "activation.name", "bent")


def test_every_registry_is_where_it_is_looked_for_and_has_the_projects_own() -> None:
    assert OWN.keys() == REGISTRIES.keys()
    for key, (module, name) in REGISTRIES.items():
        registry = getattr(importlib.import_module(module), name)
        assert OWN[key] - {"none"} <= set(registry), key
        if OWN[key]:
            assert read_source(level_source.ROOT, key, max(OWN[key] & {*registry})), key
    for module, name in BESIDE.values():
        assert isinstance(getattr(importlib.import_module(module), name), dict)


@pytest.mark.parametrize(
    "study", sorted(path.parent.name for path in PUBLISHED.glob("*/study.json"))
)
def test_published_cells_keep_their_signatures(study: str) -> None:
    cell = min(path.parent for path in (PUBLISHED / study).glob("*/result.json"))
    result = json.loads((cell / "result.json").read_text())
    config = parsed_config((cell / "config.yaml").read_bytes())
    assert level_versions(hashed(config)) == result["provenance"].get("levels", {})
    assert signature(config, result["provenance"]["data_fingerprint"]) == result["signature"]


def test_a_levels_own_recipe_changes_its_cells_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [tiny.config(f"init={init}", "pretraining=rbm") for init in ("normal", "uniform")]
    before = [(one.signature("d"), pretraining_signature(one, "d")) for one in configs]
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "normal"), 2)
    after = [(one.signature("d"), pretraining_signature(one, "d")) for one in configs]
    assert level_versions(hashed(configs[0].mapping)) == {"init=normal": 2}
    assert not set(before[0]) & set(after[0])
    assert before[1] == after[1]


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tanh is not the project's."""
    names = OWN["activation.name"] - {"tanh"}
    monkeypatch.setitem(OWN, "activation.name", names)


@pytest.mark.usefixtures("foreign")
def test_a_cell_knows_the_version_of_a_level_and_everyone_sees_another(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tiny.train_to(tmp_path / "cell", root, "activation=tanh")
    source = source_of("activation.name", "tanh")
    assert source
    assert record["provenance"]["levels"] == {"activation=tanh": source.sha256}
    saved = read_saved(tmp_path / "cell")
    assert saved.result.signature != signature(saved.config.mapping, "other")

    other = level_source.Source("0", ())
    monkeypatch.setattr(configuration, "required_source", lambda key, name: other)
    assert signature(saved.config.mapping, saved.provenance.data_fingerprint) != record["signature"]
    assert (
        signature(saved.config.mapping, saved.provenance.data_fingerprint, without_seeds=True)
        != record["family"]
    )
    with pytest.raises(InputError, match="trained by another version of activation=tanh"):
        read_saved(tmp_path / "cell")


def trained_by(levels: Mapping[str, str]) -> Change:
    return lambda result: result["provenance"].update(levels=dict(levels))


@pytest.mark.usefixtures("foreign")
def test_status_and_tables_name_what_other_code_trained(tmp_path: Path) -> None:
    source = source_of("activation.name", "tanh")
    assert source
    cells = make_study(tmp_path, {"activation": ["relu", "tanh", "elu"]}, seeds=2)
    for cell, digest in zip(cells, ("1", source.sha256, None), strict=True):
        if digest:
            level = f"activation={cell.name.split('-')[2]}"
            change_result(cell, trained_by({level: digest}))
    line = (
        "1 cell was trained by another version of activation=relu (now the project's own): "
        "launching the study again trains it anew"
    )
    assert other_versions(read_cells(read_ledger(tmp_path))) == [line]
    assert f"- {line}.\n" in render(tmp_path, Request(rows="activation"))


def test_status_names_the_cells_before_a_levels_recipe_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, {"activation": ["relu"], "init": ["uniform", "normal std=2.0"]}, seeds=2)
    assert other_versions(read_cells(read_ledger(tmp_path))) == []
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "normal"), 2)
    (line,) = other_versions(read_cells(read_ledger(tmp_path)))
    assert line.startswith("1 cell was trained by another version of init=normal (now of recipe 2)")


def test_what_this_code_has_no_source_of_is_not_said_to_be_trained_anew(tmp_path: Path) -> None:
    cells = make_study(tmp_path, {"activation": ["relu", "gone"]}, seeds=2)
    change_result(cells[1], trained_by({"activation=gone": "1"}))
    line = "1 cell was trained by a version of activation=gone of which this code has no source"
    line += " (one of a folder of your own needs levels=DIR)"
    assert other_versions(read_cells(read_ledger(tmp_path))) == [line]


def test_a_level_is_called_as_its_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = make_study(tmp_path, {"init": ["narrow std=0.1"], "loss": ["squared_error"]}, seeds=2)
    change_result(cells[0], lambda result: result["provenance"].pop("levels", None))
    monkeypatch.setattr(versions, "level_defaults", lambda group, level: {"name": "normal"})
    (cell,) = read_cells(read_ledger(tmp_path))
    assert changed_levels(cell) == []
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "normal"), 2)
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("loss", "squared_error"), 2)
    assert changed_levels(cell) == ["init=normal", "loss=squared_error"]


def test_a_commit_is_advised_only_if_it_is_the_code_that_trained(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.train_to(tmp_path, root)

    def refusal(**changes: str | None) -> str:
        change_result(tmp_path, lambda result: result["provenance"].update(changes))
        with pytest.raises(InputError) as caught:
            read_saved(tmp_path)
        return str(caught.value)

    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "he_normal"), 2)
    clean = refusal(git_commit="abc", git_diff_sha256=None)
    assert clean.endswith(
        "another version of init=he_normal, so this one gives other results: check out commit abc"
    )
    assert refusal(git_diff_sha256="0" * 64).endswith(
        "check out the version that trained it, which is commit abc with uncommitted changes"
    )


def test_verify_takes_the_versions_that_trained_a_cell(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "cell"
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "constant"), 2)
    tiny.train_to(directory, root, "init=constant")
    config = parsed_config((directory / "config.yaml").read_bytes())

    def problems() -> list[tuple[str, str]]:
        result = parse_result(read_json(directory / "result.json"))
        cell = CellRecord("cell", directory, result.signature, result.factors, "done", result)
        return list(identity_problems(cell, config))

    sound = problems()
    assert not any("signature is not" in problem for _, problem in sound)
    monkeypatch.setitem(configuration.LEVEL_RECIPES, ("init", "constant"), 3)
    assert problems() == sound
    change_result(directory, lambda result: result["provenance"].pop("levels"))
    assert ("config.yaml", "its signature is not the one of result.json") in problems()


@pytest.mark.usefixtures("foreign")
def test_code_that_was_changed_since_it_was_read_is_not_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_unchanged("activation.name", "tanh")
    monkeypatch.setattr(level_source, "STARTED", 0.0)
    check_unchanged("activation.name", "relu")
    with pytest.raises(
        InputError, match=r"=tanh: study/networks/activations\.py was changed after"
    ):
        check_unchanged("activation.name", "tanh")


def test_what_a_running_program_alone_registers_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A digest of the object at hand would not see an edit of all that it uses."""
    from study.networks import ACTIVATIONS

    monkeypatch.setitem(ACTIVATIONS, "bent", ACTIVATIONS["relu"])
    with pytest.raises(InputError, match=r"=bent: ACTIVATIONS in study/networks/activations\.py"):
        level_versions({"activation.name": "bent"})


WRAPPED = "def wrapped(kind):\n    return kind\n\n"


@pytest.mark.parametrize(
    "text",
    [
        'for _name in ("bent",):\n    ACTIVATIONS[_name] = Bent\n',
        f'{WRAPPED}for _n, _k in {{"bent": Bent}}.items():\n    ACTIVATIONS[_n] = wrapped(_k)\n',
        "ACTIVATIONS.update(bent=Bent)\n",
        'ACTIVATIONS.setdefault("bent", Bent)\n',
        'MINE = {"bent": Bent}\nACTIVATIONS = {**MINE}\n',
        'OTHERS = {"bent": ACTIVATIONS["other"]}\n',
        'from study.networks.activations import ACTIVATIONS as A\n\nA["bent"] = Bent\n',
    ],
)
def test_an_entry_that_no_text_says_has_no_source(tmp_path: Path, text: str) -> None:
    tree = edited(ACTIVATIONS, '"bent": Bent, ', "")
    tree[ACTIVATIONS] += text
    digest(tmp_path, tree, "other")
    assert read_source(tmp_path, "activation.name", "bent") is None


@pytest.mark.parametrize(
    "text",
    [
        'if True:\n    ACTIVATIONS["bent"] = wrapped(Bent)\n',
        'for _kind in (Bent,):\n    ACTIVATIONS["bent"] = wrapped(_kind)\n',
        'ACTIVATIONS.update({"bent": wrapped(Bent)})\n',
        'ACTIVATIONS |= {"bent": wrapped(Bent)}\n',
    ],
)
def test_an_entry_within_a_statement_is_all_that_the_statement_uses(
    tmp_path: Path, text: str
) -> None:
    tree = edited(ACTIVATIONS, '"bent": Bent, ', "")
    tree[ACTIVATIONS] += WRAPPED + text
    other = {**tree, ACTIVATIONS: tree[ACTIVATIONS].replace("return kind\n", "return [kind]\n")}
    third = {**tree, ACTIVATIONS: tree[ACTIVATIONS].replace("SCALE = 2.0", "SCALE = 3.0")}
    trees = (tree, other, third)
    found = [digest(tmp_path / str(number), one) for number, one in enumerate(trees)]
    assert len(set(found)) == 3


def test_every_file_that_has_the_entry_counts(tmp_path: Path) -> None:
    """Which one is imported last is not told by the text."""
    mine = 'from study.networks.activations import ACTIVATIONS\n\nACTIVATIONS["bent"] = {}\n'
    before = digest(tmp_path, {**TREE, "study/mine.py": mine.format("abs")})
    assert before != digest(tmp_path, {**TREE, "study/mine.py": mine.format("round")})


@pytest.mark.parametrize(
    "imports",
    [
        "from study.mine import *\n",
        "from .. import mine\nfrom ..mine import *\n",
        "try:\n    from study.mine import *\nexcept ImportError:\n    pass\n",
    ],
)
def test_names_that_a_star_binds_are_followed(tmp_path: Path, imports: str) -> None:
    mine = "from study.deep import *\n\ndef other(x):\n    return x\n"
    deep = "from study.mine import *\n\nBY = {}\n\ndef helper(x):\n    return BY * x\n"
    tree = {
        **edited(ACTIVATIONS, "def helper(x):\n    return SCALE * x\n", ""),
        "study/mine.py": mine,
        "study/deep.py": deep.format(2),
    }
    tree[ACTIVATIONS] = imports + tree[ACTIVATIONS]
    before = digest(tmp_path, tree)
    assert before != digest(tmp_path, {**tree, "study/deep.py": deep.format(3)})


def test_the_stacked_form_of_a_models_own_layer_is_part_of_it(tmp_path: Path) -> None:
    tree = {
        "study/networks/models.py": (
            "from study.networks.mine import Mine\n\nMODELS = {'mine': (Mine, Mine)}\n"
        ),
        "study/networks/mine.py": ("class Layer:\n    pass\n\nclass Mine:\n    layer = Layer\n"),
        "study/training/stacking.py": "STACKED = {}\n",
        "study/mine.py": (
            "from study.networks.mine import Layer\n"
            "from study.training.stacking import STACKED\n\n"
            "class Stacked:\n    x = 1\n\nSTACKED[Layer] = Stacked\n"
        ),
    }
    found = []
    for number in (1, 2):
        tree["study/mine.py"] = tree["study/mine.py"].replace("x = 1", f"x = {number}")
        for path, text in tree.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        found.append(read_source(tmp_path, "model.name", "mine"))
    assert found[0] != found[1]


def test_words_and_checks_are_in_no_level() -> None:
    """A model is not another because an error is worded otherwise; what it is made of is in it."""
    source = read_source(level_source.ROOT, "model.name", "cnn")
    assert source
    files = {path.relative_to(level_source.ROOT).as_posix() for path in source.files}
    assert {"study/networks/models.py", "study/networks/network.py"} <= files
    assert files.isdisjoint(f"{name.replace('.', '/')}.py" for name in COMPUTE_NOTHING)
    for name in COMPUTE_NOTHING:
        path = level_source.ROOT / f"{name.replace('.', '/')}.py"
        assert not re.search(r"^ *(import|from) torch", path.read_text(), re.MULTILINE)


def test_an_unreadable_file_is_in_the_way_of_no_level_that_does_without(tmp_path: Path) -> None:
    before = digest(tmp_path / "a", TREE)
    unreadable = "ACTIVATIONS[\n"
    assert digest(tmp_path / "b", {**TREE, "study/aaa.py": unreadable}) == before
    with pytest.raises(InputError, match=r"study\.aaa cannot be read: line 1"):
        read_source(tmp_path / "b", "activation.name", "absent")
    mine = 'from study.networks.activations import ACTIVATIONS\n\nACTIVATIONS["zz"] = abs\n'
    assert digest(tmp_path / "b", {"study/zzz.py": mine}, "zz")


def test_torch_is_not_needed_to_tell() -> None:
    code = """
import sys
import study.outputs.versions, study.analysis.status
assert study.config.level_source.read_source(study.config.level_source.ROOT, "model.name", "cnn")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=level_source.ROOT, check=True)
