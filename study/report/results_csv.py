"""results.csv: every replica of a study on one line, for whatever else one wants to compute."""

from study.outputs.results import CELL_SECONDS
from study.outputs.sealed import METRIC_KEYS
from study.report.factors import level_text
from study.report.frames import Frames
from study.tasks import recorded_task

OF_REPLICA = ("seed", "lr", "status")


def results_csv(frames: Frames) -> str:
    """A line for each replica of every finished cell, in the ledger's order.

    Columns: the study, the cell's directory, each factor, the replica's seed, learning rate and
    status, whether it is the cell's chosen learning rate (1 or 0), its best epoch, losses and
    errors as recorded (the errors of a classification are shares), the cell's seconds and task.
    A number that is not finite, and a factor that a cell does not have, is empty.
    """
    import pandas

    factors = [factor for factor in frames.factors if factor != "study"]
    rows = []
    for cell in frames.finished:
        result = cell.result
        assert result is not None
        study = str(cell.factors.get("study", frames.name))
        levels = [level_text(cell.factors[f]) if f in cell.factors else "" for f in factors]
        tail = [*(result.get(name) for name in CELL_SECONDS), recorded_task(result)]
        for replica in result["replicas"]:
            chosen = int(replica["lr"] == result["chosen_lr"])
            middle = [replica[name] for name in OF_REPLICA]
            numbers = [replica.get("best_epoch"), *(replica[name] for name in METRIC_KEYS)]
            rows.append([study, cell.directory, *levels, *middle, chosen, *numbers, *tail])
    columns = ["study", "cell", *factors, *OF_REPLICA, "chosen", "best_epoch", *METRIC_KEYS]
    # As objects: a whole number in a column with gaps stays whole.
    table = pandas.DataFrame(rows, columns=[*columns, *CELL_SECONDS, "task"], dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))
