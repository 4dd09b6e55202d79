"""How a claim is written, and the one line that says what is wrong with one."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.claims import parse_claims
from study.analysis.claims.measures import MEASURES, check_claim
from study.analysis.claims.quantities import find_quantity
from study.analysis.claims.schema import (
    KINDS,
    OPTIONAL,
    REQUIRED,
    SPECIAL,
    check_unit,
    parse_expectation,
)
from study.config.configuration import CONF
from study.errors import InputError
from tests.claim_studies import CLAIM, claim

SENTENCES = {
    "lower by 5 points": ("greater", -1),
    "higher by 0.5 decades": ("greater", 1),
    "at least as low within 1e-1 points": ("at least", -1),
    "at least as high within 3 epochs": ("at least", 1),
    "same within 0.1": ("same", 1),
}


def read(*claims: Any) -> None:
    for parsed in parse_claims(claims):
        check_claim(parsed)


def refusal(*claims: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(*claims)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_an_expectation_is_a_sentence(sentence: str) -> None:
    expected = parse_expectation(sentence)
    assert (expected.kind, expected.sign) == SENTENCES[sentence]
    assert (
        f"{expected.words} {expected.smallest:g} {expected.unit}".split()[:3]
        == (sentence.replace("1e-1", "0.1").split()[:3])
    )


@pytest.mark.parametrize(
    "wrong",
    ["lower", "lower by", "lower by points", "by 5 points", "lower by -5 points", "lower by 0",
     "lower by nan points", "lower by inf", 5, None, "lower than 5 points", "lower by 5 points!"],
)  # fmt: skip
def test_what_is_no_expectation_says_how_one_is_written(wrong: object) -> None:
    with pytest.raises(InputError, match="smallest difference that matters"):
        parse_expectation(wrong)


@given(st.sampled_from(list(KINDS)), st.floats(1e-6, 1e6), st.sampled_from(["points", ""]))
def test_every_expectation_reads_back(words: str, smallest: float, unit: str) -> None:
    expected = parse_expectation(f"{words} {smallest!r} {unit}".strip())
    assert (expected.words, expected.smallest, expected.unit) == (words, smallest, unit)


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [("points", "lower by 1 point"), ("decades a layer", "higher by 1 decade a layer"),
     ("epochs", "lower by 1 epoch"), ("", "higher by 0.3")],
)  # fmt: skip
def test_units_may_be_singular(unit: str, sentence: str) -> None:
    check_unit(parse_expectation(sentence), unit)


def test_a_claim_needs_about_eight_lines() -> None:
    read(CLAIM)
    (parsed,) = parse_claims([CLAIM])
    assert len(yaml.safe_dump(CLAIM, default_flow_style=None, width=100).splitlines()) == 8
    assert parsed.cells == {"norm": ("batch",), "activation": ("relu",)}
    assert parsed.against == {"norm": ("none",)}


def test_levels_are_written_as_values_of_their_factor() -> None:
    cells = {"model.widths": [64, 64], "data.train_size": [100, 1000], "norm": ["none"]}
    (parsed,) = parse_claims([claim(cells=cells, against={"norm": "batch"})])
    assert parsed.cells == {
        "model.widths": ("2x64",),
        "data.train_size": ("100", "1000"),
        "norm": ("none",),
    }


@pytest.mark.parametrize("levels", [["2x64", "3x64"], ["[64,64]", "[64,64,64]"]])
def test_several_depths_are_several_levels(levels: list[str]) -> None:
    (parsed,) = parse_claims([claim(cells={"model.widths": levels}, against={"norm": "batch"})])
    assert parsed.cells == {"model.widths": ("2x64", "3x64")}


WRONG: dict[str, tuple[Any, ...]] = {
    "claim 1: 'relu wins' is no claim": ("relu wins",),
    "claim 2: '3' is no claim": (CLAIM, 3),
    "claim better: another claim has this id": (CLAIM, CLAIM),
    "claim 1: it has no id": (claim(id=None),),
    "claim 1: id: 'A b'": (claim(id="A b"),),
    "claim better: it has no source": (claim(source=None),),
    "claim better: statement: '3' is no text": (claim(statement=3),),
    "claim better: unknown key 'agains' (did you mean 'against'?)": (claim(agains={}),),
    "claim better: cells: 'relu': write such as": (claim(cells="relu"),),
    "claim better: norm: [] names no level": (claim(cells={"norm": []}),),
    "claim better: cells: a claim is about one learning rate": (
        claim(cells={"lr": [0.1, 0.2]}, against={"lr": 0.3}),
    ),
    "claim better: predicted: 'much' is no number, and not preflight, nor such as "
    "references.ridge.test_error": (claim(predicted="much"),),
    "claim better: within: 'true' is no number": (claim(within=True),),
}
UNFIT = {
    "unknown measure 'diference' (did you mean 'difference'?); choose from: difference, ratio": (
        claim(measure="diference")
    ),
    "of: unknown quantity 'tst_error' (did you mean 'test_error'?); choose from: train_error": (
        claim(of="tst_error")
    ),
    "of: unknown quantity 'dead_fractio@end' (did you mean 'dead_fraction'?)": (
        claim(of="dead_fractio@end")
    ),
    "of: chosen_lr is one number of a cell": claim(of="chosen_lr"),
    "of: test_error has no layers": claim(layer=3),
    "of: unknown layer 'first'; choose from: a number from 1, min": (
        claim(of="dead_fraction@end", layer="first")
    ),
    "layer: 1: diverged has no layers": claim(of="diverged", layer=1),
    "target: test_error has none": claim(target=5),
    "of: epochs_to_val_error needs target": claim(of="epochs_to_val_error"),
    "unknown quantity 'epochs_to_test_error'": claim(of="epochs_to_test_error", target=5),
    "expect: it has no unit, but the effect is in points: write 'lower by 0.02 points'": (
        claim(of="dead_fraction@end", expect="lower by 0.02")
    ),
    "expect: it has 'points', but the effect is in decades": claim(measure="ratio"),
    "expect: it has 'points', but the effect is a bare number: write 'lower by 2'": (
        claim(of="test_loss")
    ),
    "over: measure 'difference' does not take it, but against, predicted": claim(over="init"),
    "takes either against or predicted": claim(predicted=3),
    "takes either against or predicted: write": claim(against=None),
    "it has no elsewhere, which measure 'difference of differences' needs": (
        claim(measure="difference of differences")
    ),
    "against: norm is not in cells": claim(cells={"activation": "relu"}),
    "against: norm=batch is in cells too": claim(against={"norm": "batch"}),
    "norm stands in two of": (
        claim(measure="difference of differences", elsewhere={"norm": "group"})
    ),
    "noise alone puts a range above 0": (
        claim(measure="range over levels", over="init", against=None)
    ),
    "learning rates are judged by an error or a loss, not by best_epoch": (
        claim(measure="largest learning rate", within=1, of="best_epoch")
    ),
    "the pre-flight predicts probes at the start": claim(against=None, predicted="preflight"),
    "with: unknown quantity 'train_siz'": (
        claim(measure="rank correlation", against=None, with_="train_siz", expect="higher by 0.5")
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_no_claim_is_one_line(line: str) -> None:
    assert refusal(*WRONG[line]).startswith(line)


@pytest.mark.parametrize("line", UNFIT)
def test_what_does_not_fit_together_is_one_line(line: str) -> None:
    assert line in refusal(UNFIT[line])


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CLAIM, "x"]), inner)
), max_leaves=12))  # fmt: skip
def test_whatever_is_written_is_a_claim_or_one_line(value: Any) -> None:
    assert "\n" not in refusal(value)


def test_the_documentation_has_every_measure_key_and_expectation() -> None:
    text = (CONF.parent / "docs" / "claims.md").read_text(encoding="utf-8")
    names = [*MEASURES, *REQUIRED, *OPTIONAL, *SPECIAL]
    assert [name for name in names if f"`{name}`" not in text and f"{name}: " not in text] == []
    assert [words for words in KINDS if f"`{words} D`" not in text] == []


def test_the_example_in_the_documentation_is_a_claim() -> None:
    text = (CONF.parent / "docs" / "claims.md").read_text(encoding="utf-8")
    read(*yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["claims"])


def examples() -> list[tuple[str, dict[str, Any]]]:
    """The rows of "Which measure": their words, and the keys that they name."""
    text = (CONF.parent / "docs" / "claims.md").read_text(encoding="utf-8")
    table = text.split("## Which measure")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    found = []
    for words, measure, how in rows:
        of, *others = re.findall(r"`([^`]+)`(?! in `)", how)
        keys = yaml.safe_load("{" + ", ".join(each for each in others if ": " in each) + "}")
        found.append((words.strip(), {"measure": measure.strip(" `"), "of": of, **(keys or {})}))
    return found


@pytest.mark.parametrize(("words", "keys"), examples())
def test_every_example_of_a_measure_is_one(words: str, keys: dict[str, Any]) -> None:
    """Such as it stands in the table, with cells that it could be about."""
    measure, quantity = MEASURES[keys["measure"]], find_quantity(keys["of"], **only(keys))
    cells = {"norm": "batch", "pretraining": "rbm", "init": "normal"}
    against = {"norm": "none"} if {"against", "predicted", "with"}.isdisjoint(keys) else None
    expect = f"higher by 0.1 {measure.unit(quantity.unit)}".strip()
    written = {"cells": cells, "against": against, "expect": expect, **keys}
    written.pop("lr", None)
    read(
        {**claim(against=None), **{key: each for key, each in written.items() if each is not None}}
    )


def only(keys: dict[str, Any]) -> dict[str, Any]:
    """Those that belong to the quantity."""
    return {key: each for key, each in keys.items() if key in ("layer", "target")}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_the_claims_of_every_experiment_can_be_read(name: str) -> None:
    text = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    read(*(yaml.safe_load(text).get("claims") or []))
