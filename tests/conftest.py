"""What holds for every test: one thread a process, and examples that are the same in every run."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported anywhere

from hypothesis import settings

settings.register_profile("study", deadline=None, derandomize=True)
settings.load_profile("study")
