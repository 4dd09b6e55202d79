"""What differs between two machines is a line each, and what may then differ in numbers."""

from typing import Any

import pytest

from study.launch.reproduce.comparable import ABSENT, Difference
from study.launch.reproduce.comparison import DOUBLE, SINGLE, kind_of
from study.launch.reproduce.reproduce import differing_provenance

THEN = {
    "processor": "A", "gpu": None, "device": "cpu", "threads": 2, "python": "3.11.7",
    "packages": {"torch": "2.14.1"}, "git_commit": "a" * 40, "git_diff_sha256": None,
    "packing": [6, 6], "resumed": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"processor": "B"}, "processor: A then, B here"),
        ({"gpu": "H"}, "GPU: not recorded then, H here"),
        ({"device": "cuda:0"}, "device: cpu then, cuda:0 here"),
        ({"threads": 1}, "threads: 2 then, 1 here"),
        ({"python": "3.12.0"}, "python: 3.11.7 then, 3.12.0 here"),
        ({"packages": {"torch": "2.14.2"}}, "torch: 2.14.1 then, 2.14.2 here"),
        ({"git_commit": None}, "commit: aaaaaaaaaa then, not recorded here"),
        ({"git_diff_sha256": "0"}, "working tree: a clean tree then, uncommitted changes here"),
        ({"packing": [12]}, "packing: groups of [6, 6] then, of [12] here"),
    ],
)
def test_each_difference_of_provenance_is_a_line(change: dict[str, Any], words: str) -> None:
    assert differing_provenance(THEN, THEN) == []
    assert differing_provenance(THEN, THEN | change) == [words]


def test_a_resume_elsewhere_is_a_difference_and_one_alike_is_none() -> None:
    alike = {"epoch": 2, "threads": 2, "packing": [6, 6], "torch": "2.14.1"}
    assert differing_provenance(THEN | {"resumed": [alike]}, THEN) == []
    (line,) = differing_provenance(THEN | {"resumed": [alike | {"threads": 1}]}, THEN)
    assert line == "resumed then: up to epoch 2 it had threads 1"
    part = alike | {"packing": [6]}
    assert differing_provenance(THEN | {"resumed": [part]}, THEN) == []


def test_what_the_tolerance_judges() -> None:
    loss = ("replicas", "seed=0,lr=0.1", "val_loss")
    curve = ("curves", "seed=0,lr=0.1", "epoch 1", "val_loss")
    assert SINGLE.allows(Difference(loss, 1.0, 1.14))
    assert not SINGLE.allows(Difference(loss, 1.0, 1.2))
    assert not SINGLE.allows(Difference(loss, 1.0, None))
    assert SINGLE.allows(Difference(curve, 1.0, 2.0))
    assert not DOUBLE.allows(Difference(curve, 1.0, 1.0001))
    assert not SINGLE.allows(Difference(("record", "chosen_lr"), 0.1, 0.2))
    assert not SINGLE.allows(Difference(("replicas", "a", "status"), "trained", "diverged"))
    assert not DOUBLE.allows(Difference(("curves", "a"), [1], ABSENT))
    assert kind_of(("record", "references", "pca", "test_error")) == "errors"
