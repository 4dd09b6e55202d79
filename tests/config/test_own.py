"""A folder of levels of one's own: read and not run, refused in one line, known by its code."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from study.__main__ import main
from study.config import configuration, own
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import CONF, level_versions, levels, use_levels
from study.config.keys import KEYS
from study.errors import InputError

SWISH = '''
import torch
from torch import nn
from study.levels import activation, key, number


@activation("swish", key("beta", number(0), "steepness at the start"))
class Swish(nn.Module):
    """x sigmoid(beta x), beta learned."""

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(beta))

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)
'''
YAML = "# x sigmoid(beta x)\nname: swish\nbeta: 1.0\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a folder of levels: a file of Python, and YAML files by group and name."""

    def write(python: str, **files: str) -> Path:
        folder = tmp_path / "levels"
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(python)
        for name, text in files.items():
            group, _, level = name.partition("__")
            (folder / group).mkdir(exist_ok=True)
            (folder / group / f"{level}.yaml").write_text(text)
        return folder

    yield write
    own.use(None)
    use_levels()


def used(folder: Path) -> None:
    use_levels([f"levels={folder}"])


def test_a_folder_brings_a_level_and_its_key_and_takes_them_along(write: Write) -> None:
    folder = write(SWISH, activation__swish=YAML)
    used(folder)
    assert "swish" in levels("activation")
    assert "activation.beta" in KEYS
    with hydra_ready():
        config = compose_cell([f"levels={folder}", "activation=swish", "activation.beta=2"]).config
    assert config.activation.level == {"name": "swish", "beta": 2.0}
    use_levels()
    assert "swish" not in levels("activation")
    assert "activation.beta" not in KEYS


def test_nothing_is_run_that_is_read(write: Write) -> None:
    folder = write(f"raise SystemExit(3)\n{SWISH}", activation__swish=YAML)
    used(folder)
    assert len(level_versions({"activation.name": "swish"})["activation=swish"]) == 64  # type: ignore[arg-type]
    assert main(["list", "activation", f"levels={folder}"]) == 0


def test_a_list_of_own_levels_needs_no_torch(write: Write) -> None:
    folder = write(SWISH, activation__swish=YAML)
    code = (
        "import sys; from study.__main__ import main; "
        f"status = main(['list', 'activation', 'levels={folder}']); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CONF.parent, capture_output=True, text=True, check=True
    )
    assert "swish                  x sigmoid(beta x)" in done.stdout


def test_the_environment_names_a_folder(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDY_LEVELS", str(write(SWISH, activation__swish=YAML)))
    assert main(["list", "activation"]) == 0
    assert "swish" in capsys.readouterr().out
    monkeypatch.delenv("STUDY_LEVELS")


def test_an_experiments_file_names_a_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(SWISH, activation__swish=YAML)
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text(f"study: mine\nlevels: {folder}\n")
    monkeypatch.setattr(configuration, "CONF", tmp_path / "conf")
    use_levels(["experiment=mine"])
    assert own.named_folder() == folder


def test_a_folder_has_experiments(write: Write) -> None:
    folder = write(SWISH, activation__swish=YAML)
    (folder / "experiment").mkdir()
    (folder / "experiment/mine.yaml").write_text("# @package _global_\n# mine\nstudy: mine\n")
    used(folder)
    with hydra_ready():
        assert compose_cell([f"levels={folder}", "experiment=mine"]).config.study == "mine"


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        (("self.beta * x)", "self.beta * x) + 0"), True),
        (('"""x sigmoid(beta x), beta learned."""', '"""Learned."""'), False),
        (("steepness at the start", "how steep"), False),
        (("import torch\n", "import torch\n\n# a comment\n"), False),
    ],
)
def test_the_code_is_part_of_what_names_a_cell(
    write: Write, edit: tuple[str, str], changes: bool
) -> None:
    folder = write(SWISH, activation__swish=YAML)
    used(folder)
    before = level_versions({"activation.name": "swish", "init.name": "he_normal"})
    assert list(before) == ["activation=swish"]
    assert edit[0] in SWISH
    (folder / "mine.py").write_text(SWISH.replace(*edit))
    used(folder)
    assert (level_versions({"activation.name": "swish"}) != before) is changes


def test_a_shared_function_of_the_folder_counts(write: Write) -> None:
    folder = write(
        "from study.levels import activation\nfrom .shared import Square\n\n"
        "@activation\ndef square(): return Square()\n",
        activation__square="# x^2\nname: square\n",
    )
    shared = (
        "from torch import nn\n\nclass Square(nn.Module):\n    def forward(self, x): return {}\n"
    )
    found = set()
    for text in ("x * x", "x * x * x"):
        (folder / "shared.py").write_text(shared.format(text))
        used(folder)
        found.add(level_versions({"activation.name": "square"})["activation=square"])
    assert len(found) == 2


INIT = "from study.levels import initialization\n\n@initialization\ndef mine({}): ...\n"
WRONG = {
    "syntax": ("x = 1\ndef (:\n", {}, "mine.py line 2: syntax error"),
    "exists": (
        "from study.levels import activation\n@activation\ndef relu(): ...\n",
        {},
        "mine.py line 3: activation=relu exists already",
    ),
    "generator": (
        INIT.format("weight, *, std=1.0"),
        {},
        r"mine.py line 4: initialization mine: its signature lacks the generator: write such as "
        r"def truncated\(weight, generator, \*, std=0.02\)",
    ),
    "keywords alone": (
        "from study.levels import activation\n@activation\ndef mine(slope): ...\n",
        {},
        "activation mine: it is given keywords alone",
    ),
    "model": (
        "from study.levels import model\n@model\ndef mine(input_shape, num_classes): ...\n",
        {},
        "model mine: its signature lacks the keyword activation",
    ),
    "twice": (
        "from study.levels import norm\n@norm\ndef a(num_features): ...\n"
        "@norm('a')\ndef b(num_features): ...\n",
        {},
        "mine.py line 5: norm=a exists already",
    ),
    "no function": (SWISH, {"activation__swash": "name: swash\n"}, "no function .*swash"),
    "hidden": (SWISH, {"activation__relu": "name: swish\n"}, "conf/activation/relu.yaml exists"),
    "a key that is": (
        SWISH.replace('"beta"', '"slope"'), {}, "activation.slope is a key already"),
    "a kind that runs": (
        SWISH.replace("number(0)", "print(0)"), {}, "no kind of value is called 'print'"),
    "an augmentation without a generator": (
        "from study.levels import augmentation\n@augmentation\ndef mine(images): ...\n",
        {},
        r"augmentation mine: its signature lacks the generator: write such as def cutout\(images",
    ),
    "a key of a callback": (
        "from study.levels import callback, key, number\n"
        "@callback(key('beta', number(), 'x'))\ndef mine(): ...\n",
        {},
        "mine.py line 2: a callback has no keys",
    ),
    "a callback that is given something": (
        "from study.levels import callback\n@callback\ndef mine(trainer): ...\n",
        {},
        "callback mine: it is given nothing",
    ),
    "a probe of something else": (
        "from study.levels import probe\n@probe\ndef mine(): ...\n",
        {},
        "probe mine: it is given layer: write such as def largest",
    ),
    "a word that no probe has": (
        "from study.levels import probe\n@probe(lable='x')\ndef mine(layer): ...\n",
        {},
        "mine.py line 2: unknown word of a probe 'lable' .did you mean 'label'",
    ),
    "a word that runs": (
        "from study.levels import probe\n@probe(label=str(3))\ndef mine(layer): ...\n",
        {},
        "mine.py line 2: label: write a text, it is read and not run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(
    case: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    python, files, message = WRONG[case]
    folder = write(python, **files)
    with pytest.raises(InputError, match=message) as caught:
        used(folder)
    assert "\n" not in str(caught.value)
    assert main(["train", f"levels={folder}"]) == 2
    assert capsys.readouterr().err == f"study: {caught.value}\n"


def test_a_folder_that_is_missing_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "levels=/nowhere"]) == 2
    assert capsys.readouterr().err.startswith("study: levels=/nowhere is no folder; ")
    use_levels()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SWISH + "\n1 / 0\n", "mine.py line 18: ZeroDivisionError"),
        (SWISH + "\nfor n in 'ab': activation(n)(Swish)\n", "a is registered where it cannot be"),
        (SWISH.replace("activation, key", "key").replace(
            "import torch\n", "import torch\nactivation = lambda *a: lambda f: f\n", 1),
         "@activation is not that of study.levels"),
    ],
)  # fmt: skip
def test_what_fails_as_it_runs_is_one_line(write: Write, text: str, message: str) -> None:
    used(write(text, activation__swish=YAML))
    with pytest.raises(InputError, match=message):
        own.register()


def test_a_package_brings_levels_by_an_entry_point(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(SWISH, activation__swish=YAML)
    package = tmp_path / "swishes"
    package.mkdir()
    (package / "__init__.py").touch()
    folder.rename(package / "levels")
    (package / "levels/__init__.py").touch()
    dist = tmp_path / "swishes-1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: swishes\nVersion: 1\n")
    (dist / "entry_points.txt").write_text("[study.levels]\nswishes = swishes.levels\n")
    monkeypatch.syspath_prepend(tmp_path)
    use_levels()
    assert "swish" in levels("activation")
    assert "swishes" not in sys.modules
    assert [each.name for each in own.register()] == ["swish"]
    from study.networks import ACTIVATIONS

    assert ACTIVATIONS["swish"].__module__ == "swishes.levels.mine"
    monkeypatch.undo()
    use_levels()
    assert "swish" not in ACTIVATIONS
