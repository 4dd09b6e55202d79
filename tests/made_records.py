"""What a made-up record says of where it comes from; light, for processes that start often."""

from typing import Any

from study.config.configuration import RECIPE

PROVENANCE: dict[str, Any] = {
    **dict.fromkeys(("git_commit", "git_diff_sha256", "gpu", "alone", "slurm_job")),
    **dict.fromkeys(("command", "data_fingerprint", "platform", "processor"), ""),
    "packages": {},
    "python": "3.11.7",
    "recipe": RECIPE,
    "device": "cpu",
    "threads": 2,
    "engine": "stacked",
    "packing": [],
    "populations": [],
    "resumed": [],
}
