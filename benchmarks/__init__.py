"""Measurements of speed: `python -m benchmarks` makes benchmarks/results/*.csv."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
