"""Figures: one style for all, and the same bytes for the same data."""

from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from study.report.figures.style import save_figure, styled


def drawn() -> Figure:
    with styled():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1, 2], [0, 1, 4], marker="o", label="$x^2$")
        axes.axvspan(0, 1)
        figure.legend(loc="outside upper center")
    return figure


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_data_give_the_same_bytes(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / f"first.{kind}", tmp_path / f"second.{kind}"
    save_figure(drawn(), first)
    # What matplotlib takes for the time of the drawing.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    save_figure(drawn(), second)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name]


def test_nobody_elses_style_gets_in_and_ours_does_not_get_out(tmp_path: Path) -> None:
    save_figure(drawn(), tmp_path / "plain.svg")
    with matplotlib.rc_context({"axes.grid": False, "font.size": 20, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        save_figure(drawn(), tmp_path / "styled.svg")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "styled.svg").read_bytes()
