"""Events of results that were never trained, as TensorBoard reads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from study.config.configuration import Config
from study.data import Data
from study.outputs.results import TrainedReplica
from study.tensorboard.summary import write_summary
from study.tensorboard.writer import open_writer
from tests import tiny

GUIDANCE = {"scalars": 0, "tensors": 0, "histograms": 0}
FACTORS = {"activation": "relu", "batch_size": 128, "data": "mnist", "extra": "true"}


def written(
    directory: Path,
    results: Sequence[TrainedReplica],
    data: Data,
    config: Config | None = None,
    factors: dict[str, Any] = FACTORS,
) -> EventAccumulator:
    """What TensorBoard's own reader finds of these results."""
    directory.mkdir(parents=True, exist_ok=True)
    with open_writer(directory) as writer:
        write_summary(writer, results, config=config or tiny.config(), factors=factors, data=data)
    return EventAccumulator(str(directory), size_guidance=GUIDANCE).Reload()
