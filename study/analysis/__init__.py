"""What saved outputs say, as numbers: frames, pivots, tables, statistics, claims."""
