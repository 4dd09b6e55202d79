"""docs/published.md: every paper's section has what differs, its numbers and its claims."""

import pytest

from docs.lecture import papers
from docs.lecture.experiments import paragraph
from docs.lecture.findings import EXPERIMENTS
from study.errors import InputError


@pytest.mark.parametrize("study", papers.papers())
def test_every_paper_is_named_and_says_what_differs_from_its_protocol(study: str) -> None:
    text = papers.section(study)
    assert papers.paper_of(text.splitlines()[0].removeprefix("## "))
    assert f"](../conf/experiment/{study}.yaml). {papers.DIFFERS}: " in text
    header = (EXPERIMENTS / f"{study}.yaml").read_text(encoding="utf-8")
    assert "\n# Published size" in header


def test_a_published_table_stands_beside_ours() -> None:
    text = papers.section("paper_glorot10")
    assert "| cifar10, mlp, tanh, xavier_uniform | 52.92 | tanh / xavier_uniform | " in text
    assert "Hinton" not in text, "another paper's numbers have another section"


def test_a_title_without_a_year_names_no_paper() -> None:
    with pytest.raises(InputError, match="begin with its authors and year"):
        papers.paper_of("does it help?")


def test_a_paragraph_ends_where_the_next_begins() -> None:
    header = "# it: why?\n#\n# Time: 1 min,\n# or two.\n# Expected: more.\nstudy: it\n"
    assert paragraph(header, "Time") == "Time: 1 min, or two."
    assert paragraph(header, "Result") == ""
