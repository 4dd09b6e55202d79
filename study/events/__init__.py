"""TensorBoard: what a cell writes for it, one run per cell, made to be read with a hundred."""

from study.events.curves import EpochCurves
from study.events.summary import write_summary
from study.events.writer import CellWriter, open_writer

__all__ = ["CellWriter", "EpochCurves", "open_writer", "write_summary"]
