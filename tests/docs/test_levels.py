"""docs/levels.md: its blocks, put into a folder outside the project, are levels that train."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from docs.code import blocks, commands
from study.__main__ import main
from study.config.configuration import level_versions, use_levels
from study.data import read_images
from study.outputs.metrics import PROBES
from tests.page_edits import EDIT, TINY

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/levels.md").read_text(encoding="utf-8")
MOST_LINES = 15
OWN = {
    "activation": ("squared_relu", "swish"), "norm": ("layer_norm",), "model": ("residual_cnn",),
    "optimizer": ("lion",), "init": ("truncated_normal",), "schedule": ("linear",),
    "callbacks": ("weight_clipping",), "data.augment": ("cutout",),
    "probes.own": ("kurtosis",),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the folder of the page, and the images that it speaks of."""
    place = tmp_path_factory.mktemp("user")
    for edit in EDIT.finditer(PAGE):
        path = place / edit["new"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(edit["block"], encoding="utf-8")
    images = read_images("mnist")
    small = torch.nn.functional.avg_pool2d(images.train_images[:900].float(), 2).byte().numpy()
    labels = images.train_labels[:900].numpy()
    (place / "digits").mkdir()
    np.savez(
        place / "digits/small_digits.npz",
        train_images=small[:600],
        train_labels=labels[:600],
        test_images=small[600:],
        test_labels=labels[600:],
    )
    with contextlib.chdir(place):
        yield place
    use_levels()
    PROBES.recorded.clear()


def test_every_block_is_a_file_or_a_command() -> None:
    edited = {edit["block"] for edit in EDIT.finditer(PAGE)}
    assert all(b.language == "bash" for b in blocks(PAGE) if b.code not in edited)


@pytest.mark.parametrize(
    "edit", [e for e in EDIT.finditer(PAGE) if e["new"].endswith(".py")], ids=lambda e: e["new"]
)
def test_a_level_takes_few_lines(edit: re.Match[str]) -> None:
    lines = edit["block"].splitlines()
    body = [line for line in lines if line.strip() and "import" not in line and '"""' not in line]
    assert len(body) <= MOST_LINES


def test_the_pages_commands_give_a_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = [arguments for block in blocks(PAGE) for arguments in commands(block)]
    assert first == ["levels", "new", "levels"]
    for arguments in rest:
        if "my_power" in str(arguments):
            continue
        tiny = [word for word in TINY if not word.startswith("optimizer.lr")]
        if "model=residual_cnn" in arguments:
            tiny = [word for word in tiny if not word.startswith("model")]
        if "data=small_digits" in arguments:
            tiny = [word for word in tiny if not word.startswith("data")]
        assert main([*arguments, *(tiny if arguments[0] == "train" else ())]) == 0, arguments
    printed = capsys.readouterr().out
    assert "  wrong" not in printed
    assert "  missing" not in printed
    assert "  swish                  x sigmoid(beta x), beta learned" in printed
    assert "variance 0.0003" in printed
    for name in ("Swish", "LayerNorm"):
        assert f"{name} is stacked by torch.func" in printed
    assert "ResidualCNN has a forward of its own" in printed
    assert "has no stacked form" not in printed
    found = {
        path.parent.name: json.loads(path.read_text())
        for path in Path().glob("outputs/*/*/result.json")
    }
    assert len(found) == 12
    for name, record in found.items():
        levels = record["provenance"].get("levels", {})
        named = {f"{group}={own}" for group, names in OWN.items() for own in names if own in name}
        assert named <= levels.keys() <= {f"{g}={n}" for g, names in OWN.items() for n in names}
    signed = [{*record["provenance"].get("levels", {})} for record in found.values()]
    assert {"optimizer=lion", "model=residual_cnn"} in signed
    assert {"callbacks=weight_clipping"} in signed
    assert {"data.augment=cutout"} in signed
    assert {"probes.own=kurtosis"} in signed
    assert "Kurtosis of pre-activations at initialization, study shapes" in printed


def test_a_cell_that_uses_none_keeps_its_signature(place: Path) -> None:
    use_levels(["levels=levels"])
    assert level_versions({"activation.name": "relu", "norm.name": "batch"}) == {}
