"""Probes of a user's own: recorded beside the project's, and read where no folder is named."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import study
from study.__main__ import main
from study.analysis.claims.quantities import find_quantity
from study.analysis.frames import Frames
from study.config import own
from study.config.compose import compose_cell, hydra_ready
from study.config.configuration import level_versions, use_levels
from study.errors import InputError
from study.outputs import metrics
from study.outputs.metrics import PROBES, PROJECTS, ROW
from study.report.page.explorer import explorer
from study.tensorboard.layout import layout
from tests import tiny

PROBE = '''
from study.levels import probe


@probe("largest", label="largest activation", unit="volts", formula="max over n, i of abs a_ni")
def largest(layer):
    """Largest magnitude of the outputs of the activation function."""
    return layer.activation.abs().flatten(1).amax(1)


@probe
def half_on(layer):
    if layer.weight_before is not None:
        return (layer.activation > 0).double().flatten(1).mean(1)
'''
TRAINED = ("data=image_folder", "probes=default", "outputs.tensorboard=none", "seeds=2",
           "population.engine=stacked", "trainer.threads=1")  # fmt: skip

EXPERIMENT = """# @package _global_
# the largest activations
study: s
probes:
  own: [largest]
sweep:
  axes:
    activation: [relu, tanh]
report:
  tables:
    - --metric largest@end --rows activation
claims:
  - id: tanh-is-bounded
    statement: Those of tanh are smaller.
    source: this test
    measure: difference
    of: largest@end
    cells: {activation: tanh}
    against: {activation: relu}
    expect: lower by 0.1 volts
"""


@pytest.fixture
def levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "levels"
    folder.mkdir()
    (folder / "mine.py").write_text(PROBE)
    monkeypatch.setattr(PROBES, "recorded", {})
    use_levels([f"levels={folder}"])
    yield folder
    own.use(None)
    use_levels()


def forget() -> None:
    """As in a process that has been told of no folder and has read no record."""
    use_levels()
    PROBES.recorded.clear()
    assert "largest" not in PROBES


def trained(root: Path, tmp_path: Path, levels: Path, *words: str) -> Path:
    small = [word for word in tiny.SMALL if not word.startswith(("probes", "population", "seeds"))]
    given = [f"data.root={root}", f"outputs_dir={tmp_path}", "study=s", f"levels={levels}", *words]
    assert main(["train", *small, *TRAINED, *given]) == 0
    return min((tmp_path / "s").glob("*/result.json")).parent


def test_it_is_recorded_beside_the_others_and_signed(
    root: Path, tmp_path: Path, levels: Path
) -> None:
    cell = trained(root, tmp_path, levels, "probes.own=[largest,half_on]")
    with (cell / "probes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == (*ROW, *PROJECTS, "largest", "half_on")
    assert all(float(row["largest"]) > 0 for row in rows)
    assert [bool(row["half_on"]) for row in rows] == [row["step"] != "0" for row in rows]
    record = json.loads((cell / "result.json").read_text())
    assert list(record["provenance"]["levels"]) == ["probes.own=largest", "probes.own=half_on"]
    assert record["provenance"]["own_probes"]["largest"]["label"] == "largest activation"
    assert {"largest", "half_on"} <= record["probes"]["end"].keys()
    assert main(["verify", str(tmp_path / "s")]) == 0


def test_a_cell_without_it_has_no_such_column(root: Path, tmp_path: Path, levels: Path) -> None:
    cell = trained(root, tmp_path, levels)
    columns = (cell / "probes.csv").read_text().partition("\n")[0].split(",")
    assert columns == [*ROW, *PROJECTS]
    assert (
        not {"levels", "own_probes"}
        & json.loads((cell / "result.json").read_text())["provenance"].keys()
    )


def test_tables_and_frames_have_it_without_the_folder(
    root: Path, tmp_path: Path, levels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(root, tmp_path, levels, "probes.own=largest")
    capsys.readouterr()
    table = ["table", str(tmp_path / "s"), "--metric", "largest@end", "--layer", "2"]
    assert main([*table, f"levels={levels}"]) == 0
    named = capsys.readouterr().out
    assert "Largest activation at the end, layer 2 (volts" in named
    forget()
    assert main(table) == 0
    without = capsys.readouterr().out
    told = "of which this code has no source (one of a folder of your own needs levels=DIR)"
    assert [line for line in without.splitlines() if told not in line] == named.splitlines()
    forget()
    assert "largest" in study.probe_frame(tmp_path / "s").columns
    assert main(["status", str(tmp_path / "s")]) == 0
    assert main(["table", str(tmp_path / "s"), "--metric", "lagest"]) == 2
    assert "as largest" in capsys.readouterr().err


def test_the_report_shows_it_without_the_folder(root: Path, tmp_path: Path, levels: Path) -> None:
    (levels / "experiment").mkdir()
    (levels / "experiment/mine.yaml").write_text(EXPERIMENT)
    directory = trained(root, tmp_path, levels, "experiment=mine").parent

    def written() -> dict[str, bytes]:
        report = directory / "report"
        return {str(path.relative_to(report)): path.read_bytes() for path in report.rglob("*.md")}

    assert main(["report", str(directory), f"levels={levels}"]) == 0
    named = written()
    assert any(b"Largest activation at the end" in text for text in named.values())
    forget()
    assert main(["report", str(directory)]) == 0
    assert written().keys() == named.keys()
    assert any(b"Largest activation at the end" in text for text in written().values())
    forget()
    (shown,) = (
        each
        for each in explorer(Frames.read(directory))["metrics"]
        if each["name"] == "largest@end"
    )
    assert shown["unit"] == "volts"
    assert min(shown["values"]) > 0


def test_its_row_is_where_a_probe_is_looked_up(levels: Path) -> None:
    assert PROBES["largest"].help.startswith("Largest magnitude of the outputs")
    assert (PROBES["half_on"].label, PROBES["half_on"].unit) == ("half on", "")
    label = find_quantity("largest@start").label
    assert label == "largest activation at initialization, mean over layers"
    assert b"layer \\d+/largest$" in layout({"largest"})
    assert b"layer \\d+/largest$" not in layout({"weight_norm"})


def test_words_are_not_signed_and_code_is(levels: Path) -> None:
    def version() -> str | int:
        use_levels([f"levels={levels}"])
        return level_versions({"probes.own": ["largest"]})["probes.own=largest"]

    before = version()
    (levels / "mine.py").write_text(PROBE.replace("volts", "mV").replace("Largest", "The largest"))
    assert version() == before
    assert PROBES["largest"].unit == "mV"
    (levels / "mine.py").write_text(PROBE.replace("amax(1)", "amin(1)"))
    assert version() != before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("probes.own=large",), "unknown probe 'large' .did you mean 'largest'"),
        (("probes=none", "probes.own=largest"), r"probes.own=\[largest\] beside probes=none"),
    ],
)
def test_what_cannot_be_is_one_line(levels: Path, words: tuple[str, ...], line: str) -> None:
    with pytest.raises(InputError, match=line), hydra_ready():
        compose_cell(words)


@pytest.mark.parametrize("name", ["weight_norm", "layer", "test_error", "diverged"])
def test_a_name_that_is_taken_is_one_line(
    levels: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (levels / "mine.py").write_text(PROBE.replace('"largest"', f'"{name}"'))
    assert main(["train", f"levels={levels}", f"probes.own={name}"]) == 2
    line = f"probes.own={name} exists already; give it another name"
    assert capsys.readouterr().err.endswith(f"line 6: {line}\n")


def test_shares_are_shown_in_percent() -> None:
    row = metrics._own_probe("on", {"unit": "%"})
    assert row.text(0.5) == "50.00"
