"""Claims that are not those that were fixed before the study ran."""

from pathlib import Path
from typing import Any

import pytest

from study.analysis.claims import remarks
from study.analysis.frames import Frames
from tests.claim_studies import ask, claim
from tests.synthetic import make_study

FIRST, SECOND = claim(id="first"), claim(id="second")
EASIER = claim(id="first", expect="lower by 0.1 points")
EXPERIMENT = {"name": "mine", "commit": "c0ffee" * 6 + "0123", "sha256": "5" * 64, "text": ""}


def said(tmp_path: Path, *claims: Any, previous: Any = ()) -> list[str]:
    make_study(tmp_path / "s", {"norm": ["none", "batch"]})
    ask(tmp_path / "s", *claims, previous=list(previous), experiment=EXPERIMENT)
    return list(remarks(Frames.read(tmp_path / "s")))


def replaced(num_finished: int, *claims: Any) -> dict[str, Any]:
    return {"experiment": None, "cells": [], "claims": list(claims), "num_finished": num_finished}


def test_the_copy_says_where_it_is_from(tmp_path: Path) -> None:
    (line,) = said(tmp_path, FIRST)
    assert "conf/experiment/mine.yaml" in line
    assert "sha256 555555555555." in line


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"modified": False}, "at commit c0ffeec0ffee, sha256"),
        ({"modified": True}, "at commit c0ffeec0ffee with uncommitted changes, sha256"),
        ({}, "at commit c0ffeec0ffee (perhaps with uncommitted changes), sha256"),
        ({"commit": None, "modified": None}, "at no commit that is known, sha256"),
    ],
)
def test_the_copy_says_whether_it_was_committed(
    tmp_path: Path, known: dict[str, Any], words: str
) -> None:
    make_study(tmp_path / "s", {"norm": ["none", "batch"]})
    ask(tmp_path / "s", FIRST, experiment={**EXPERIMENT, **known})
    assert words in remarks(Frames.read(tmp_path / "s"))[0]


def test_a_study_without_claims_says_nothing(tmp_path: Path) -> None:
    assert said(tmp_path) == []


CHANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "unchanged": ([FIRST], [replaced(5, FIRST)]),
    "before anything was trained": ([EASIER], [replaced(0, FIRST)]),
    "an older ledger": ([FIRST], [{"experiment": None, "cells": []}]),
    "Warning: claim first was changed when 5 cells": ([EASIER], [replaced(5, FIRST)]),
    "Warning: claim second was added when 1 cell": ([FIRST, SECOND], [replaced(1, FIRST)]),
    "Warning: claim second was taken out when 2 cells": ([FIRST], [replaced(2, FIRST, SECOND)]),
    "Warning: claim first was changed when 3 cells": (
        [EASIER],
        [replaced(0, EASIER), replaced(3, FIRST), replaced(4, EASIER)],
    ),
    "Warning: claim second was taken out when 3 cells": (
        [FIRST],
        [replaced(3, FIRST), replaced(4, FIRST, SECOND)],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_after_the_first_cell_is_warned_of(tmp_path: Path, what: str) -> None:
    now, previous = CHANGES[what]
    _, *warnings = said(tmp_path, *now, previous=previous)
    assert len(warnings) == what.startswith("Warning")
    assert all(line.startswith(what) for line in warnings)


@pytest.mark.parametrize("previous", [["x"], [{"claims": ["x"], "num_finished": "5"}], [None]])
def test_a_strange_history_is_read_all_the_same(tmp_path: Path, previous: Any) -> None:
    assert len(said(tmp_path, FIRST, previous=previous)) == 1
