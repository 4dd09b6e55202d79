"""SIGKILL at random moments, some of them inside a write; Ctrl-C and SIGTERM."""

import signal
from collections.abc import Iterator

from faults.moments import Plan
from faults.workshop import Row, Study, Workshop

SHARE_BY_MOMENT = 0.6
"""So many of the kills come at a change of the disk, the others at any time."""
REACH = 0.25
"""A launch lives at most for this share of what the whole study takes."""
STOPPED = 130


def kills(workshop: Workshop, *, number: int) -> Iterator[Row]:
    """Kills launches of one study after the other, each until it is finished for all that."""
    row, studies, longest = Row("SIGKILL at random, some in a write"), 0, 0
    while row.struck < number:
        study, studies = workshop.study(), studies + 1
        forget_images(workshop)
        struck = _killed_until_finished(study, row, number - row.struck)
        longest, row.struck = max(longest, struck), row.struck + struck
        study.check_finished(row)
        study.check_report(row)
    row.result = f"{studies} studies finished, one after {longest} kills; no cell lost or twice"
    yield row


def forget_images(workshop: Workshop) -> None:
    """Removes the cache of the images, so that the next launch makes it."""
    (workshop.images / ".study-tensors.safetensors").unlink(missing_ok=True)


def _killed_until_finished(study: Study, row: Row, most: int) -> int:
    """Launches a study until it is finished, and kills the first so many; how many were."""
    struck, finished = 0, study.finished()
    while True:
        plan, seconds = _fate(study.workshop) if struck < most else (Plan(), None)
        running = study.launch(plan)
        if seconds is not None and running.wait(seconds) is None:
            running.send(signal.SIGKILL)
        status = running.end()
        finished = study.check_unfinished(row, finished)
        if status != -signal.SIGKILL:
            row.expect(status == 0, f"{study.log}: exit status {status}")
            return struck
        struck += 1


def _fate(workshop: Workshop) -> tuple[Plan, float | None]:
    """When a launch is killed: at a change of the disk, or after so many seconds."""
    reference, draw = workshop.reference(), workshop.draw
    if draw.random() < SHARE_BY_MOMENT:
        return Plan("kill", draw.randint(1, max(1, int(REACH * reference.moments)))), None
    return Plan(), draw.uniform(0.01, REACH * reference.seconds)


def interrupts(workshop: Workshop, *, number: int) -> Iterator[Row]:
    """Ctrl-C and SIGTERM at random times, then to the end."""
    for name in ("SIGINT", "SIGTERM"):
        row, study = Row(f"{name} while it trains"), workshop.study()
        while row.struck < number:
            if not _interrupted(study, row, signal.Signals[name], number):
                study = workshop.study()
        row.expect(study.launch().end() == 0, f"{study.log}: it does not go on")
        study.check_finished(row)
        row.result = f"status {STOPPED}, nothing owned any more, finished afterwards"
        yield row


def _interrupted(study: Study, row: Row, sent: signal.Signals, number: int) -> bool:
    """Launches a study and sends it a signal; False if it had ended before."""
    before, running = study.finished(), study.launch()
    running.says("watch:")
    running.wait(study.workshop.draw.uniform(0.0, study.workshop.reference().seconds / number / 2))
    running.send(sent)
    status = running.end()
    study.check_unfinished(row, before)
    if status == 0:
        return False
    row.struck += 1
    row.expect(status == STOPPED, f"{study.log}: exit status {status}: {running.output}")
    row.expect("goes on from here" in running.output, f"{study.log}: {running.output}")
    left = [path.name for path in study.directory.rglob("owner.json")]
    row.expect(not left, f"{study.log}: an owner is left after {sent.name}")
    return True
