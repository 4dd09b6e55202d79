"""What docs/configuration.md and docs/metrics.md list: every key, every metric, every probe."""
