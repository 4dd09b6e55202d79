"""Probes as metrics: names, captions, formats, and what is refused or not used."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.analysis.pivot import Request
from study.analysis.table import main, render
from study.errors import InputError
from study.outputs.metrics import METRICS, PROBES
from tests.synthetic import (
    change_probes,
    fail,
    make_probed_study,
    make_probes,
    make_study,
    rows_of,
    write_probes,
)


def test_each_probe_can_be_shown_in_every_format(tmp_path: Path) -> None:
    make_probed_study(tmp_path)
    for probe in PROBES:
        for writer in ("md", "csv", "tex"):
            assert probe in render(tmp_path, Request(metric=probe), writer).replace("\\", "")


CAPTIONS = {
    ("dead_fraction", None): "Dead units at the end, mean over layers (%), study small; rows: act",
    ("dead_fraction@start", "3"): "Dead units at initialization, layer 3 (%), study small; rows",
    ("weight_norm@10", "last"): "Norm of the weights after 10 updates, last layer, study small",
    ("dead_fraction@end", "slope"): "Dead units at the end, slope over depth (decades a layer), st",
}


@pytest.mark.parametrize(("metric", "layer"), CAPTIONS)
def test_the_caption_says_moment_and_layers(tmp_path: Path, metric: str, layer: str | None) -> None:
    make_probed_study(tmp_path / "small")
    text = render(tmp_path / "small", Request(metric=metric, layer=layer))
    assert text.startswith(CAPTIONS[metric, layer])
    assert PROBES[metric.split("@")[0]].help in text.replace("\\", "")
    assert "is better" not in text


def test_shares_are_percent_and_variances_have_three_digits(tmp_path: Path) -> None:
    paths = make_probed_study(tmp_path)
    for path in paths:
        change_probes(
            path, lambda row: row.update(dead_fraction=0.125, gradient_variance=1.23456e-9)
        )
    assert " 12.50 ± 0.00 |" in render(tmp_path, Request(metric="dead_fraction"))
    assert " 1.23e-09 ±" in render(tmp_path, Request(metric="gradient_variance"))
    (row, _) = rows_of(tmp_path, metric="dead_fraction")
    assert row["mean"] == "0.125"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "ded_fraction"], "did you mean 'dead_fraction'"),
        (["--metric", "ded_fraction@end"], "unknown metric 'ded_fraction'"),
        (["--metric", "dead_fraction@7"], "choose from: 0, 10, 100"),
        (["--metric", "dead_fraction@ende"], "@start, @end or @STEP"),
        (["--metric", "dead_fraction@"], "@start, @end or @STEP"),
        (["--metric", "dead_fraction@-1"], "@start, @end or @STEP"),
        (["--metric", "test_error@end"], "leave @end out"),
        (["--metric", "test_error", "--layer", "3"], "test_error has no layers"),
        (["--rows", "layer"], "test_error has no layers"),
        (["--where", "layer=1"], "test_error has no layers"),
        (["--metric", "dead_fraction", "--layer", "4"], "layers are 1 to 3"),
        (["--metric", "dead_fraction", "--layer", "0"], "a number from 1, min, mean, max"),
        (["--metric", "dead_fraction", "--layer", "mea"], "did you mean 'mean'"),
        (["--metric", "dead_fraction", "--layer", "1", "--rows", "layer"], "drop one"),
        (["--metric", "dead_fraction", "--over", "layer"], "--layer mean"),
        (["--metric", "dead_fraction", "--where", "layer=4"], "choose from: 1, 2, 3"),
        (["--metric", "weight_norm", "--where", "layer=1", "--where", "layer=2"], "pools none"),
        (["--metric", "weight_norm", "--rows", "depth"], "unknown factor 'depth'; choose from"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    make_probed_study(tmp_path)
    with pytest.raises(InputError) as error:
        main([str(tmp_path), *options])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nothing_like_it", "jacobian_singular_valu", "tset_error", ""])
def test_an_unknown_metric_lists_the_metrics_then_the_nearest_probes(
    tmp_path: Path, name: str
) -> None:
    make_study(tmp_path, {"norm": ["none"]})
    with pytest.raises(InputError) as error:
        render(tmp_path, Request(metric=f"{name}@end"))
    line = str(error.value)
    assert f"choose from: {', '.join(METRICS)}; or one of {len(PROBES)} probes, as " in line
    assert sum(probe in line.partition("probes, as ")[2] for probe in PROBES) >= 3
    assert len(line) < 450


def test_nothing_heavy_is_imported_and_the_command_shows_a_probe(tmp_path: Path) -> None:
    make_probed_study(tmp_path)
    program = (
        "import sys, study.analysis.table as t\n"
        "t.main([sys.argv[1], '--metric', 'gradient_variance@end', '--layer', 'slope'])\n"
        "heavy = {'torch', 'lightning', 'hydra', 'pandas', 'scipy.stats', 'matplotlib'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "decades a layer" in done.stdout


def test_help_has_an_example_of_a_probe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    page = capsys.readouterr().out
    assert "--metric dead_fraction@end --layer 3" in page
    assert all(probe in page for probe in PROBES)


def not_used(directory: Path) -> list[str]:
    text = render(directory, Request(metric="dead_fraction"))
    return re.findall(r"^- (\S+/probes.csv is not used: .*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.unlink(), "it is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "altered"),
        (lambda file: file.write_text(file.read_text().replace("1", "2", 1)), "altered"),
        (lambda file: (file.unlink(), file.mkdir()), "it cannot be read"),
    ],
)
def test_a_file_that_is_not_sound_is_named_and_never_zeros(
    tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    paths = make_probed_study(tmp_path)
    sound = rows_of(tmp_path, metric="dead_fraction")
    assert not_used(tmp_path) == []
    spoil(paths[1] / "probes.csv")
    first, second = rows_of(tmp_path, metric="dead_fraction")
    assert first == sound[0]
    assert (second["status"], second["mean"], second["n"]) == ("not measured", "", "")
    (problem,) = not_used(tmp_path)
    assert problem.startswith(f"{paths[1].name}/probes.csv")
    assert words in problem
    assert "(then it is named below)" in render(tmp_path, Request(metric="dead_fraction"))
    assert "not used" not in render(tmp_path, Request())
    spoil(paths[0] / "probes.csv")
    with pytest.raises(InputError, match=words):
        render(tmp_path, Request(metric="dead_fraction"))


@pytest.mark.parametrize("request_", [{}, {"layer": "2"}, {"rows": "layer"}])
def test_a_cell_without_probes_says_so(tmp_path: Path, request_: dict[str, Any]) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh", "elu"]}, seeds=3)
    write_probes(paths[0], make_probes(paths[0]))
    fail(paths[2])
    asked = {"rows": "activation", **request_, "metric": "dead_fraction"}
    if asked["rows"] == "layer":
        asked["columns"] = "activation"
    states = {row["activation"]: row["status"] for row in rows_of(tmp_path, **asked)}
    assert states == {"relu": "done", "tanh": "not measured", "elu": "failed"}
    # A file that the result does not name is none of the cell's.
    (paths[1] / "probes.csv").write_bytes((paths[0] / "probes.csv").read_bytes())
    assert rows_of(tmp_path, **asked)[1]["status"] == "not measured"


def test_a_study_without_probes_is_one_line(tmp_path: Path) -> None:
    make_study(tmp_path, {"norm": ["none"]})
    with pytest.raises(InputError, match="and probes=default"):
        render(tmp_path, Request(metric="dead_fraction@start"))
