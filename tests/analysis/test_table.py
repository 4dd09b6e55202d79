import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from study.analysis.pivot import Request
from study.analysis.table import main, render
from study.errors import InputError
from study.outputs.metrics import METRICS
from tests.synthetic import (
    change_result,
    diverge,
    fail,
    ledger_cell,
    make_result,
    make_study,
    rows_of,
    set_metric,
    write_ledger,
    write_result,
)

SMALL = {"activation": ["relu", "tanh"], "init": ["he_normal", "normal"]}


def make_small(directory: Path) -> list[Path]:
    """Two by two cells with numbers by hand: one tied, one diverged, one failed, an edge."""
    paths = make_study(directory, SMALL, seeds=3)
    relu, relu_normal, tanh, tanh_normal = paths
    for path in paths:
        change_result(path, lambda result: result.update(chosen_lr=0.1, chosen_lr_at_edge=None))
    change_result(relu, set_metric([0.01, 0.02, 0.03]))
    change_result(tanh, set_metric([0.02, 0.02, 0.05]))
    change_result(relu_normal, diverge(1, 2))
    change_result(relu_normal, set_metric([0.5, 0.9, 0.9]))
    fail(tanh_normal)
    change_result(tanh, lambda result: result.update(chosen_lr_at_edge="highest"))
    return paths


GOLDEN = {
    "md": """\
Test error (%, lower is better), study small; rows: init, columns: activation. Mean ± half-width \
of the 95 % t interval over 3 seeds, at each cell's chosen learning rate.

| init / activation |                 relu |              tanh |
| :---------------- | -------------------: | ----------------: |
| he_normal         |      **2.00 ± 2.48** | 3.00 ± 4.30 ≈ lr↑ |
| normal            | 90.00 (2/3 diverged) |            failed |

- bold: the best of its row; ≈: not distinguishable from it (the 95 % t interval of the \
difference, paired by seed, holds 0).
- lr↑, lr↓: the chosen learning rate is the highest, the lowest of its grid; a better one may lie \
beyond, so the comparison is not fair.
- (k/n diverged): k of n replicas; the median over seeds, without an interval, and not compared.
- test_error: share of images of the test set (read once, after training) that the weights of the \
best epoch (lowest validation error) classify wrongly.
- 3 of 4 cells are finished (1 failed).
""",
    "csv": """\
study,init,activation,metric,mean,low,high,median,n,diverged,not_finite,chosen_lr,edge,best,status
small,he_normal,relu,test_error,0.02,-0.004841377118,0.04484137712,,3,0,0,0.1,,best,done
small,he_normal,tanh,test_error,0.03,-0.0130265273,0.0730265273,,3,0,0,0.1,highest,tied,done
small,normal,relu,test_error,,,,0.9,3,2,0,0.1,,,diverged
small,normal,tanh,test_error,,,,,,0,0,,,,failed
""",
    "tex": r"""\begin{table}
\centering
\caption{Test error (\%, lower is better), study small; rows: init, columns: activation. Mean """
    r"""$\pm$ half-width of the 95 \% t interval over 3 seeds, at each cell's chosen learning rate.}
\begin{tabular}{lrr}
\toprule
init / activation & relu & tanh \\
\midrule
he\_normal & \textbf{2.00 $\pm$ 2.48} & 3.00 $\pm$ 4.30 $\approx$ lr$\uparrow$ \\
normal & 90.00 (2/3 diverged) & failed \\
\bottomrule
\end{tabular}
""",
}


@pytest.mark.parametrize("writer", ["md", "csv", "tex"])
def test_golden(tmp_path: Path, writer: str) -> None:
    make_small(tmp_path / "small")
    text = render(tmp_path / "small", Request(), writer)
    assert text.startswith(GOLDEN[writer]) if writer == "tex" else text == GOLDEN[writer]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("writer", ["md", "csv", "tex"])
def test_every_metric_prints_in_every_format(tmp_path: Path, metric: str, writer: str) -> None:
    make_small(tmp_path)
    assert metric in render(tmp_path, Request(metric=metric), writer).replace("\\", "")


def run_command(directory: Path, hash_seed: str, *options: str) -> bytes:
    program = "import sys; from study.analysis.table import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, str(directory), *options]
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, env={**environment, "PYTHONUTF8": "1"}, capture_output=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("writer", ["md", "csv", "tex"])
def test_the_same_outputs_give_the_same_bytes_anywhere(tmp_path: Path, writer: str) -> None:
    make_small(tmp_path / "a" / "small")
    make_small(tmp_path / "b" / "c" / "small")
    first = run_command(tmp_path / "a" / "small", "1", "--format", writer)
    assert first == run_command(tmp_path / "b" / "c" / "small", "2", "--format", writer)
    assert first.decode() == render(tmp_path / "a" / "small", Request(), writer)


def test_output_takes_its_format_from_the_suffix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_small(tmp_path / "small")
    for suffix, writer in {"md": "md", "csv": "csv", "tex": "tex", "txt": "md"}.items():
        path = tmp_path / f"table.{suffix}"
        assert main([str(tmp_path / "small"), "--output", str(path)]) == 0
        assert path.read_bytes().decode() == render(tmp_path / "small", Request(), writer)
        assert capsys.readouterr().out == f"{path}\n"


def test_markup_in_a_level_stays_text(tmp_path: Path) -> None:
    level = r"[1, 2] a|b_c & 50% <script> *x* \y $z"
    make_study(tmp_path, {"activation": [level, "relu"]})
    text = render(tmp_path, Request())
    assert r"[1, 2] a\|b_c & 50% \<script> \*x\* \\y $z |" in text
    tex = render(tmp_path, Request(), "tex")
    assert r"\& 50\% \textless{}script\textgreater{}" in tex
    assert r"\textbar{}b\_c" in tex
    assert "\n{[}1, 2{]}" in tex
    assert rows_of(tmp_path)[0]["activation"] == level


@pytest.mark.parametrize(
    ("levels", "shown", "note"),
    [
        (["mlp dropout=0.1 widths=1x8", "cnn dropout=0.1"], ["mlp widths=1x8", "cnn"], True),
        (["relu", "elu alpha=2"], ["relu", "elu alpha=2"], False),
        (["elu alpha=2", "elu alpha=3"], ["elu alpha=2", "elu alpha=3"], False),
        (["a k=1 2", "b k=1 2"], ["a", "b"], True),
        (["only k=1"], ["only k=1"], False),
    ],
)
def test_headers_leave_out_what_every_level_has(
    tmp_path: Path, levels: list[str], shown: list[str], note: bool
) -> None:
    make_study(tmp_path, {"activation": ["relu", "tanh"], "model": levels})
    for request in (Request(rows="model"), Request(columns="model", rows="activation")):
        for writer in ("md", "tex"):
            text = render(tmp_path, request, writer)
            lines = text.replace("{[}", "[").replace("{]}", "]").splitlines()
            headers = [cell.strip(" \\") for line in lines for cell in re.split(r"[|&]", line)]
            assert set(shown) <= set(headers)
            assert ("model: every level has" in text) == note
    assert {row["model"] for row in rows_of(tmp_path, rows="model")} == set(levels)


def test_unequal_numbers_of_seeds_stand_in_the_entries(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh"]}, seeds=4)

    def drop_a_seed(result: dict[str, Any]) -> None:
        result["replicas"] = [r for r in result["replicas"] if r["seed"] != 3]

    change_result(paths[1], drop_a_seed)
    text = render(tmp_path, Request())
    assert "(n=4)" in text
    assert "(n=3)" in text
    assert "n in each entry" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "test_eror"], "did you mean 'test_error'"),
        (["--rows", "nrom"], "unknown factor 'nrom' (did you mean 'norm'?); choose from: data"),
        (["--columns", "depth"], "unknown factor 'depth'"),
        (["--over", "depth"], "unknown factor 'depth'"),
        (["--where", "norm"], "FACTOR=LEVEL"),
        (["--where", "depth=1"], "unknown factor 'depth'"),
        (["--where", "norm=bach"], "unknown level of norm 'bach' (did you mean 'batch'?)"),
        (
            ["--where", "lr=0.5"],
            "unknown level of lr '0.5'; choose from: 0.01, 0.1, 1",
        ),
        (["--where", "lr=0.1", "--where", "lr=1"], "pools none"),
        (["--rows", "norm", "--columns", "norm"], "both norm"),
        (["--rows", "norm", "--over", "norm"], "choose one"),
        (["--metric", "wall_seconds", "--rows", "seed"], "one number per cell"),
        (["--format", "pdf"], "unknown format 'pdf'; choose from: md, csv, tex"),
        (["--output", "/nowhere/at/all/table.md"], "cannot be written"),
        (["--colour"], "unrecognized arguments: --colour; see study table --help"),
        (["--rows"], "expected one argument"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    make_study(tmp_path, seeds=2)
    with pytest.raises(InputError) as error:
        main([str(tmp_path), *options])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_selection_without_cells_is_one_line(tmp_path: Path) -> None:
    cells = [ledger_cell({"activation": a, "init": i}) for a, i in (("r", "h"), ("t", "z"))]
    write_ledger(tmp_path, cells)
    write_result(tmp_path, cells[0], make_result(cells[0], 2, (0.1,)))
    write_result(tmp_path, cells[1], make_result(cells[1], 2, (0.5,)))
    with pytest.raises(InputError, match="no cell has activation = r and init = z"):
        render(tmp_path, Request(where=["activation=r", "init=z"]))
    with pytest.raises(InputError, match=r"no finished cell has activation = r, lr = 0\.5"):
        render(tmp_path, Request(where=["activation=r", "lr=0.5"]))


@pytest.mark.parametrize("level", ["[256,256]", "[256, 256]", "2x256"])
def test_a_depth_is_shown_and_chosen_either_way(tmp_path: Path, level: str) -> None:
    widths = {"model.widths": ["[256]", "[256,256]", "[256,128]"], "norm": ["none", "batch"]}
    make_study(tmp_path, widths)
    table = render(tmp_path, Request(rows="model.widths", columns="norm"))
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows[-3:] == ["1x256", "2x256", "[256,128]"]
    chosen = render(tmp_path, Request(rows="norm", where=[f"model.widths={level}"]))
    assert "model.widths = 2x256" in chosen
    (tmp_path / "own").mkdir()
    make_study(tmp_path / "own", {"model": ["mlp widths=[8,8]", "mlp widths=[8]"]})
    own = render(tmp_path / "own", Request(rows="model", where=["model=mlp widths=2x8"]))
    assert "mlp widths=2x8" in own


def test_a_study_without_cells_is_one_line(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    (path / "result.json").unlink()
    with pytest.raises(InputError, match=r"no finished cell \(1 missing\)"):
        main([str(tmp_path)])
    write_ledger(tmp_path, [])
    with pytest.raises(InputError, match="has no cells"):
        main([str(tmp_path)])
    with pytest.raises(InputError, match="does not exist"):
        main([str(tmp_path / "nothing")])


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "--where F=LEVEL" in capsys.readouterr().out


def test_neither_torch_nor_pandas_is_imported(tmp_path: Path) -> None:
    make_small(tmp_path)
    program = (
        "import sys, study.analysis.status as s, study.analysis.table as t\n"
        "t.main([sys.argv[1]]); s.main([sys.argv[1]])\n"
        "heavy = {'torch', 'lightning', 'hydra', 'pandas', 'scipy.stats', 'matplotlib'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
