"""TensorBoard: what a cell writes for it, one run per cell, made to be read with a hundred."""

from study.tensorboard.curves import EpochCurves
from study.tensorboard.summary import write_summary
from study.tensorboard.writer import CellWriter, open_writer

__all__ = ["CellWriter", "EpochCurves", "open_writer", "write_summary"]
