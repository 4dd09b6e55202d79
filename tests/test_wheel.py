"""The wheel: all of study/ and conf/, and a command that works from it in an empty directory."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import study
from tests import tiny

ROOT = Path(__file__).parents[1]
pytest.importorskip("setuptools", reason="the project was installed without its build tools")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
CELL = (*tiny.SMALL, "data=image_folder", "data.root=images", "outputs.tensorboard=none")


def packed(folder: str) -> set[str]:
    """The files of a folder that belong into the wheel."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix() for path in paths if path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for folder in ("study", "conf"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-c", BUILD, str(source / "dist")]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def run(installed: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "study", *arguments],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_holds_all_of_the_package_and_of_its_configuration(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == packed("study") | {f"study/{name}" for name in packed("conf")}


def test_it_says_what_it_is(installed: Path) -> None:
    (info,) = installed.glob("*.dist-info")
    told = Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    assert (told["Name"], told["Version"]) == ("neural-training-study", study.__version__)
    assert told["Requires-Python"] == "<3.14,>=3.11"
    assert told["Description-Content-Type"] == "text/markdown"
    assert "Private :: Do Not Upload" in told.get_all("Classifier", [])
    assert (info / "licenses" / "LICENSE").is_file()
    assert "study = study.__main__:main" in (info / "entry_points.txt").read_text()


def test_a_cell_is_trained_from_it_in_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    tiny.folder(tmp_path / "images")
    done = run(installed, tmp_path, "train", *CELL)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    (result,) = (tmp_path / "outputs" / "scratch").glob("*/result.json")
    expected = run(ROOT, tmp_path, "train", "--dry-run", *CELL)
    assert "1 cell, 0 to train" in expected.stdout, "it is another cell than the checkout's"
    # A directory of packages may lie in another project's checkout.
    assert json.loads(result.read_text())["provenance"]["git_commit"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"images", "outputs"}


def test_data_are_kept_where_the_command_is_typed(installed: Path, tmp_path: Path) -> None:
    code = "from study.data.sources import SOURCES, resolve_root as root; import study.files as f; "
    code += "print(root('mnist', None), SOURCES['mnist'].embedded, f.CHECKOUT)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path.resolve() / "data"), "None", "None"]


def test_a_launcher_that_is_not_there_is_told_as_pip_installs_it(
    installed: Path, tmp_path: Path
) -> None:
    done = run(installed, tmp_path, "train", "hydra/launcher=submitit_no")
    assert done.returncode == 2
    assert "pip install 'neural-training-study[joblib]'" in done.stderr
