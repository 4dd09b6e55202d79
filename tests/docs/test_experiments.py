"""The headers of experiments and the table of all of them say what running them took and told."""

import functools
from pathlib import Path

from docs.lecture import experiments
from docs.lecture.experiments import Run, outcomes, published_run
from docs.lecture.findings import NOT_RUN, Finding, stated_claims
from tests import claim_studies, synthetic

RUN = Run("4 of 5", 1560, "1 thread, AMD EPYC")
FILE = """\
# @package _global_
# it: does it help?
#
# Time: about 10 min of training on 2 cores,
# one of which was busy.
# Expected: it helps.
# Result: 1 supported.
study: it
# Time: not of the header
"""


def finding(name: str, outcome: str) -> Finding:
    return Finding("it", name, outcome, "It helps.", "lecture", "", "test error", "lower by 2")


def test_a_header_gets_the_measured_time_and_the_result_and_keeps_the_rest() -> None:
    told = [finding("a", "supported"), finding("b", "refuted"), finding("c", NOT_RUN)]
    text = experiments.with_run(FILE, RUN, told)
    assert text.splitlines() == [
        "# @package _global_",
        "# it: does it help?",
        "#",
        "# Time: 26 min of training, summed over cells (1 thread, AMD EPYC).",
        "# Expected: it helps.",
        "# Result: 1 supported; refuted: b.",
        "study: it",
        "# Time: not of the header",
    ]
    assert experiments.with_run(text, RUN, told) == text


def test_a_study_without_claims_has_no_result() -> None:
    assert "Result" not in experiments.with_run(FILE, RUN, [])


def test_what_did_not_come_out_as_expected_is_named() -> None:
    told = [("a", "supported"), ("b", "undecided"), ("c", "refuted"), ("d", "supported")]
    assert outcomes([finding(*each) for each in told]) == "2 supported; refuted: c; undecided: b"
    assert outcomes([finding("a", "not decidable")]) == "not decidable: a"


def test_a_run_adds_up_its_cells(tmp_path: Path) -> None:
    first, *others = synthetic.make_study(tmp_path / "it", claim_studies.LEVELS, seeds=2)
    times = {"wall_seconds": 60.0, "pretraining_seconds": 40.0}
    synthetic.change_result(first, lambda result: result.update(times))
    for cell in others:
        synthetic.change_result(cell, lambda result: result.update(dict.fromkeys(times, 0)))
    (others[0] / "result.json").unlink()
    run = published_run("it", tmp_path)
    assert run is not None
    assert (run.cells, run.seconds) == ("3 of 4", 100.0)
    assert published_run("another", tmp_path) is None


def test_only_files_of_published_studies_are_stale(tmp_path: Path) -> None:
    for name in ("it", "another"):
        (tmp_path / f"{name}.yaml").write_text(FILE, encoding="utf-8")
    synthetic.make_study(tmp_path / "published/it", claim_studies.LEVELS, seeds=2)
    stale = functools.partial(
        experiments.stale_headers, {}, experiments=tmp_path, published=tmp_path / "published"
    )
    assert stale(write=False) == ["it.yaml"]
    assert (tmp_path / "it.yaml").read_text(encoding="utf-8") == FILE
    assert stale(write=True) == ["it.yaml"]
    assert stale(write=False) == []
    assert (tmp_path / "another.yaml").read_text(encoding="utf-8") == FILE


def test_headers_and_the_table_are_made_for_every_file() -> None:
    table = experiments.overview()
    assert all(f"[`{name}`](../conf/experiment/{name}.yaml)" in table for name in stated_claims())
