"""A GPU of its own for each job that shares a machine with other jobs."""

import contextlib
import getpass
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from study.outputs.kernel_lock import KernelLock
from study.trainer import device_of

POLL_SECONDS = 1.0


@contextlib.contextmanager
def own_gpu(accelerator: str, say: Callable[[str], None]) -> Iterator[None]:
    """A block that trains on a GPU which no other job of this user's is training on.

    The GPU becomes the process's current one, which `device_of` names. A job takes the one that
    its process had before, else the first that is free; while all are taken it waits, and `say` is
    told so once. Nothing is chosen where `accelerator` does not lead to CUDA, nor where the process
    sees a single GPU: that is what Slurm, Ray or CUDA_VISIBLE_DEVICES gave it.
    """
    if device_of(accelerator).type != "cuda" or torch.cuda.device_count() < 2:
        yield
        return
    number, lock = _awaited(say)
    try:
        torch.cuda.set_device(number)
        yield
    finally:
        lock.remove()
        lock.release()


def _awaited(say: Callable[[str], None]) -> tuple[int, KernelLock]:
    """A free GPU, by its number in this process, and the lock that says it is taken."""
    current, count = torch.cuda.current_device(), torch.cuda.device_count()
    order = [current, *(number for number in range(count) if number != current)]
    said = False
    while True:
        for number in order:
            lock = KernelLock(_lock_path(number))
            if lock.acquire():
                return number, lock
        if not said:
            say(f"waiting for a GPU: other jobs have all {count}")
            said = True
        time.sleep(POLL_SECONDS)


def _lock_path(number: int) -> Path:
    """The lock of a GPU, named by the hardware: processes may number GPUs differently."""
    folder = Path(tempfile.gettempdir()) / f"study-gpus-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    return folder / f"{torch.cuda.get_device_properties(number).uuid}.lock"
