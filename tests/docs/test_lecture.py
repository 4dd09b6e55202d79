"""The lecture's claims: every claim of a study decides one, and pages are current."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.lecture import pages
from docs.lecture.entries import (
    LECTURE,
    PUBLISHED,
    ROOT,
    Entry,
    Lecture,
    inconsistencies,
    read_lecture,
)
from docs.lecture.findings import (
    NOT_RUN,
    Finding,
    findings,
    published_findings,
    stated_claims,
    tally,
)
from study.analysis.claims import decide
from study.analysis.frames import Frames
from study.errors import InputError
from tests import claim_studies, synthetic

CLAIM = claim_studies.CLAIM
ENTRY = Entry(
    1, "batchnorm-helps", "BatchNorm helps", "It helps.", "lecture", decided_by=(("s", "better"),)
)


def finding(outcome: str, study: str = "s", **changes: Any) -> Finding:
    told = Finding(
        study, "better", outcome, "It | helps.", "lecture", "", "test error", "lower by 2"
    )
    return replace(told, **changes)


def written(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def entry_of(**changes: Any) -> dict[str, Any]:
    usual = {"number": 1, "name": "a-b", "title": "A", "statement": "B", "source": "lecture"}
    return {**usual, **changes}


def test_the_lecture_has_31_claims_and_the_studies_state_what_it_names() -> None:
    lecture = read_lecture()
    assert len(lecture.entries) == 31
    assert inconsistencies(lecture, stated_claims()) == []


def test_the_pages_are_what_the_published_outputs_give() -> None:
    made = pages.documents(read_lecture(), published_findings())
    assert pages.stale_pages(made, write=False) == [], "stale: run `make published`"


def test_the_readme_has_the_list_of_verdicts() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert pages.verdict_list(read_lecture(), published_findings()) in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"number": 2}, "entry 1 has the number 2"),
        ({"nmae": "x"}, "unknown key 'nmae'"),
        ({"title": ""}, "entry 1 has no title"),
        ({"name": "A B"}, "'A B' is no short name"),
        ({"decided_by": ["quickstart"]}, "write `- STUDY: CLAIM`"),
        ({"readings": [1]}, "readings takes a text"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = written(tmp_path / "lecture.yaml", {"claims": [entry_of(**changes)]})
    with pytest.raises(InputError, match=says):
        read_lecture(path)


def test_names_are_distinct(tmp_path: Path) -> None:
    path = written(tmp_path / "lecture.yaml", {"claims": [entry_of(), entry_of(number=2)]})
    with pytest.raises(InputError, match="two entries are called a-b"):
        read_lecture(path)


def test_pairs_keep_the_order_of_the_file(tmp_path: Path) -> None:
    decided = [{"one": ["b", "a"]}, {"two": "c"}]
    path = written(tmp_path / "lecture.yaml", {"claims": [entry_of(decided_by=decided)]})
    assert read_lecture(path).pairs == (("one", "b"), ("one", "a"), ("two", "c"))


@pytest.mark.parametrize(
    ("entry", "stated", "says"),
    [
        (ENTRY, {}, "no conf/experiment/s.yaml"),
        (ENTRY, {"s": {}}, "states no claim better"),
        (ENTRY, {"s": {"better": CLAIM, "worse": CLAIM}}, "the claim worse stands in no entry"),
        (replace(ENTRY, decided_by=()), {}, "nothing decides it"),
        (replace(ENTRY, exercises=("none",)), {"s": {"better": CLAIM}}, "no page none.md"),
        (replace(ENTRY, planned=("s",)), {"s": {"better": CLAIM}}, "s is planned no more"),
    ],
)
def test_what_only_one_side_names_is_said(
    entry: Entry, stated: dict[str, Any], says: str, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    (line,) = inconsistencies(Lecture((entry,)), stated, published=tmp_path)
    assert says in line


def test_only_claims_of_published_studies_must_stand_somewhere(tmp_path: Path) -> None:
    stated = {"s": {"better": CLAIM, "worse": CLAIM}}
    said = functools.partial(inconsistencies, Lecture((ENTRY,)), stated, published=tmp_path)
    assert said() == []
    (tmp_path / "s").mkdir()
    (line,) = said()
    assert "conf/experiment/s.yaml: the claim worse stands in no entry" in line


def test_further_claims_may_decide_nothing_of_the_lecture() -> None:
    stated = {"s": {"better": CLAIM, "worse": CLAIM}}
    lecture = Lecture((ENTRY,), (("s", "worse"),))
    assert inconsistencies(lecture, stated) == []


def test_a_published_study_is_decided_and_another_one_not_run_yet(tmp_path: Path) -> None:
    synthetic.make_study(tmp_path / "s", claim_studies.LEVELS, seeds=3)
    stated = {"s": {"better": CLAIM}, "other": {"better": CLAIM}}
    found = findings(stated, tmp_path)
    assert found["other", "better"].outcome == NOT_RUN
    assert found["other", "better"].expected == "lower by 2 points"
    assert found["s", "better"].outcome == NOT_RUN, "its ledger has no claims"


def test_verdicts_are_those_of_the_report() -> None:
    found = findings(stated_claims())
    (*verdicts,) = decide(Frames.read(PUBLISHED / "quickstart"))
    assert verdicts
    for verdict in verdicts:
        known = found["quickstart", verdict.id]
        assert (known.outcome, known.statement) == (verdict.outcome, verdict.statement)
        assert known.effect.startswith(f"{verdict.estimate:.4g}")
        assert known.reason == verdict.reason, "its file is as it was when it ran"


def test_every_outcome_is_shown_alike() -> None:
    shown = {}
    for outcome in ("supported", "refuted", "undecided"):
        text = pages.page(ENTRY, {("s", "better"): finding(outcome)})
        assert f"**Verdict: {outcome}.**" in text
        shown[outcome] = text.replace(outcome, "")
    assert len(set(shown.values())) == 1


def test_a_page_has_the_numbers_and_what_they_hang_on() -> None:
    known = finding(
        "undecided", effect="3 points", bounds="[-1, 7]", p="0.2", num_seeds=5, reason="too few"
    )
    text = pages.page(replace(ENTRY, found=("It was looked into.",)), {("s", "better"): known})
    for word in ("3 points", "[-1, 7]", "lower by 2", "0.2", "| 5 |", "too few", "looked into"):
        assert word in text
    assert "study train experiment=s" in text


def test_what_is_planned_counts_as_not_run_yet() -> None:
    known = {("s", "better"): finding("supported")}
    assert pages.verdict_of(ENTRY, known) == "supported"
    some = replace(ENTRY, planned=("t",))
    assert pages.verdict_of(some, known) == "1 supported, 1 not run yet"
    none = replace(ENTRY, decided_by=(), exercises=("x",))
    assert pages.verdict_of(none, known) == pages.BY_MATHEMATICS


def test_a_claim_that_decides_two_of_the_lecture_counts_once() -> None:
    known = {("s", "better"): finding("supported"), ("t", "better"): finding("refuted", "t")}
    second = replace(ENTRY, number=2, name="b", decided_by=(("s", "better"), ("t", "better")))
    told = pages.counts(Lecture((ENTRY, second)), known)
    assert told.startswith("Decided so far: 1 supported, 1 refuted (")


def test_a_tally_names_one_outcome_once() -> None:
    assert tally(["refuted", "refuted"]) == "refuted"
    assert tally(["undecided", "supported"]) == "1 supported, 1 undecided"


def test_a_cell_of_a_table_has_no_columns_of_its_own() -> None:
    text = pages.index(Lecture((), ()), {("s", "better"): finding("supported")})
    assert "It \\| helps." in text


def test_files_that_are_no_page_any_more_go(tmp_path: Path) -> None:
    for name in ("old.md", "kept.md", "stale.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    files = {"kept.md": "kept.md", "stale.md": "new", "absent.md": "new"}
    stale = [tmp_path / name for name in ("stale.md", "absent.md", "old.md")]
    assert pages.stale_pages(files, tmp_path, write=False) == stale
    assert pages.stale_pages(files, tmp_path, write=True) == stale
    assert pages.stale_pages(files, tmp_path, write=False) == []
    assert not (tmp_path / "old.md").exists()


def test_the_entries_stand_where_the_pages_say() -> None:
    assert LECTURE.relative_to(ROOT).as_posix() in pages.MADE
