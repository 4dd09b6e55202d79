"""The sheet as text: what is said of the facts."""

import csv
import io

import pytest

from study.config.level_source import OWN
from study.networks import ACTIVATIONS
from study.theory.activations.facts import Checklist, Facts, Kink, check
from study.theory.activations.table import number, write_csv, write_markdown

SHEET = {name: check(name) for name in ACTIVATIONS if name in OWN["activation.name"]}
TIMES = dict.fromkeys(SHEET, 1.234567)


def cells(text: str, name: str) -> list[str]:
    """All cells of an activation, from both tables."""
    rows = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for row in rows for cell in row.strip("| ").split("|")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "relu",
            "yes; no: at 0 (0, 1); yes; below: [0, ∞); no: 0.3989; z < 0; 1 for z > 0; 1.4142",
        ),
        ("tanh", "yes; yes; yes; yes: (-1, 1); yes: 0; z < -2.993, z > 2.993; 1 at 0; 1.5925"),
        ("selu", "no: at 0 (1.758, 1.051); below: (-1.758, ∞); yes: 0; 1.758 left of 0; 1.0000"),
        ("gelu", "no: at -0.7518; below: [-0.17, ∞); z < -3.022, -0.7786 < z < -0.7262"),
        ("hard_tanh", "no: at -1 (0, 1), 1 (1, 0); yes: [-1, 1]; 1 for -1 < z < 1"),
        ("softplus", "below: (0, ∞); 1 as z to ∞"),
        ("identity", "no; yes: 0; nowhere; 1 everywhere; 1.0000"),
    ],
)
def test_the_tables_say_what_was_found(name: str, expected: str) -> None:
    found = cells(write_markdown(SHEET), name)
    assert set(expected.split("; ")) <= set(found), found


def test_the_tables_fit_a_terminal() -> None:
    text = write_markdown(SHEET, TIMES, "in a test")
    assert max(map(len, text.splitlines())) <= 112


def test_times_are_a_column_and_a_line_of_the_legend() -> None:
    text = write_markdown(SHEET, TIMES, "in a test")
    assert cells(text, "relu")[-1] == "1.23"
    assert "- time: in a test." in text
    assert "time" not in write_markdown(SHEET)


def test_maxout_is_explained_where_it_is() -> None:
    assert "- maxout: " in write_markdown(SHEET)
    assert "- maxout: " in write_markdown({"maxout pieces=3": SHEET["maxout"]})
    assert "maxout" not in write_markdown({"relu": SHEET["relu"]})


def test_csv_is_for_scripts() -> None:
    rows = {row["activation"]: row for row in csv.DictReader(io.StringIO(write_csv(SHEET)))}
    assert list(rows) == list(SHEET)
    facts = check("gelu").facts
    assert facts is not None
    assert float(rows["gelu"]["lower_bound"]) == pytest.approx(facts.lower, abs=1e-6)
    assert float(rows["relu"]["upper_bound"]) == float("inf")
    assert rows["hard_tanh"]["kinks"].split(";") == ["-1", "1"]
    assert rows["hard_tanh"]["slopes_left"].split(";") == ["0", "1"]
    assert {row["relative_time"] for row in rows.values()} == {""}
    assert ",1.23457\n" in write_csv(SHEET, TIMES)


def test_words_for_what_no_level_does() -> None:
    facts = Facts(
        jumps=(0.5,),
        kinks=(Kink(0.0, 1.0, 2.0), Kink(3.0, 1.0, 0.5)),
        non_decreasing=False,
        upper=2.0,
        upper_attained=True,
        largest_slope=float("inf"),
        steepest=(),
        saturated=tuple((place, place + 0.1) for place in range(9)),
    )
    odd = Checklist(facts, mean_output=0.0, gain=1.0)
    found = cells(write_markdown({"odd": odd}), "odd")
    assert found[1:7] == [
        "no: at 0.5",
        "no: at 0 (1, 2), 3 (1, 0.5)",
        "no",
        "above: (-∞, 2]",
        "yes: 0",
        "odd",
    ]
    assert found[7:9] == ["0 < z < 0.1, 1 < z < 1.1, 2 < z < 2.1, ...", "no bound"]


def test_without_facts_it_says_so() -> None:
    added = {"added": Checklist(None, mean_output=0.5, gain=2.0), "relu": SHEET["relu"]}
    text = write_markdown(added)
    assert cells(text, "added").count("not stated") == 6
    assert {"no: 0.5", "2.0000"} < set(cells(text, "added"))
    assert "- not stated: " in text
    assert "not stated" not in write_markdown(SHEET)
    (row, _) = csv.DictReader(io.StringIO(write_csv(added)))
    told = {key: value for key, value in row.items() if value}
    assert told == {"activation": "added", "mean_output": "0.5", "zero_centred": "no", "gain": "2"}


def test_numbers() -> None:
    assert [number(value) for value in (-1e-9, 9.0000001, 1 / 3)] == ["0", "9", "0.3333"]
