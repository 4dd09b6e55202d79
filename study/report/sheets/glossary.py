"""What the words and marks of a report mean."""

from study.report.frames import Frames
from study.report.metrics import METRICS, OF_TASK
from study.report.parts import Sheet
from study.tasks import recorded_task

TERMS = {
    "cell": "one combination of levels: one configuration, trained for every seed and learning "
    "rate",
    "replica": "one network of a cell: one seed at one learning rate",
    "chosen learning rate": "the one with the lowest validation error averaged over seeds; every "
    "number of a cell is taken there unless a table says otherwise",
    "95 % interval": "Student's t interval of the mean over seeds. It is conditional on one test "
    "set and one split: another split would move all cells, and on 10,000 test images an error of "
    "1.5 % has a standard error of 0.12 points by the choice of images alone",
    "paired": "two cells are compared seed by seed: a seed fixes the initial weights' draws and "
    "the order of batches, so what the two share cancels",
    "Welch's interval": "that of a difference as if the seeds did not pair the cells",
    "correlation": "of two cells over seeds; where it is positive, pairing shortens the interval",
    "p (Holm)": "p of a t test, corrected for all comparisons of its family (Holm 1979)",
    "distinguishable": "the 95 % t interval of the paired difference leaves 0 out (uncorrected)",
    "diverged": "the last epoch's training loss is not finite, or over 1,000 times that before "
    "training; such a cell shows a median and a count, and no interval",
    "interquartile mean": "mean of the middle half of the numbers",
    "bootstrap": "an interval from resampling; approximate below 20 values, where it is too short",
    "P(better)": "probability that a replica of one cell beats one of the other, ties half",
    "same within": "smallest margin within which two one-sided t tests (5 %) show two cells alike",
    "share of variance": "how much of the spread between cells a factor accounts for; an "
    "interaction is what two factors do together beyond what each does alone",
    "good region": "the learning rates whose validation error is near that of the best, in powers "
    "of ten (decades)",
    "time to target": "until the validation error first reaches the target; a replica that never "
    "does counts as infinite, and the median over seeds is given",
    "McNemar's test": "whether two networks err on different numbers of test images, looking at "
    "the images that one of them alone gets wrong; for one seed at a time, never pooled",
}


def glossary(frames: Frames) -> Sheet:
    """The terms, then the metrics as they are of the study's task."""
    tasks = {recorded_task(cell.result) for cell in frames.finished if cell.result}
    own = OF_TASK.get(tasks.pop(), {}) if len(tasks) == 1 else {}
    metrics = [(name, own.get(name, metric).help) for name, metric in METRICS.items()]
    return Sheet(
        name="glossary",
        title="Glossary",
        caption="What the words of this report mean.",
        columns=("term", "meaning"),
        rows=(*TERMS.items(), *metrics),
    )
