"""Published numbers beside a study's: which cells, how far apart, and what differs in protocol."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.analysis.frames import Frames
from study.analysis.published import (
    Published,
    matches,
    network_words,
    protocol_differences,
    published_numbers,
    published_sheets,
    standard_errors,
    widths_words,
)
from study.analysis.sheets.scores import all_scores
from tests import synthetic

CONFIG = """\
data:
  name: mnist
  val_size: 5000
  train_size: {train_size}
  test_size: null
  normalize: {normalize}
model:
  widths: {widths}
  code: 30
optimizer: {{name: sgd}}
batch_size: 128
trainer: {{max_epochs: 1}}
"""


def configured(
    path: Path, train_size: str = "null", normalize: str = "unit", widths: str = "[1000, 500]"
) -> None:
    """Gives a cell a configuration that its record names."""
    text = CONFIG.format(train_size=train_size, normalize=normalize, widths=widths)
    synthetic.configure(path, text)


def number_of(paper: str, error: float) -> Published:
    (found,) = (n for n in published_numbers() if n.paper.startswith(paper) and n.error == error)
    return found


def test_networks_in_words() -> None:
    assert widths_words([64] * 5) == "5 x 64"
    assert widths_words([500, 500, 2000]) == "500-500-2000"
    assert (widths_words([500]), widths_words([])) == ("500", "no hidden layer")
    model = {"name": "autoencoder", "widths": [1000, 500, 250], "code": 30}
    assert network_words(model) == "1000-500-250-30-250-500-1000"
    assert network_words({"channels": [[6], [16]], "head": [120, 84]}).startswith("convolutions 6")


def test_what_one_side_does_not_state_is_no_difference_but_said() -> None:
    theirs = {"network": "3 x 1000", "batch": "10", "momentum": "0.9"}
    assert protocol_differences(theirs, {"network": "3 x 64", "batch": "10", "seeds": "3"}) == [
        "network 3 x 1000, here 3 x 64",
        "not stated there: seeds",
        "not stated here: momentum",
    ]
    assert protocol_differences({}, theirs) == ["the source's protocol is not recorded"]
    assert protocol_differences(theirs, theirs) == ["nothing"]


def test_published_numbers_say_where_they_were_read() -> None:
    numbers = published_numbers()
    assert len(numbers) > 30
    assert {number.read for number in numbers} == {"paper", "copy"}
    assert all(number.error > 0 and number.of for number in numbers)
    assert len({(n.paper, n.setting) for n in numbers}) == len(numbers)


def test_a_published_number_stands_beside_cells_of_its_levels(tmp_path: Path) -> None:
    factors = {
        "activation": ["tanh", "relu"],
        "init": ["standard", "xavier_uniform gain=2"],
        "norm": ["none"],
        "pretraining": ["none"],
    }
    synthetic.make_study(tmp_path / "s", factors)
    cells = Frames.read(tmp_path / "s").cells
    table = [n for n in published_numbers() if n.paper.startswith("Glorot & Bengio 2010")]
    tanh, other = (
        next(n for n in table if n.of["init"] == init and n.of["activation"] == "tanh")
        for init in ("standard", "xavier_uniform")
    )
    assert (tanh.error, other.error) == (1.76, 1.64)
    assert [matches(tanh, cell) for cell in cells] == [True, False, False, False]
    assert [matches(other, cell) for cell in cells] == [False, True, False, False]


def test_the_distance_is_in_standard_errors(tmp_path: Path) -> None:
    (path,) = synthetic.make_study(tmp_path / "s", {"activation": ["tanh"]}, seeds=2)
    synthetic.change_result(path, synthetic.set_metric([0.02, 0.03]))
    (scores,) = all_scores(Frames.read(tmp_path / "s").cells)
    number = next(n for n in published_numbers() if n.error == 1.76)
    binomial = (0.025 * 0.975 + 0.0176 * 0.9824) / 10_000
    expected = (0.025 - 0.0176) / math.sqrt(0.005**2 + binomial)
    found = standard_errors(number, scores.scores[0], 100.0)
    assert found == pytest.approx(expected)


def test_the_papers_own_spread_is_shown_and_not_counted(tmp_path: Path) -> None:
    factors = {"activation": ["elu"], "norm": ["none"], "pretraining": ["none"]}
    (path,) = synthetic.make_study(tmp_path, factors, seeds=2)
    synthetic.change_result(path, synthetic.set_metric([0.30, 0.31]))
    (scores,) = all_scores(Frames.read(tmp_path).cells)
    number = number_of("Clevert", 28.75)
    assert number.spread == 0.24
    chance = (0.305 * 0.695 + 0.2875 * 0.7125) / 10_000
    expected = (0.305 - 0.2875) / math.sqrt(0.005**2 + chance)
    assert standard_errors(number, scores.scores[0], 100.0) == pytest.approx(expected)


def reconstructing(directory: Path, normalize: str = "unit") -> list[tuple[str, ...]]:
    """The published rows beside an autoencoder that reconstructs."""
    factors = {"activation": ["sigmoid"], "pretraining": ["rbm"]}
    (path,) = synthetic.make_study(directory, factors, seeds=3)
    configured(path, normalize=normalize)

    def change(result: dict[str, Any]) -> None:
        result["factors"]["model"] = "autoencoder"
        errors = {"train_error": 14.2, "test_error": 13.8}
        references = {"pca": {"components": 30, **errors}, "mean_image": errors}
        result |= {"task": "reconstruction", "references": references}
        synthetic.set_metric([4.9, 5.0, 5.1])(result)

    synthetic.change_result(path, change)
    cells = Frames.read(directory).cells
    cells[0] = replace(cells[0], factors={**cells[0].factors, "model": "autoencoder"})
    return [row for sheet in published_sheets(cells) for row in sheet.rows]


def test_squared_errors_have_a_difference_and_no_standard_errors(tmp_path: Path) -> None:
    net, pca = reconstructing(tmp_path)
    assert net[2:7] == ("3.00", net[3], "5.00", "+2.00", "–")
    assert pca[2:7] == ("13.87", pca[3], "13.80", "-0.07", "–")
    assert pca[3].startswith("PCA-30")


def test_squared_errors_of_other_pixels_are_not_set_beside_each_other(tmp_path: Path) -> None:
    assert reconstructing(tmp_path, normalize="standard") == []


def test_the_number_of_training_images_tells_rows_of_a_paper_apart(tmp_path: Path) -> None:
    factors: dict[str, list[Any]] = {
        "activation": ["sigmoid"],
        "norm": ["none"],
        "pretraining": ["none"],
        "data.train_size": ["null", 1000],
    }
    whole, few = synthetic.make_study(tmp_path, factors)
    configured(whole)
    configured(few, train_size="1000")
    cells = Frames.read(tmp_path).cells
    all_of_them, thousand = number_of("Erhan", 1.80), number_of("Erhan", 11.29)
    assert [matches(all_of_them, cell) for cell in cells] == [True, False]
    assert [matches(thousand, cell) for cell in cells] == [False, True]
    assert thousand.protocol["training images"] == "1,000"
    (sheet,) = published_sheets(cells)
    rows = {row[2]: row for row in sheet.rows if row[0].startswith("Erhan")}
    assert "training images 60,000, here 55,000" in rows["1.80"][-1]
    assert "training images" not in rows["11.29"][-1]


def test_the_number_of_layers_tells_a_shallow_net_from_deep_ones(tmp_path: Path) -> None:
    factors = {"activation": ["sigmoid"], "norm": ["none"], "pretraining": ["none"]}
    (path,) = synthetic.make_study(tmp_path, factors)
    for widths, error in (("[128]", 1.9), ("[128, 128, 128]", 2.4)):
        configured(path, widths=widths)
        (cell,) = Frames.read(tmp_path).cells
        found = [n.error for n in published_numbers() if n.paper.startswith("Bengio")
                 and matches(n, cell)]  # fmt: skip
        assert found == [error]


def test_shifted_test_images_have_nothing_published_beside_them(tmp_path: Path) -> None:
    factors = {
        "activation": ["sigmoid"],
        "norm": ["none"],
        "pretraining": ["none"],
        "data.test_shift": ["none", "noise"],
    }
    clean, noisy = synthetic.make_study(tmp_path, factors)
    for path, shift in ((clean, "none"), (noisy, "noise")):
        configured(path)
        text = (path / "config.yaml").read_text(encoding="utf-8")
        shifted = text.replace("  test_size: null\n", f"  test_size: null\n  test_shift: {shift}\n")
        synthetic.configure(path, shifted)
    (sheet,) = published_sheets(Frames.read(tmp_path).cells)
    assert {row[3] for row in sheet.rows} == {clean.name}
