"""The engine: groups of replicas, trained side by side on the threads of the machine."""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from study.data import Split
from study.data.batches import Run
from study.training.group import EpochSums, Evaluation, Group, State
from study.training.products import blas_threads
from study.training.settings import Replica

# Work that is shared out over the threads of the machine.


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
        with blas_threads(torch.get_num_threads()):
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
    gradients = torch.is_grad_enabled()
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu")
    share = max(1, threads // num_workers)

    def surrounded(item: Item) -> Result:
        # Each time: a thread that has computed nothing yet takes the number last set anywhere.
        torch.set_num_threads(share)
        with (
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", dtype=dtype, enabled=autocast, cache_enabled=False),
        ):
            return work(item)

    with blas_threads(share):
        futures = [_pool(num_workers).submit(surrounded, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:  # no worker is still at it, interrupted or not
            for future in futures:
                future.cancel()
            wait(futures)
            torch.set_num_threads(threads)


@functools.cache
def _pool(num_workers: int) -> ThreadPoolExecutor:
    """So many workers, kept: a run of updates may be short.

    To start a thread takes a millisecond while another computes.
    """
    return ThreadPoolExecutor(num_workers)


os.register_at_fork(after_in_child=_pool.cache_clear)


class Engine:
    """Trains every group of a population, a run of updates at a time.

    On a CPU the groups are shared out over `num_workers` threads with an equal part of PyTorch's
    threads each: small matrix products leave most of a second thread idle, a second replica does
    not. Groups that are too few for another round come last and share all threads. A group's
    result depends on the others by its number of threads alone, which changes rounding. `products`:
    the library that multiplies dense layers.
    """

    def __init__(
        self, groups: Sequence[Group], *, num_workers: int = 1, products: str = "torch"
    ) -> None:
        self.groups, self.products = list(groups), products
        self.num_workers = min(num_workers, len(self.groups))
        self.networks = nn.ModuleList(group.network for group in self.groups)
        self._places = [
            (group, index) for group in self.groups for index in range(len(group.replicas))
        ]

    @property
    def replicas(self) -> list[Replica]:
        """Every replica, in the order of all results."""
        return [group.replicas[index] for group, index in self._places]

    def start(self) -> None:
        """Makes the optimizers, once the networks are on their device."""
        for group in self.groups:
            group.start()

    @property
    def optimizers(self) -> list[Optimizer]:
        """One for each group, once it has started."""
        return [group.optimizer for group in self.groups]

    def train(self, run: Run, factors: Sequence[float]) -> None:
        """The next run of every replica; `factors` holds each update's learning-rate factor."""
        on_workers(lambda group: group.train(run, factors), self.groups, self.num_workers)

    def sums(self) -> EpochSums:
        """Of the epoch's runs so far."""
        sums = [group.sums() for group in self.groups]
        return EpochSums(
            torch.cat([each.loss for each in sums]),
            torch.cat([each.error for each in sums]),
            torch.cat([each.first_loss for each in sums]),
        )

    def evaluate(self, data: Split) -> Evaluation:
        """Every replica in evaluation mode over a whole split."""
        results = on_workers(lambda group: group.evaluate(data), self.groups, self.num_workers)
        return Evaluation(
            torch.cat([each.loss for each in results]),
            torch.cat([each.error for each in results]),
            torch.cat([each.predictions for each in results]),
        )

    def broken_symmetry(self, index: int) -> int | None:
        """The first layer, from 1, whose equal units rounding told apart in one replica."""
        group, place = self._places[index]
        return group.broken_symmetry(place)

    def snapshot(self, index: int) -> State:
        """A copy of the parameters and buffers of one replica, by the plain network's names."""
        group, place = self._places[index]
        return group.snapshot(place)

    def restore(self, index: int, state: State) -> None:
        """Puts a snapshot back."""
        group, place = self._places[index]
        group.restore(place, state)

    def training_state(self, index: int) -> State:
        """All that the next epoch of one replica depends on, as it is until then."""
        group, place = self._places[index]
        return group.training_state(place)

    def restore_training(self, states: Sequence[State]) -> None:
        """Takes up the training of every replica, in the order of `replicas`."""
        first = 0
        for group in self.groups:
            last = first + len(group.replicas)
            group.restore_training(states[first:last])
            first = last
