"""docs/extending.md: its blocks, applied to a copy of the tree, add what they say they add."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from docs.code import blocks, commands
from study.data import read_images
from tests.page_edits import EDIT, TINY, Copy, copied

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
ABOUT_TEN = 16
ADDITIONS = (
    *("An activation", "An initialization", "A norm", "A model", "An optimizer", "A schedule"),
    *("A probe", "A data set", "A claim's measure", "A figure"),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    with copied(tmp_path_factory.mktemp("tree"), PAGE) as copy:
        yield copy


def test_every_block_of_the_page_is_applied_or_is_a_command() -> None:
    edited = {edit["block"] for edit in EDIT.finditer(PAGE)}
    rest = [block for block in blocks(PAGE) if block.code not in edited]
    assert edited
    assert all(block.language == "bash" for block in rest)


@pytest.mark.parametrize("title", ADDITIONS)
def test_an_addition_takes_about_ten_lines_of_code(title: str) -> None:
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    code = [edit["block"] for edit in EDIT.finditer(section) if not edit["block"].startswith("#")]
    lines = [line for text in code for line in text.splitlines()]
    body = [line for line in lines if line.strip() and "import" not in line and '"""' not in line]
    assert len(body) <= ABOUT_TEN


def test_the_additions_are_clean(copy: Copy) -> None:
    copy.run("-m", "ruff", "check", "--no-cache", "study")
    copy.run("-m", "ruff", "format", "--no-cache", "--check", "study")


def test_they_are_listed_with_their_lines_and_named_to_who_misspells_them(copy: Copy) -> None:
    listed = copy.study("list")
    for edit in EDIT.finditer(PAGE):
        if edit["new"] and edit["new"].endswith(".yaml"):
            name = Path(edit["new"]).stem
            headline = next(line for line in edit["block"].splitlines() if line[:3] != "# @")
            line = headline[2:].removeprefix(f"{name}: ")
            assert re.search(rf"^  {name} +{re.escape(line)}$", listed, re.MULTILINE)
    message = copy.study("train", "activation=squarplus", status=2)
    assert "did you mean 'squareplus'?" in message


def test_the_pages_commands_give_a_table(copy: Copy) -> None:
    run = [arguments for block in blocks(PAGE) for arguments in commands(block)]
    printed = ""
    for arguments in run:
        overrides = TINY if arguments[0] == "train" else ()
        printed += copy.study(*arguments, *overrides)
    assert re.search(r"^\| squareplus +\|", printed, re.MULTILINE)
    assert "Largest activation at the end" in printed
    taken = re.search(r"^\| 2 +\| *(\S+) ±.*\| *(\S+) ±", printed, re.MULTILINE)
    assert taken is not None
    assert float(taken[2]) <= 1 < float(taken[1])
    for path in (copy.root / "outputs/probed").glob("*/probes.csv"):
        assert "largest_activation" in path.read_text(encoding="utf-8").partition("\n")[0]


def test_the_activations_row_of_facts_is_true(copy: Copy) -> None:
    shutil.copy(ROOT / "tests/theory/activations/test_facts.py", copy.root)
    test = "test_facts.py::test_a_row_says_what_the_function_does[squareplus]"
    assert "1 passed" in copy.run("-m", "pytest", "-q", "-n", "0", test)
    assert "below: (0, ∞)" in copy.study("activations", "squareplus", "--no-timing")


def test_the_initialization_is_drawn_and_predicted(copy: Copy) -> None:
    own = ("init=truncated_normal", "init.std=0.1", "activation=relu", *TINY)
    printed = copy.study("preflight", *own)
    assert "activation variance in 2 of 2 layers" in printed


def test_the_model_trains_alone_and_the_optimizer_in_stacks(copy: Copy) -> None:
    residual = copy.study("train", "study=models", "model=residual", *TINY)
    assert "4 alone" in residual
    assert "ResidualMLP has a forward of its own" in residual
    pretrained = ("pretraining=autoencoder", "data.normalize=unit", "activation=sigmoid")
    refused = copy.study("train", "study=models", "model=residual", *pretrained, *TINY, status=2)
    assert "model=residual has a forward of its own" in refused
    copy.study("train", "-m", "study=nadam", "optimizer=nadam,adam", *TINY)
    for path in (copy.root / "outputs/nadam").glob("*/result.json"):
        assert json.loads(path.read_text())["provenance"]["engine"] == "stacked"


def test_the_norm_normalizes_and_its_networks_train_alone(copy: Copy) -> None:
    code = """
import torch
from study.networks import CNN, make_norm
from study.training.stacking import unstackable
generator = torch.Generator().manual_seed(0)
z = make_norm("rms", 7)(torch.randn(4, 7, generator=generator))
torch.testing.assert_close(z.square().mean(1), torch.ones(4), atol=1e-3, rtol=0)
print(unstackable(CNN((2, 8, 8), 3, channels=[[4], [4]], head=[6], norm="rms")))
"""
    assert "RMSNorm has no stacked form" in copy.run("-c", code)
    assert "RMSNorm has no stacked form" in copy.study("train", "study=norms", "norm=rms", *TINY)
    assert "another version" not in copy.study("status", "outputs/norms")
    path = copy.root / "study/networks/normalization.py"
    before = path.read_text(encoding="utf-8")
    other = before.replace("return functional.rms_norm(x", "return -functional.rms_norm(x")
    path.write_text(other, encoding="utf-8")
    told = copy.study("status", "outputs/norms")
    path.write_text(before, encoding="utf-8")
    assert "1 cell was trained by another version of norm=rms (study/networks/norm" in told


def test_the_data_set_is_read_and_trained_on(copy: Copy) -> None:
    images = read_images("mnist")
    small = torch.nn.functional.avg_pool2d(images.train_images[:900].float(), 2).byte().numpy()
    labels = images.train_labels[:900].numpy()
    np.savez(
        copy.root / "data/small_digits.npz",
        train_images=small[:600],
        train_labels=labels[:600],
        test_images=small[600:],
        test_labels=labels[600:],
    )
    assert "600 training and 300 test images of 1 x 14 x 14" in copy.study("data", "small_digits")
    assert "small_digits   here" in copy.study("data")
    copy.study("train", "study=data", "data=small_digits", *TINY)


def test_the_schedule_falls_to_zero(copy: Copy) -> None:
    code = """
from study.training.optimizers import learning_rate_factors
keys = {"name": "linear", "warmup_epochs": 0}
print(learning_rate_factors(keys, epoch=1, num_epochs=2, updates_per_epoch=2))
"""
    assert "[0.5, 0.25]" in copy.run("-c", code)


def test_the_probes_chart_and_its_quantity_of_claims_follow_from_its_row(copy: Copy) -> None:
    code = """
from study.analysis.claims.quantities import find_quantity
from study.tensorboard.layout import CATEGORIES
print(CATEGORIES["signals"][-1], find_quantity("largest_activation@start").label)
"""
    label = "largest activation at initialization, mean over layers"
    assert copy.run("-c", code) == f"largest_activation {label}\n"


def test_the_claims_get_verdicts_and_the_figure_is_drawn(copy: Copy) -> None:
    copy.study("train", "experiment=mine", "study=mine", *TINY)
    printed = copy.study("report", "outputs/mine")
    found = re.findall(r"(\d) (?:supported|refuted|undecided)", printed.partition("claims: ")[2])
    assert sum(map(int, found)) == 2
    report = copy.root / "outputs/mine/report"
    verdicts = (report / "sheets/verdicts.md").read_text(encoding="utf-8")
    assert "| squareplus-is-as-good " in verdicts
    assert "| squareplus-has-no-higher-odds " in verdicts
    assert (report / "figures/largest_activation.svg").exists()
