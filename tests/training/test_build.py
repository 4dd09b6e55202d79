"""The rule that says which replicas are trained as one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from study.training import Replica
from study.training.build import STACK_BYTES, pack, workers

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
ENGINES = ("auto", "stacked", "sequential")
DENSE = nn.Linear(9, 10)
CONVOLUTION = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(9, 10))


def replicas_of(num: int) -> list[Replica]:
    return [Replica(index // 3, 0.1 * (index % 3 + 1)) for index in range(num)]


def sizes(
    num: int,
    network: nn.Module = DENSE,
    device: torch.device = CPU,
    *,
    engine: str = "auto",
    num_workers: int = 1,
) -> list[int]:
    groups = pack(replicas_of(num), network, device, engine=engine, num_workers=num_workers)
    return [len(group) for group in groups]


def weighing(num_bytes: int) -> nn.Module:
    """A dense network of that many bytes of float32 parameters."""
    with torch.device("meta"):
        return nn.Linear(num_bytes // 4, 1, bias=False)


@given(
    st.integers(1, 60),
    st.integers(1, 9),
    st.sampled_from(ENGINES),
    st.sampled_from([CPU, CUDA]),
    st.sampled_from([4, STACK_BYTES // 40 * 4, STACK_BYTES // 4 * 4, 10 * STACK_BYTES]),
)
def test_every_replica_is_in_one_group_and_groups_are_even_and_ordered(
    num: int, num_workers: int, engine: str, device: torch.device, num_bytes: int
) -> None:
    replicas = replicas_of(num)
    groups = pack(replicas, weighing(num_bytes), device, engine=engine, num_workers=num_workers)
    packed = [replica for group in groups for replica in group]
    assert sorted(packed) == sorted(replicas)
    rates = [replica.lr for replica in packed]
    assert packed == replicas or rates == sorted(rates)
    lengths = [len(group) for group in groups]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert min(num, num_workers) <= len(groups) <= num


@given(st.integers(1, 60), st.integers(1, 9))
def test_the_engine_that_is_asked_for_is_taken(num: int, num_workers: int) -> None:
    for network in (DENSE, CONVOLUTION, weighing(10 * STACK_BYTES)):
        for device in (CPU, CUDA):
            few = sizes(num, network, device, engine="stacked", num_workers=num_workers)
            assert len(few) == min(num, num_workers)
            alone = sizes(num, network, device, engine="sequential", num_workers=num_workers)
            assert alone == [1] * num


def test_auto_leaves_convolutions_alone_on_a_cpu_and_stacks_all_on_a_gpu() -> None:
    assert sizes(6, CONVOLUTION) == [1] * 6
    assert sizes(6, CONVOLUTION, CUDA) == [6]
    assert sizes(6, weighing(10 * STACK_BYTES), CUDA) == [6]


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_auto_stacks_dense_networks_while_they_stay_below_the_limit(most: int) -> None:
    fits = STACK_BYTES // most // 4 * 4
    assert most * fits <= STACK_BYTES < (most + 1) * fits
    for network, largest in ((weighing(fits), most), (weighing(fits + 4), max(1, most - 1))):
        for num in range(1, 20):
            groups = sizes(num, network)
            assert len(groups) == math.ceil(num / largest)
            assert max(groups) <= largest


def test_a_network_too_large_for_any_stack_is_trained_alone() -> None:
    assert sizes(5, weighing(STACK_BYTES + 4)) == [1] * 5
    assert sizes(5, weighing(100 * STACK_BYTES), num_workers=3) == [1] * 5


def test_double_precision_counts_twice() -> None:
    network = weighing(STACK_BYTES // 4)
    assert sizes(8, network) == [4, 4]
    assert sizes(8, network.double()) == [2] * 4


def test_no_worker_is_left_without_a_group() -> None:
    assert sizes(6, num_workers=1) == [6]
    assert sizes(6, num_workers=2) == [3, 3]
    assert sizes(7, num_workers=4) == [1, 2, 2, 2]
    assert sizes(2, num_workers=4) == [1, 1]


def test_no_worker_waits_for_another_while_replicas_are_enough() -> None:
    assert sizes(12, weighing(STACK_BYTES // 20 * 4), num_workers=2) == [3] * 4
    assert sizes(5, weighing(STACK_BYTES // 8 * 4), num_workers=2) == [1, 1, 1, 2]
    assert sizes(3, weighing(STACK_BYTES // 8 * 4), num_workers=2) == [1, 2]


def test_a_cpu_has_a_worker_a_thread_and_a_gpu_one() -> None:
    assert [workers(CPU, threads) for threads in (1, 2, 64)] == [1, 2, 64]
    assert workers(CUDA, 64) == 1
