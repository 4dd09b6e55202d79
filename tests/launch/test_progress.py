"""What a sweep prints while it runs."""

import errno
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from study.launch.progress import SweepProgress, error_text, packing_text
from study.outputs.results import Provenance, Result
from study.outputs.schema import reader
from tests.fabricated import entry
from tests.made_records import PROVENANCE
from tests.synthetic import make_result

if TYPE_CHECKING:
    from study.config.sweep import Cell


def provenance(packing: list[int], threads: int = 2) -> Provenance:
    engine = "stacked" if max(packing) > 1 else "sequential"
    told = {"packing": packing, "threads": threads, "engine": engine}
    made: Provenance = reader(Provenance)(PROVENANCE | told)
    return made


@pytest.mark.parametrize(
    ("packing", "words"),
    [
        ([6, 6], "engine stacked (population.engine=auto): 2 stacks of 6 replicas, on 2 threads"),
        ([1, 1, 1], "engine sequential (population.engine=auto): 3 alone, on 2 threads"),
        ([2, 3, 1], "1 stack of 3 replicas and 1 stack of 2 replicas and 1 alone, on 2 threads"),
    ],
)
def test_the_packing_is_said_in_words(packing: list[int], words: str) -> None:
    assert words in packing_text("auto", provenance(packing))


def record(*errors: float | None, **keys: Any) -> Result:
    """A cell's; a replica whose error is 0.902, a guess's, or None has diverged."""
    replicas = [
        entry(seed, 0.1, error, status="diverged" if error in (0.902, None) else "trained")
        for seed, error in enumerate(errors)
    ]
    other = entry(0, 1.0, 9.0, status="diverged")
    content = make_result({"signature": "a" * 64, "factors": {}}, 1, [0.1])
    result: Result = reader(Result)(content | {"probes": {}} | keys)
    return replace(result, replicas=(*replicas, other), chosen_lr=0.1)


def test_an_error_is_said_as_its_task_has_it() -> None:
    assert error_text(record(0.01, 0.02)) == "test error 1.50 %"
    assert error_text(record(13.0, 14.74, task="reconstruction")) == "squared error 13.87"


def test_of_replicas_that_diverged_the_median_is_said_and_how_many_they_are() -> None:
    found = error_text(record(0.01, 0.03, 0.902))
    assert found == "1 of 3 diverged, median test error 3.00 %"
    assert error_text(record(0.902)) == "1 of 1 diverged, median test error 90.20 %"
    lost = "1 of 2 diverged, median squared error not finite"
    assert error_text(record(13.0, None, task="reconstruction")) == lost


class SmallCell:
    replica_epochs = 4


def test_the_bar_counts_what_others_finished_and_takes_back_what_was_lost() -> None:
    progress, any_cell = SweepProgress(3, 12), cast("Cell", SmallCell())
    (task,) = progress.bar.tasks
    progress.passed(any_cell)
    assert (progress.started, task.completed) == (1, 4)
    with suppress(KeyError), progress.cell(any_cell) as tick:
        tick(3)
        assert task.completed == 7
        raise KeyError
    assert (progress.started, task.completed) == (1, 4)
    with progress.cell(any_cell):
        assert task.description == "cell 2/3"
    assert (progress.started, task.completed) == (2, 8)


@pytest.mark.parametrize(("number", "raised"), [(errno.ENOSPC, False), (errno.EPIPE, True)])
def test_a_full_disk_under_what_is_printed_stops_nothing(
    number: int, raised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    progress = SweepProgress(1, 1)
    monkeypatch.setattr(progress.console, "print", refuse)
    with pytest.raises(OSError, match="no") if raised else nullcontext():
        progress.say("a line")
