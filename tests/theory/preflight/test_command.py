"""`study preflight`: its page, its record, its refusals; and that it trains nothing."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from study.analysis.status import main as status
from study.config.level_source import OWN
from study.config.sweep import Cell
from study.errors import InputError
from study.outputs.metrics import PROBES
from study.outputs.schema import check_seal
from study.theory.preflight.command import main, page
from study.theory.preflight.page import WIDTH, legend, marks, number, overview
from study.theory.preflight.record import read_checks, write_checks
from study.theory.preflight.rules import RULES
from study.theory.preflight.signal_check import SignalCheck, predicted_check
from tests import tiny
from tests.tiny_launch import TINY, cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("images"))


def run(root: Path, *overrides: str) -> list[str]:
    """Overrides of tiny cells on an image folder, saved beside it."""
    own = [text for text in TINY if not text.startswith("data.")]
    data = ["data=image_folder", f"data.root={root}", "data.val_size=20"]
    return [*own, *data, f"outputs_dir={root.parent}/outputs", "study=before", *overrides]


def test_a_sweep_is_a_line_a_cell_with_flags(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["init=he_normal,zeros", "norm=none,batch", "model.widths=[8,8]", "seeds=2"]
    assert main([*run(folder, *sweep), "-m"]) == 0
    out, _ = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines[:-1])) <= WIDTH + 20
    assert "4 cells before training; 2 seeds, 20 validation images" in lines[0]
    assert re.search(r"^he_normal +none( +\S+){8} +x\S+$", out, re.MULTILINE)
    assert re.search(r"^zeros +none( +0){8} +x1.0  A- G- D S$", out, re.MULTILINE)
    for rule in RULES:
        assert f"{rule.code:2} {rule.name}" in out
        assert rule.statement in out
        assert rule.reason[:40] in out


def test_nothing_is_trained_and_the_record_is_sealed_and_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(run(folder, "study=alone", "model.widths=[8,6]", "seeds=[3,5]")) == 0
    out, _ = capsys.readouterr()
    path = folder.parent / "outputs/alone/preflight.json"
    assert out.splitlines()[-1] == f"saved: {path}"
    assert [each.name for each in path.parent.iterdir() if each.suffix != ".lock"] == [path.name]
    assert check_seal(json.loads(path.read_text()))
    (cell,) = read_checks(path)
    assert [layer["units"] for layer in cell["layers"]] == [8, 6]
    assert [each["seed"] for each in cell["measured"]] == [3, 5]
    assert len(cell["signature"]) == 64
    assert cell["directory"].endswith(cell["signature"][:8])
    for numbers in (cell["predicted"], *(each["probes"] for each in cell["measured"])):
        assert set(numbers) <= set(PROBES)
        assert {len(values) for values in numbers.values()} == {2}
    assert {"activation_variance", "gradient_variance"} <= set(cell["predicted"])
    with pytest.raises(InputError, match="study.json"):
        status([str(path.parent)])


def test_one_cell_is_shown_layer_by_layer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["model=cnn", "model.channels=[[4],[4]]", "model.head=[]"]
    assert main([text for text in run(folder, *keys) if "widths" not in text]) == 0
    out, _ = capsys.readouterr()
    assert re.search(r"^layer +predicted  measured  seeds( .*){2}pred\.  meas\.  units$", out, re.M)
    assert re.search(r"^1 \d-4 3x3 .* 4/4$", out, re.MULTILINE)
    assert re.search(r"^2 4-4 3x3 .* 4/4$", out, re.MULTILINE)
    assert "first  last" not in out


def test_an_ad_hoc_launch_adds_and_an_experiment_replaces(tmp_path: Path) -> None:
    first, second = cells("init=he_normal,zeros")
    checks = [made(cell) for cell in (first, second)]
    path = write_checks(tmp_path, [first], checks[:1], replace=False)
    write_checks(tmp_path, [second], checks[1:], replace=False)
    write_checks(tmp_path, [second], checks[1:], replace=False)
    signatures = [cell["signature"] for cell in read_checks(path)]
    assert signatures == [first.signature, second.signature]
    write_checks(tmp_path, [second], checks[1:], replace=True)
    assert [cell["signature"] for cell in read_checks(path)] == signatures[1:]
    path.write_text(path.read_text().replace("zeros", "ones"))
    with pytest.raises(ValueError, match="altered"):
        read_checks(path)
    write_checks(tmp_path, [first], checks[:1], replace=False)
    assert [cell["signature"] for cell in read_checks(path)] == signatures[:1]


def made(cell: Cell) -> SignalCheck:
    """A check that is predicted, and measured as predicted."""
    data = tiny.data(shape=(1, 28, 28))
    check = predicted_check(cell.config, data, data.val)
    return replace(check, measured={0: dict(check.predicted)})


def test_numbers_that_are_none_are_null_in_the_record_and_a_dash_on_the_page(
    tmp_path: Path,
) -> None:
    both = cells("init=he_normal,constant")
    checks = [made(cell) for cell in both]
    checks[0].measured[0]["gradient_variance"] = [math.inf]
    path = write_checks(tmp_path, both, checks, replace=True)
    good, constant = read_checks(path)
    assert good["measured"][0]["probes"]["gradient_variance"] == [None]
    assert constant["predicted"]["activation_variance"] == [None]
    factors = [cell.factors for cell in both]
    he, alike = overview(factors, checks)[-2:]
    assert he.split()[-4:] == ["inf", "inf", "-", "G+(m)"]
    assert alike.split()[1:5] == ["-"] * 4


def test_flags_say_which_side_they_come_from() -> None:
    (cell,) = cells("init=zeros")
    check = made(cell)
    assert marks(check) == "A- G- D S"
    sound = {name: [1.0] for name in check.predicted} | {"dead_fraction": [0.0]}
    assert marks(replace(check, measured={0: sound})) == "A-(p) G-(p) D(p) S"
    assert marks(replace(check, measured={}, error="why")) == "A- G- D S cannot start"


def test_remarks_tell_of_pretraining_and_of_what_could_not_start() -> None:
    both = cells("pretraining=none,autoencoder")
    checks = [made(cell) for cell in both]
    checks[0] = replace(checks[0], measured={}, error="init lsuv: no variance")
    text = "\n".join(page(Path("outputs/x"), both, checks, layers=False))
    assert "1 cell with pretraining: what is shown is the start before it" in text
    assert "pretraining=none: init lsuv: no variance" in text


def test_remarks_count_the_cells_that_theory_knows_too_little_of() -> None:
    both = cells("init=he_normal,zeros")
    checks = [replace(made(cell), remarks=("predicted as if",)) for cell in both]
    text = "\n".join(page(Path("outputs/x"), both, checks, layers=False))
    assert text.count("2 cells predicted as if: go by what is measured") == 1


def test_long_levels_are_cut_and_the_legend_stays_within_a_page() -> None:
    both = cells("init=he_normal,zeros")
    factors = [{**cell.factors, "long": f"{place} {'x' * 80}"} for place, cell in enumerate(both)]
    checks = [made(cell) for cell in both]
    assert all("x" * 30 not in line for line in overview(factors, checks))
    assert max(map(len, legend(checks))) <= WIDTH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.3854, "0.39"),
        (0.0995, "0.10"),
        (0.012, "0.012"),
        (0.0049, "4.9e-3"),
        (1.0, "1.0"),
        (12.4, "12"),
        (129.0, "130"),
        (99.6, "100"),
        (2089.0, "2.1e3"),
        (3.5e-20, "3.5e-20"),
        (math.inf, "inf"),
        (math.nan, "-"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["activation=rleu"], "unknown activation 'rleu'"),
        (["activation=relu,tanh"], "is a sweep: add -m"),
        (["--fast"], "unrecognized arguments: --fast; see "),
        (["data.val_size=0"], "data.val_size"),
        (["outputs_dir=/dev/null/x"], "cannot write to /dev/null/x/scratch"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        main(arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_document_has_every_rule_and_every_initialization() -> None:
    text = (Path(__file__).parents[3] / "docs/preflight.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| {rule.code} | {rule.name} |" in text
    for name in OWN["init.name"]:
        assert f"`{name}`" in text
