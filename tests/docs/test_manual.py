"""docs/configuration.md and docs/metrics.md have every key, metric, probe and quantity."""

import re
from pathlib import Path

import pytest

from docs import manual, quoted
from study.config.configuration import level_defaults, levels
from study.config.keys import GROUPS, KEYS
from study.errors import InputError
from study.outputs.metrics import METRICS, PROBES, QUANTITIES, ROW

PRINTERS = {"study keys": manual.printed_keys, "study metrics": manual.printed_metrics}
DOCS = Path(__file__).parents[2] / "docs"
FIRST = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


@pytest.mark.parametrize("name", ["configuration.md", "metrics.md", "probes.md"])
def test_the_page_is_what_the_code_gives(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert quoted.refreshed(text, PRINTERS) == text, "stale: run `make published`"


def test_every_key_has_a_line() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert sorted(FIRST.findall(text)) == sorted(KEYS)


def test_every_metric_probe_and_quantity_has_a_line() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    assert FIRST.findall(text) == [*METRICS, *PROBES, *QUANTITIES]


def test_every_metric_probe_and_quantity_says_what_it_is_and_by_what_formula() -> None:
    for row in (*METRICS.values(), *PROBES.values(), *QUANTITIES.values()):
        assert row.label and row.help and row.formula, row.name  # noqa: PT018
        assert row.name not in ROW


def test_every_section_of_keys_is_shown() -> None:
    assert {manual.section_of(name) for name in KEYS} == set(manual.SECTIONS)


@pytest.mark.parametrize("group", GROUPS)
def test_the_default_of_a_level_is_that_of_its_file(group: str) -> None:
    for level in levels(group):
        for name, value in level_defaults(group, level).items():
            if name != "name":
                told = manual.default_of(f"{group}.{name}")
                only = f"`{manual.shown(value)}`"
                assert told == only or re.search(rf"{re.escape(only)} \([^)]*\b{level}\b", told)


@pytest.mark.parametrize("printer", [manual.printed_keys, manual.printed_metrics])
def test_an_unknown_table_is_refused(printer: quoted.Printer) -> None:
    with pytest.raises(InputError, match="unknown .* 'nothing'"):
        printer(["nothing"])
