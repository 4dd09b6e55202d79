"""What holds for every test: one thread a process, and examples that are the same in every run.

Also for every test: Hydra, which takes 60 ms for a configuration, composes each once a process.
And a folder of small images, which a file of tests shares.
"""

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported anywhere

import pytest
from hypothesis import settings

settings.register_profile("study", deadline=None, derandomize=True)
settings.load_profile("study")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders with the longest files come first: else one process waits for the other."""
    items.sort(key=lambda item: item.path.parent.name not in ("laws", "docs"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images to train on in a moment."""
    from tests import tiny

    return tiny.folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True, scope="session")
def composed_once() -> Iterator[None]:
    """Words that were composed before, of the project's own files, are not composed again."""
    from study.config import compose

    known: dict[tuple[str, ...], Any] = {}
    hydras, own = compose.compose_raw, compose.CONF

    def once(overrides: Sequence[str]) -> compose.Raw:
        words = tuple(overrides)
        in_use = compose.added or compose.folders()
        if own != compose.CONF or in_use or "${" in str(words):
            return hydras(words)
        if words not in known:
            known[words] = hydras(words)
        raw = known[words]
        return replace(raw, plain=copy.deepcopy(raw.plain), choices=dict(raw.choices))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "compose_raw", once)
        yield
