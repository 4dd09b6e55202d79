"""The forms of result.json and study.json, and what makes a result sound."""

import re
from typing import Any

from study.outputs.form import (
    LEVEL,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    TEXT,
    TRUTH,
    Each,
    Either,
    Fields,
    Form,
    Named,
    OrNull,
    Value,
    check_form,
    one_of,
    whole,
)
from study.outputs.sealed import METRIC_KEYS, check_schema, require_seal
from study.tasks import CLASSIFICATION, RECONSTRUCTION

_FILE = Value("name of a file", lambda name: bool(re.fullmatch(r"\w[^/\\]*", name)))
_DIGEST = Value(
    "sha256", lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))
)
_PACKING = Either(whole(1), Each(whole(1)))
"""The sizes of the groups that were trained as one; the first records have a single number."""
_RESUME: dict[str, Form] = {
    "epoch": whole(0),
    **dict.fromkeys(("git_commit", "git_diff_sha256", "torch", "processor", "gpu"), OrNull(TEXT)),
    "device": TEXT,
    "threads": whole(1),
    "packing": _PACKING,
}
_PROVENANCE: dict[str, Form] = {
    **dict.fromkeys(("command", "data_fingerprint", "device", "engine"), TEXT),
    **dict.fromkeys(
        (
            *("git_commit", "git_diff_sha256", "gpu", "platform", "processor", "processor_model"),
            *("python", "slurm_job", "signature", "alone"),
        ),
        OrNull(TEXT),
    ),
    "levels": Named(Either(whole(1), TEXT)),
    "packages": Named(OrNull(TEXT)),
    "packing": _PACKING,
    "populations": Each(Each(Each(TEXT))),
    "recipe": whole(0),
    "resumed": Each(Fields(optional=_RESUME)),
    "threads": whole(1),
}
_LOSSES = {key: OrNull(NUMBER) for key in METRIC_KEYS if key.endswith("_loss")}
_ERRORS = {key: OrNull(NOT_NEGATIVE) for key in METRIC_KEYS if key.endswith("_error")}
_REPLICA = Fields(
    {
        "seed": whole(0),
        "lr": POSITIVE,
        "status": one_of("trained", "diverged"),
        **_LOSSES,
        **_ERRORS,
    },
    {
        "best_epoch": OrNull(whole(0)),
        "symmetry_broken": whole(1),
        "weights_sha256": TEXT,
        "best_weights_sha256": TEXT,
        "copied_from": Fields({"signature": TEXT}, _PROVENANCE),
    },
)
_CODE_ERRORS = {"train_error": NOT_NEGATIVE, "test_error": NOT_NEGATIVE}
_REFERENCES: dict[str, Form] = {
    "pca": Fields({"components": whole(0), **_CODE_ERRORS}),
    "mean_image": Fields(_CODE_ERRORS),
    "ridge": Fields({"penalty": NUMBER, "train_loss": NUMBER, "test_loss": NUMBER, **_CODE_ERRORS}),
}
_LAYERS = Each(OrNull(NUMBER))


_MOMENT = Fields({"step": whole(0)}, others=_LAYERS)
RESULT = Fields(
    {
        "status": one_of("done"),
        "factors": Named(LEVEL),
        "files": Named(_DIGEST, name=_FILE),
        "provenance": Fields(optional=_PROVENANCE),
        "replicas": Each(_REPLICA),
        "chosen_lr": POSITIVE,
    },
    {
        "chosen_lr_at_edge": OrNull(Either(one_of("lowest", "highest"), TRUTH)),
        "family": TEXT,
        "pretraining": Fields(
            optional={
                "signature": TEXT,
                "sha256": Named(TEXT),
                "weights_sha256": Named(TEXT),
            }
        ),
        "pretraining_seconds": NOT_NEGATIVE,
        "pretraining_updates": whole(0),
        "probes": Fields(optional={"start": _MOMENT, "end": _MOMENT}),
        "references": Fields(optional=_REFERENCES),
        "task": one_of(CLASSIFICATION, RECONSTRUCTION),
        "wall_seconds": OrNull(NOT_NEGATIVE),
    },
)
"""result.json, but for `schema`, `signature` and `sha256`; keys that came later are optional."""
_EXPERIMENT = OrNull(
    Fields(
        optional={
            **dict.fromkeys(("name", "text", "sha256", "commit"), OrNull(TEXT)),
            "modified": OrNull(TRUTH),
        }
    )
)
_LISTED = Fields(
    {"directory": TEXT, "signature": TEXT, "factors": Named(LEVEL)},
    {"family": TEXT, "seeds": Each(whole(0))},
)
LEDGER = Fields(
    {"cells": Each(_LISTED)},
    {
        "experiment": _EXPERIMENT,
        "claims": OrNull(Each()),
        "study": TEXT,
        "threads": OrNull(whole(1)),
        "previous": OrNull(Each()),
    },
)
"""study.json, but for `schema` and `sha256`; its claims and their history are read by others."""


def check_result(result: dict[str, Any], signature: str) -> None:
    """ValueError unless `result` is a whole, unaltered result.json of the cell `signature`.

    One with a valid seal that was made by hand is checked as well: whoever reads a record may rely
    on RESULT.
    """
    check_schema(result)
    if result.get("signature") != signature:
        raise ValueError("its signature is not the one study.json expects, so it is foreign")
    require_seal(result)
    if result.get("status") != "done" or not result.get("replicas"):
        raise ValueError("it has no finished replicas")
    check_form(result, RESULT)
    replicas = result["replicas"]
    if len({(replica["seed"], replica["lr"]) for replica in replicas}) < len(replicas):
        raise ValueError("two of its replicas have the same seed and learning rate")
    if result["chosen_lr"] not in [replica["lr"] for replica in replicas]:
        raise ValueError("no replica has its chosen_lr")
    references = result.get("references", {})
    if ("pca" in references) != ("mean_image" in references):
        raise ValueError("its references have one of pca and mean_image without the other")
