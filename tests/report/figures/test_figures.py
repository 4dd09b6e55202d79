"""Figures of a study: the same bytes anywhere, n and interval said, what is missing borne."""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.outputs.records import read_cells
from study.outputs.series import read_curves
from study.report.figures import curves, heat_map
from study.report.figures.heat_map import heat_axes
from study.report.figures.panels import style
from study.report.figures.shown import Shown
from tests.figure_studies import add_filters, drawn, make_full_study, write_preflight
from tests.synthetic import (
    change_probes,
    change_result,
    diverge,
    fail,
    make_study,
    rows_of,
    set_metric,
    write_probes,
)

ALL = {
    *("heat_map", "curves_val_error", "curves_train_loss", "learning_rates", "filters"),
    *("activation_variance_by_depth", "gradient_variance_by_depth", "preflight"),
    *("dead_fraction_over_training", "saturated_fraction_over_training"),
    "preactivation_percentiles",
}
SMALL = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("full") / "study"
    make_full_study(directory, SMALL)
    return directory


@pytest.fixture(scope="module")
def figures(full: Path) -> dict[str, Drawn]:
    return drawn(full)


def test_every_figure_is_drawn_and_shows_cells_of_the_study(
    full: Path, figures: dict[str, Drawn]
) -> None:
    assert set(figures) == ALL
    directories = {path.name for path in full.iterdir() if path.is_dir()}
    for figure in figures.values():
        assert figure.title
        assert re.fullmatch(r"[a-z0-9_]+", figure.name)
        assert set(figure.cells) == directories
        assert figure.png.startswith(b"\x89PNG")
        ElementTree.fromstring(figure.svg)


def test_the_same_bytes_in_another_directory(
    full: Path, figures: dict[str, Drawn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere" / "study"
    shutil.copytree(full, elsewhere)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.chdir(tmp_path)
    assert drawn(Path("elsewhere/study")) == figures


def test_no_identifier_is_of_two_figures(figures: dict[str, Drawn]) -> None:
    """But those of glyphs, which are the same shapes."""
    known: set[bytes] = set()
    for figure in figures.values():
        own = set(re.findall(rb'<clipPath id="([^"]*)"', figure.svg))
        assert not own & known
        known |= own


def test_every_caption_says_over_how_many_seeds_and_what_the_interval_is(
    figures: dict[str, Drawn],
) -> None:
    for name, figure in figures.items():
        if name == "filters":
            assert "n = 1" in figure.caption
            assert "no interval" in figure.caption
        else:
            assert "n = 3 seeds" in figure.caption, figure.caption
            assert "95 % t interval" in figure.caption


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    paths = make_full_study(tmp_path / "study", SMALL, seeds=1)
    write_preflight(tmp_path / "study", paths, seeds=1)
    for figure in drawn(tmp_path / "study").values():
        assert "n = 1" in figure.caption
        assert "no interval" in figure.caption
        assert "95 %" not in figure.caption


def test_without_curves_probes_filters_and_preflight_the_others_are_drawn(tmp_path: Path) -> None:
    make_study(tmp_path / "study", SMALL)
    assert set(drawn(tmp_path / "study")) == {"heat_map", "learning_rates"}


def test_one_cell_at_one_learning_rate_with_nothing_else_has_no_figure(tmp_path: Path) -> None:
    make_study(tmp_path / "study", {"activation": ["relu"]}, rates=(0.1,))
    assert drawn(tmp_path / "study") == {}


def test_one_cell_has_all_figures_but_the_heat_map(tmp_path: Path) -> None:
    make_full_study(tmp_path / "study", {"activation": ["relu"]})
    assert set(drawn(tmp_path / "study")) == ALL - {"heat_map"}


def test_a_file_that_is_not_the_recorded_one_is_not_shown(tmp_path: Path) -> None:
    altered, whole = make_full_study(tmp_path / "study", {"activation": ["relu", "tanh"]})
    for name in ("curves.csv", "probes.csv", "filters.npz"):
        with (altered / name).open("ab") as file:
            file.write(b"9")
    for name, figure in drawn(tmp_path / "study").items():
        if name not in ("heat_map", "learning_rates", "preflight"):
            assert figure.cells == (whole.name,)


@pytest.mark.parametrize("text", ['{"cells": [', '{"cells": []}', "[1]"])
def test_a_preflight_that_cannot_be_trusted_is_not_shown(tmp_path: Path, text: str) -> None:
    make_study(tmp_path / "study", SMALL)
    (tmp_path / "study" / "preflight.json").write_text(text)
    assert "preflight" not in drawn(tmp_path / "study")


def test_a_preflight_of_other_cells_is_not_shown(tmp_path: Path) -> None:
    other = make_study(tmp_path / "other", {"activation": ["elu"]})
    make_study(tmp_path / "study", SMALL)
    write_preflight(tmp_path / "study", other)
    assert "preflight" not in drawn(tmp_path / "study")


def test_unfinished_and_diverged_cells_are_told(tmp_path: Path) -> None:
    first, second, *_ = make_full_study(tmp_path / "study", SMALL)
    fail(first)
    change_result(second, diverge(1))
    figures = drawn(tmp_path / "study")
    for name in ("heat_map", "curves_val_error"):
        assert first.name not in figures[name].cells
        assert second.name in figures[name].cells
        assert "1 cell not finished." in figures[name].caption
        assert "1 cell has diverged replicas: the median" in figures[name].caption


def test_probes_that_are_zero_empty_or_huge_are_borne(tmp_path: Path) -> None:
    paths = make_full_study(tmp_path / "study", {"activation": ["relu", "tanh", "elu"]})
    for path, number in zip(paths, ("0.0", "", "1e38"), strict=True):
        change_probes(path, partial(_set, number))
    figures = drawn(tmp_path / "study")
    assert "In 2 cells a layer's variance is 0" in figures["gradient_variance_by_depth"].caption


def _set(number: str, row: dict[str, Any]) -> None:
    row.update(dict.fromkeys(_PROBED, number))


_PROBED = ("activation_variance", "gradient_variance", "preactivation_p15", "preactivation_p85")


def test_panels_in_which_no_unit_dies_are_left_out_and_named(tmp_path: Path) -> None:
    paths = make_full_study(tmp_path / "study", SMALL)
    for path in paths[2:]:
        change_probes(path, lambda row: row.update(dead_fraction="0.0"))
    figure = drawn(tmp_path / "study")["dead_fraction_over_training"]
    assert set(figure.cells) == {path.name for path in paths[:2]}
    assert "Always 0, so not shown: activation = tanh." in figure.caption


def test_a_study_in_which_no_unit_dies_shows_that(tmp_path: Path) -> None:
    paths = make_full_study(tmp_path / "study", SMALL)
    for path in paths:
        change_probes(path, lambda row: row.update(dead_fraction="0.0"))
    assert len(drawn(tmp_path / "study")["dead_fraction_over_training"].cells) == 4


def test_a_cell_without_a_share_is_neither_drawn_nor_lost(tmp_path: Path) -> None:
    """As where the slope of an activation has no bound."""
    first, *_ = make_full_study(tmp_path / "study", {"activation": ["squared_relu", "tanh"]})
    change_probes(first, lambda row: row.update(dead_fraction="", saturated_fraction=""))
    for name in ("dead_fraction_over_training", "saturated_fraction_over_training"):
        figure = drawn(tmp_path / "study")[name]
        assert first.name not in figure.cells
        assert len(figure.cells) == 1
        assert "1 of 2 cells has such a share (an activation whose slope" in figure.caption


@pytest.mark.parametrize(
    ("activations", "words"),
    [
        (["relu", "elu alpha=2.0"], "Units that are off over training"),
        (["sigmoid", "tanh"], "Saturation over training"),
        (["relu", "tanh"], "Off or saturated units over training"),
        (["my_own", "tanh"], "Off or saturated units over training"),
    ],
)
def test_switched_off_units_are_not_called_saturated(
    tmp_path: Path, activations: list[str], words: str
) -> None:
    make_full_study(tmp_path / "study", {"activation": activations})
    figure = drawn(tmp_path / "study")["saturated_fraction_over_training"]
    assert figure.title == words
    assert figure.caption.startswith(words)
    assert ("Off: relu; saturated: tanh." in figure.caption) == (activations == ["relu", "tanh"])


def test_cells_of_other_images_are_neither_drawn_nor_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_full_study(tmp_path / "study", {"activation": ["a", "b", "c"], "norm": ["n", "m"]})
    others = paths[::3]
    for path in others:
        change_result(path, _of_other_images)
    scale_of = heat_map._scale
    scales: list[Any] = []

    def scale(*arguments: Any) -> Any:
        scales.append(scale_of(*arguments))
        return scales[-1]

    monkeypatch.setattr(heat_map, "_scale", scale)
    for figure in drawn(tmp_path / "study").values():
        assert set(figure.cells) == {path.name for path in paths} - {path.name for path in others}
        assert "2 cells of another origin are left out" in figure.caption
    assert scales[0].vmax < 10, "the error of 99 % is of other images"


def _of_other_images(result: dict[str, Any]) -> None:
    result["provenance"]["data_fingerprint"] = "other"
    set_metric([0.99] * 5)(result)


def test_of_origins_the_largest_is_shown_and_of_equals_the_first(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "study", {"activation": ["a", "b", "c", "d"]})
    for path in paths[1:]:
        change_result(path, _of_other_images)
    assert len(Shown(Frames.read(tmp_path / "study")).cells) == 3
    change_result(paths[1], lambda result: result["provenance"].update(data_fingerprint=""))
    first, second = Shown(Frames.read(tmp_path / "study")).cells
    assert {first.directory, second.directory} == {path.name for path in paths[:2]}


def test_any_text_is_a_level(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "$x^{2$ $y", "_hidden", "日本 🙂", "a" * 90, "x & 'y'"]
    make_full_study(tmp_path / "study", {"activation": names, "norm": ["none", "batch"]})
    for figure in drawn(tmp_path / "study").values():
        ElementTree.fromstring(figure.svg)
        assert b"<script" not in figure.svg


def test_lines_are_told_apart_without_colour() -> None:
    styles = [style(place) for place in range(6)]
    assert len({str(each["linestyle"]) for each in styles}) == 6
    assert len({each["marker"] for each in styles}) == 6


def test_the_rows_of_a_heat_map_have_the_most_levels(tmp_path: Path) -> None:
    make_study(tmp_path / "a", {"activation": ["relu", "tanh"], "norm": ["none", "batch", "c"]})
    assert heat_axes(read_cells(tmp_path / "a")) == ["", "activation", "norm"]
    three = {"norm": ["none", "batch"], "activation": ["a", "b", "c", "d"], "init": ["x", "y"]}
    make_study(tmp_path / "b", three)
    assert heat_axes(read_cells(tmp_path / "b")) == ["norm", "init", "activation"]


def test_a_large_study_shows_few_cells_and_says_which(tmp_path: Path) -> None:
    factors: dict[str, list[Any]] = {
        "activation": [f"a{place}" for place in range(12)],
        "init": [f"i{place}" for place in range(9)],
        "norm": ["none", "batch"],
        "batch_size": [16, 32],
    }
    paths = make_study(tmp_path / "study", factors, seeds=2)
    for path in paths[:3]:
        write_probes(path, [])
        add_filters(path)
    for figure in drawn(tmp_path / "study").values():
        assert len(figure.cells) <= 240
        assert len(figure.svg) < 600_000
        if figure.name == "filters":
            assert "3 of 432 cells have filters." in figure.caption
        else:
            assert "of 432 cells are shown" in figure.caption
            assert "Fixed where the mean validation error is lowest" in figure.caption


def test_a_line_is_the_mean_over_seeds_and_its_band_the_interval(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(curves, "finished", lambda figure, *_: kept.append(figure))
    shown = Shown(Frames.read(full))
    curves.draw(shown)
    panels = kept[0].axes
    assert [axes.get_title() for axes in panels] == ["activation = relu", "activation = tanh"]
    for axes, activation in zip(panels, ("relu", "tanh"), strict=True):
        for line, norm in zip(axes.lines, ("none", "batch"), strict=True):
            (cell,) = (
                cell
                for cell in shown.cells
                if (cell.factors["activation"], cell.factors["norm"]) == (activation, norm)
            )
            rows = [row for row in read_curves(cell.path) if row["lr"] == cell.finished.chosen_lr]
            for epoch, height in enumerate(np.asarray(line.get_ydata())):
                values = [100 * row["val_error"] for row in rows if row["epoch"] == epoch]
                assert height == pytest.approx(sum(values) / 3)


def test_a_heat_map_has_the_numbers_of_the_table(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(heat_map, "finished", lambda figure, *_: kept.append(figure))
    heat_map.draw(Shown(Frames.read(full)))
    texts = [text.get_text().split("\n") for text in kept[0].axes[0].texts]
    rows = rows_of(full, rows="activation", columns="norm")
    means = [f"{100 * float(row['mean']):.2f}" for row in rows]
    assert sorted(text[0].removesuffix(" ≈") for text in texts) == sorted(means)
    halves = [f"±{100 * (float(row['high']) - float(row['mean'])):.2f}" for row in rows]
    assert sorted(text[1] for text in texts) == sorted(halves)
