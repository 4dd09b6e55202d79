"""What a study leaves on disk, and whether it is whole. Imports nothing heavy."""

from study.outputs.records import (
    CellRecord,
    Ledger,
    LedgerCell,
    frame,
    read_cells,
    read_ledger,
    stale_directories,
)
from study.outputs.schema import check_seal, seal
from study.outputs.series import probe_frame

__all__ = [
    "CellRecord",
    "Ledger",
    "LedgerCell",
    "check_seal",
    "frame",
    "probe_frame",
    "read_cells",
    "read_ledger",
    "seal",
    "stale_directories",
]
