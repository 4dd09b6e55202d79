"""Several processes launched together on one study."""

import signal
from collections.abc import Iterator, Sequence

from faults.kills import forget_images
from faults.launches import STALE_SECONDS, Launch
from faults.moments import Plan
from faults.workshop import CROWD, Row, Study, Workshop

NUM_PROCESSES = 4


def crowds(
    workshop: Workshop, *, processes: int = NUM_PROCESSES, small: bool = False
) -> Iterator[Row]:
    """All of them live; then one is killed in the middle of its work."""
    axes = workshop.axes if small else CROWD
    reference = workshop.reference(axes)
    cells = len(reference.study.cells)
    row, study = Row(f"{processes} processes, {cells} cells"), workshop.study(axes)
    together = _together(study, processes)
    _check(row, study, together)
    row.struck, row.result = processes, f"{_shares(together)} cells, each trained once"
    yield row
    row = Row(f"{processes} processes, one killed")
    while not row.struck:
        study = workshop.study(axes)
        together = _together(study, processes)
        victim = workshop.draw.choice(together)
        victim.says("watch:")
        victim.wait(workshop.draw.uniform(0.0, 0.5 * reference.seconds))
        victim.send(signal.SIGKILL)
        row.struck = int(victim.end() == -signal.SIGKILL)
        _check(row, study, [each for each in together if each is not victim or not row.struck])
    row.result = f"the others finish: {_shares(together)} cells"
    yield row


def sleepers(
    workshop: Workshop, *, number: int, woken: Sequence[str] = ("in the middle", "after the end")
) -> Iterator[Row]:
    """Two hosts on a disk without locks; the first is stopped at a change of the disk for too long.

    It wakes up while the second is at work, or when that is done.
    """
    for when in woken:
        row, dropped = Row(f"stopped for longer than others wait, woken {when}"), 0
        while row.struck < number:
            study = workshop.study()
            forget_images(workshop)
            moment = workshop.draw.randint(1, workshop.reference().moments)
            sleeper = study.launch(Plan("stop", moment), host="first")
            if not sleeper.stops():
                continue
            row.struck += 1
            other = study.launch(host="second")
            seconds = workshop.draw.uniform(
                STALE_SECONDS, STALE_SECONDS + workshop.reference().seconds
            )
            other.wait(*([seconds] if when == "in the middle" else []))
            sleeper.send(signal.SIGCONT)
            _check(row, study, [sleeper, other])
            dropped += sleeper.output.count(" is dropped")
        row.result = f"it drops what it was at ({dropped} times), and goes on"
        yield row


def _together(study: Study, processes: int) -> list[Launch]:
    return [study.launch() for _ in range(processes)]


def _check(row: Row, study: Study, together: Sequence[Launch]) -> None:
    for running in together:
        status, said = running.end(), running.output
        row.expect(status == 0, f"{running.log}: exit status {status}: {said}")
        row.expect("Traceback" not in said, f"{running.log}: it printed a traceback")
    study.check_finished(row)
    row.expect(
        all(count == 1 for count in study.tally.counts().values()),
        f"{study.log}: {study.tally.counts()}",
    )


def _shares(together: Sequence[Launch]) -> str:
    """How many cells each process trained, by what it printed."""
    return " + ".join(str(each.output.count("test error")) for each in together)
