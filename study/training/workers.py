"""Work that is shared out over the threads of the machine."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_workers(
    work: Callable[[Item], Result], items: Sequence[Item], num_workers: int
) -> list[Result]:
    """`work` done on every item; the results in the order of the items.

    Each of `num_workers` threads has an equal part of PyTorch's own, and the gradient and autocast
    modes of the caller. Items too few for another round come last and share all threads.
    """
    num_workers = min(num_workers, len(items))
    if num_workers <= 1:
        return [work(item) for item in items]
    left = len(items) % num_workers
    full = len(items) - left
    return [
        *_side_by_side(work, items[:full], num_workers),
        *_side_by_side(work, items[full:], left),
    ]


def _side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], num_workers: int
) -> list[Result]:
    """`work` done on the items by that many workers, each with its share of the threads."""
    if not items:
        return []
    threads = torch.get_num_threads()
    share = max(1, threads // num_workers)
    gradients = torch.is_grad_enabled()
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu")

    def begin() -> None:
        torch.set_num_threads(share)

    def surrounded(item: Item) -> Result:
        with (
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", dtype=dtype, enabled=autocast, cache_enabled=False),
        ):
            return work(item)

    try:
        with ThreadPoolExecutor(num_workers, initializer=begin) as pool:
            return list(pool.map(surrounded, items))
    finally:
        torch.set_num_threads(threads)
