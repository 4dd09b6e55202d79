"""`study activations`: its files, the same each time but for the times, and its refusals."""

import re
from pathlib import Path

import pytest

from study.config.configuration import levels
from study.errors import InputError
from study.theory.activations import timing
from study.theory.activations.command import chosen_levels, main, printed

NAMES = [f"activations.{kind}" for kind in ("csv", "md", "png", "svg")]


def written(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_every_level_is_in_the_sheet_and_each_run_writes_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--no-timing", "--output", str(tmp_path / "first")]) == 0
    out = capsys.readouterr().out
    assert main(["--no-timing", "--output", str(tmp_path / "second")]) == 0
    first = written(tmp_path / "first")
    assert sorted(first) == NAMES
    assert first == written(tmp_path / "second")
    text = first["activations.md"].decode()
    assert text in out
    assert {line.split(",")[0] for line in first["activations.csv"].decode().splitlines()} == {
        "activation",
        *levels("activation"),
    }


def test_named_levels_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing.relative_times, "__defaults__", (1, 1))
    assert main(["leaky_relu", "elu  alpha=2", "relu", "--output", str(tmp_path)]) == 0
    rows = re.findall(r"^\| (\w[^|]*?) +\|", capsys.readouterr().out, re.MULTILINE)
    assert rows == ["activation", "leaky_relu", "elu alpha=2", "relu"] * 2
    assert re.search(r"elu alpha=2.*no: at 0 \(2, 1\)", (tmp_path / "activations.md").read_text())
    assert (tmp_path / "activations.csv").read_text().splitlines()[-1].endswith(",1")


def test_the_reference_takes_one_and_is_needed_in_no_list() -> None:
    chosen = chosen_levels(["maxout pieces=3", "prelu"])
    times = timing.relative_times(chosen, rounds=1, passes=1)
    assert list(times) == list(chosen)
    assert all(time > 0 for time in times.values())
    assert timing.relative_times(chosen_levels(["relu"]), rounds=2, passes=1) == {"relu": 1.0}
    assert "in turns" in timing.conditions()


def test_a_document_quotes_it_without_times() -> None:
    assert printed(["relu", "--no-timing"]).startswith("| activation ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rleu"], "unknown activation 'rleu' (did you mean 'relu'?); choose from: elu, "),
        ([""], "unknown activation ''"),
        (["elu slope=1"], "unknown key of activation elu 'slope'; choose from: alpha"),
        (["elu alpha"], "'elu alpha': write such as 'elu alpha=VALUE'"),
        (["elu alpha=x"], "activation.alpha=x is out of range: it takes a number above 0"),
        (["relu name=elu"], "activation relu takes no parameters; leave 'name' out"),
        (["--fast"], "unrecognized arguments: --fast; see "),
        (["--output", "/dev/null/sheet"], "--output /dev/null/sheet cannot be made"),
    ],
)
def test_bad_input_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        main(arguments)
