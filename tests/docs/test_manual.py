"""docs/configuration.md and docs/metrics.md have every key, metric, probe and quantity."""

import re
from pathlib import Path

import pytest

from docs import manual as keys
from docs import manual as metrics
from docs import quoted
from study.analysis.claims.quantities import OWN
from study.config.configuration import level_defaults, levels
from study.config.keys import GROUPS, KEYS
from study.errors import InputError
from study.outputs import metrics as formulas
from study.outputs.metrics import METRICS, PROBES

PRINTERS = {**keys.PRINTERS, **metrics.METRIC_PRINTERS}
DOCS = Path(__file__).parents[2] / "docs"
FIRST = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


@pytest.mark.parametrize("name", ["configuration.md", "metrics.md"])
def test_the_page_is_what_the_code_gives(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert quoted.refreshed(text, PRINTERS) == text, "stale: run `make published`"


def test_every_key_has_a_line() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert sorted(FIRST.findall(text)) == sorted(KEYS)


def test_every_metric_probe_and_quantity_has_a_line() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    assert FIRST.findall(text) == [*METRICS, *PROBES, *OWN]


def test_every_metric_probe_and_quantity_has_a_formula_and_no_other_name_has_one() -> None:
    """A new one needs its formula in study/outputs/metrics.py."""
    assert formulas.METRIC_FORMULAS.keys() == METRICS.keys()
    assert formulas.PROBE_FORMULAS.keys() == PROBES.keys()
    assert set(formulas.QUANTITIES) == set(OWN)
    every = {**formulas.METRIC_FORMULAS, **formulas.PROBE_FORMULAS, **formulas.QUANTITIES}
    assert all(formula for formula, _ in every.values())


def test_every_section_of_keys_is_shown() -> None:
    assert {keys.section_of(name) for name in KEYS} == set(keys.SECTIONS)


@pytest.mark.parametrize("group", GROUPS)
def test_the_default_of_a_level_is_that_of_its_file(group: str) -> None:
    for level in levels(group):
        for name, value in level_defaults(group, level).items():
            if name != "name":
                told = keys.default_of(f"{group}.{name}")
                only = f"`{keys.shown(value)}`"
                assert told == only or re.search(rf"{re.escape(only)} \([^)]*\b{level}\b", told)


@pytest.mark.parametrize("printer", [keys.printed, metrics.printed_metrics])
def test_an_unknown_table_is_refused(printer: quoted.Printer) -> None:
    with pytest.raises(InputError, match="unknown .* 'nothing'"):
        printer(["nothing"])
