"""What README and docs/ quote: `python -m docs` writes it, `--check` says what is stale."""
