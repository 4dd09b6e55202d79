"""What holds for every test: one thread a process, and examples that are the same in every run.

Also for every test: Hydra, which takes 60 ms for a configuration, composes each once a process, and
its files are parsed once. And a folder of small images, which a file of tests shares.
"""

import gc
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
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


def pytest_collection_finish() -> None:
    """What the tests import stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images to train on in a moment."""
    from tests import tiny

    return tiny.folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True, scope="session")
def composed_once() -> Iterator[None]:
    """Words that were composed before, of the project's own files, are not composed again."""
    from study.config import compose

    known: dict[tuple[str, ...], bytes] = {}
    hydras, own = compose.compose_raw, compose.CONF

    def once(overrides: Sequence[str]) -> compose.Raw:
        words = tuple(overrides)
        in_use = compose.added or compose.folders()
        if own != compose.CONF or in_use or "${" in str(words):
            return hydras(words)
        if words not in known:
            known[words] = pickle.dumps(hydras(words))
        raw: compose.Raw = pickle.loads(known[words])
        return raw

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "compose_raw", once)
        yield


@pytest.fixture(autouse=True, scope="session")
def parsed_once() -> Iterator[None]:
    """A file of the project's configuration, or of Hydra's own, is parsed at its first composition.

    No test writes there. Parsing takes a third of what Hydra takes.
    """
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins

    from study.config.configuration import CONF

    known: dict[tuple[str, str], bytes] = {}

    def once(parse: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def load_config(self: Any, config_path: str) -> Any:
            where = (self.full_path(), config_path)
            if where[0] != f"file://{CONF}" and not where[0].startswith("pkg://"):
                return parse(self, config_path)
            if where not in known:
                known[where] = pickle.dumps(parse(self, config_path))
            return pickle.loads(known[where])

        return load_config

    Plugins.instance()  # registers the kinds of sources
    with pytest.MonkeyPatch.context() as patch:
        for scheme in ("file", "pkg"):
            source = SourcesRegistry.instance().resolve(scheme)
            patch.setattr(source, "load_config", once(source.load_config))
        yield
