"""What holds for every test: one thread a process, and examples that are the same in every run.

And a folder of small images, which a file of tests shares.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported anywhere


settings.register_profile("study", deadline=None, derandomize=True)
settings.load_profile("study")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images to train on in a moment."""
    from tests import tiny

    return tiny.folder(tmp_path_factory.mktemp("images"))
