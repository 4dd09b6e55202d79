"""docs/tutorial.md, followed: what it adds is added, and what it runs runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import quoted
from docs.__main__ import PRINTERS
from docs.code import blocks, commands
from study.config.level_source import OWN
from tests.page_edits import EDIT, TINY, Copy, copied

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
RUN = [line for block in blocks(TEXT) if block.language == "bash" for line in commands(block)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    with copied(tmp_path_factory.mktemp("tree"), TEXT) as copy:
        yield copy


def shown_after(command: str) -> str:
    """The text block that the page shows below a command."""
    (found,) = re.findall(
        rf"^```bash\n{re.escape(command)}\n```\n\n```text\n(.*?)^```$",
        TEXT,
        re.MULTILINE | re.DOTALL,
    )
    return str(found)


def own(line: list[str]) -> bool:
    """Whether a command is about the reader's own studies."""
    return "quickstart" not in " ".join(line) and line[0] in ("train", "table", "report")


def test_it_quotes_the_tables_that_the_published_outputs_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert len(quoted.quotations("study table").findall(TEXT)) == 2
    assert quoted.refreshed(TEXT, PRINTERS) == TEXT, "stale: run `make published`"


def test_the_activation_is_added_and_described_as_shown(copy: Copy) -> None:
    described = copy.study("activations", "arctan", "tanh", "--no-timing")
    assert shown_after("study activations arctan tanh --no-timing") in described
    told = copy.study("train", "activation=arctn", status=2)
    beginning, _, names = shown_after("study train activation=arctn").partition("choose from: ")
    assert told.splitlines()[-1].startswith(beginning)
    now = told.splitlines()[-1].partition("choose from: ")[2].split(", ")
    assert [
        name for name in now if name in {"arctan", *OWN["activation.name"]}
    ] == names.strip().split(", ")
    copy.run("-m", "ruff", "check", "--no-cache", "study")
    copy.run("-m", "ruff", "format", "--no-cache", "--check", "study")


def test_every_command_runs_in_its_order(copy: Copy) -> None:
    steps = [line for line in RUN if own(line) and line != ["train", "activation=arctn"]]
    assert [line[0] for line in steps] == ["train", "table", "table", "train", "report"]
    for line in steps:
        dry = "--dry-run" in line
        smaller = TINY if line[0] == "train" else ()
        named = ["study=arctan"] if "experiment=arctan" in line else []
        printed = copy.study(*line, *smaller, *named)
        if dry:
            assert "6 cells, 6 to train; nothing is written" in printed
            words = [word for word in line if word != "--dry-run"]
            copy.study(*words, *TINY)
        if line[0] == "table":
            assert re.search(
                r"^\| norm / activation \| +arctan \| +tanh \| +relu \|", printed, re.M
            )
    assert re.search(r"^claims: .*(supported|refuted|undecided)", printed, re.MULTILINE)


def test_the_claims_and_their_verdicts_are_those_of_its_file() -> None:
    (file,) = [edit["block"] for edit in EDIT.finditer(TEXT) if "experiment" in (edit["new"] or "")]
    ids = re.findall(r"^  - id: (\S+)$", file, re.MULTILINE)
    verdicts = re.findall(r"^\| (\S+) \| supported \|", TEXT, re.MULTILINE)
    assert ids == verdicts
    assert f"claims: {len(verdicts)} supported" in TEXT


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
