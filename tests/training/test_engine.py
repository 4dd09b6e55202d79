"""The engine: groups side by side, none the wiser."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.data import Split
from study.data.batches import Run
from study.training import Engine, Evaluation, Population, Replica, State
from study.training.group import EpochSums
from tests import tiny

STACKED = ("population.engine=stacked", "seeds=3", "optimizer.lr=[0.02,0.05]")
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mlp": ("mlp", ("model.dropout=0.3", "input_noise=0.2")),
    "norm": ("mlp", ("norm=batch", "norm.noise=0.5", "activation=prelu")),
    "batch": ("mlp", ("norm=batch", "norm.evaluation=batch", "optimizer=adamw")),
    "cnn": ("cnn", ("model.channels=[[3],[4]]", "model.head=[5]", "data.flip=true")),
    "bf16": ("mlp", ("trainer.precision=bf16-mixed", "norm=batch")),
    "float32": ("mlp", ("trainer.precision=32-true", "activation=maxout")),
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    """Sets PyTorch's number of threads, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Fake:
    """A group of one replica that runs `work` in place of training."""

    def __init__(self, seed: int, work: Callable[[], object] = lambda: None) -> None:
        self.replicas = [Replica(seed, 0.1)]
        self.network: nn.Module = nn.Linear(1, 1)
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        self.work = work

    def start(self) -> None:
        pass

    def train(self, run: Run, factors: Sequence[float]) -> None:
        self.work()

    def sums(self) -> EpochSums:
        value = torch.tensor([float(self.replicas[0].seed)])
        return EpochSums(value, value + 100, value + 200)

    def evaluate(self, data: Split) -> Evaluation:
        self.work()
        value = torch.tensor([float(self.replicas[0].seed)])
        return Evaluation(value, value + 100, value.long().unsqueeze(1))

    def broken_symmetry(self, index: int) -> int | None:
        return None

    def snapshot(self, index: int) -> State:
        return {"seed": torch.tensor([self.replicas[0].seed])}

    def restore(self, index: int, state: State) -> None:
        self.network.load_state_dict(state)

    def training_state(self, index: int) -> State:
        return self.snapshot(index)

    def restore_training(self, states: Sequence[State]) -> None:
        self.restore(0, states[0])


SPLIT = Split(torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64))


def run_epoch(engine: Engine) -> EpochSums:
    indices = torch.zeros(1, 1, dtype=torch.int64)
    engine.train(Run(SPLIT, 0, {0: indices}, 0, 1), [1.0])
    return engine.sums()


def trained(
    kind: str, *overrides: str, replicas: Sequence[Replica] | None = None, one_worker: bool = False
) -> Population:
    """A population of this kind, trained and tested; by one worker on one thread if so asked."""
    model, own = KINDS[kind]
    config = tiny.config(*STACKED, *own, *overrides, model=model)
    population = tiny.build(config, replicas=replicas)
    if one_worker:
        torch.set_num_threads(1)
        population.engine.num_workers = 1
    tiny.test(tiny.fit(population, config), population, config)
    return population


def numbers(population: Population) -> dict[Replica, Any]:
    """What each replica has become, to the last bit."""
    results = {}
    for index, replica in enumerate(population.engine.replicas):
        curve = [row | {"seconds": 0} for row in population.progress[index].curve]
        last = {name: each.loss[index] for name, each in population.evaluations["last"].items()}
        predictions = population.evaluations["best"]["test"].predictions[index].tolist()
        state = population.last_state(index)
        weights = {name: value.numpy().tobytes() for name, value in state.items()}
        results[replica] = (str(curve), str(last), predictions, weights)
    return results


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_workers_changes_no_bit(kind: str, threads: Callable[[int], None]) -> None:
    threads(2)
    two = trained(kind)
    one = trained(kind, one_worker=True)
    for population in (one, two):
        assert [len(group.replicas) for group in population.engine.groups] == [3, 3]
    assert (one.engine.num_workers, two.engine.num_workers) == (1, 2)
    assert numbers(one) == numbers(two)


@pytest.mark.parametrize("kind", KINDS)
def test_the_groups_beside_a_group_change_no_bit_of_it(
    kind: str, threads: Callable[[int], None]
) -> None:
    threads(2)
    together = trained(kind)
    parts = [group.replicas for group in together.engine.groups]
    threads(1)
    apart = [numbers(trained(kind, replicas=sorted(part))) for part in parts]
    assert [len(part) for part in apart] == [3, 3]
    assert apart[0] | apart[1] == numbers(together)


def test_a_stacked_population_is_the_sequential_one(threads: Callable[[int], None]) -> None:
    for num_threads in (1, 2):
        threads(num_threads)
        for kind in ("mlp", "norm", "batch", "cnn"):
            rates = ("optimizer.lr=[0.001,0.002]", "trainer.max_epochs=4")
            stacked = trained(kind, *rates)
            alone = trained(kind, *rates, "population.engine=sequential")
            assert max(len(group.replicas) for group in stacked.engine.groups) > 1
            assert all(len(group.replicas) == 1 for group in alone.engine.groups)
            assert_alike(stacked, alone)


def assert_alike(first: Population, second: Population) -> None:
    """Whether two populations in float64 came to the same, in whatever order."""
    places = {replica: index for index, replica in enumerate(second.engine.replicas)}
    assert set(first.engine.replicas) == set(places)
    for index, replica in enumerate(first.engine.replicas):
        other = places[replica]
        expected = second.last_state(other)
        for name, value in first.last_state(index).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-8, atol=1e-10)
        mine, own = first.progress[index], second.progress[other]
        assert mine.best_epoch == own.best_epoch
        for row, expected_row in zip(mine.curve, own.curve, strict=True):
            rows = (dict(each, seconds=0) for each in (row, expected_row))
            assert next(rows) == pytest.approx(next(rows), rel=1e-9, nan_ok=True)
        for when, splits in first.evaluations.items():
            for name, result in splits.items():
                reference = second.evaluations[when][name]
                assert float(result.loss[index]) == pytest.approx(
                    float(reference.loss[other]), rel=1e-9
                )
                assert torch.equal(result.predictions[index], reference.predictions[other])


def test_results_come_in_the_order_of_the_replicas(threads: Callable[[int], None]) -> None:
    threads(3)
    engine = Engine([Fake(seed) for seed in range(7)], num_workers=3)
    assert [replica.seed for replica in engine.replicas] == list(range(7))
    sums, evaluation = run_epoch(engine), engine.evaluate(SPLIT)
    assert sums.loss.tolist() == evaluation.loss.tolist() == list(range(7))
    assert sums.error.tolist() == evaluation.error.tolist() == list(range(100, 107))
    assert sums.first_loss.tolist() == list(range(200, 207))
    assert evaluation.predictions.tolist() == [[seed] for seed in range(7)]
    assert [int(engine.snapshot(index)["seed"]) for index in range(7)] == list(range(7))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_snapshot_is_put_back_into_its_own_replica(
    num_workers: int, threads: Callable[[int], None]
) -> None:
    threads(num_workers)
    config = tiny.config(*STACKED)
    population = tiny.build(config)
    engine = population.engine
    engine.start()
    for epoch in range(2):
        tiny.train_epoch(engine, tiny.data_of(population).train, epoch=epoch, factors=[1.0] * 4)
    states = [engine.snapshot(index) for index in range(6)]
    zeros = {name: torch.zeros_like(value) for name, value in states[0].items()}
    for changed in range(6):
        engine.restore(changed, zeros)
        for index in range(6):
            expected = zeros if index == changed else states[index]
            assert tiny.equal(engine.snapshot(index), expected)
        engine.restore(changed, states[changed])


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_failure_of_a_group_reaches_the_caller(
    num_workers: int, threads: Callable[[int], None]
) -> None:
    threads(3)

    def fail() -> None:
        raise RuntimeError("group 1 broke")

    groups = [Fake(0), Fake(1, fail), Fake(2)]
    engine = Engine(groups, num_workers=num_workers)
    with pytest.raises(RuntimeError, match="group 1 broke"):
        run_epoch(engine)
    with pytest.raises(RuntimeError, match="group 1 broke"):
        engine.evaluate(SPLIT)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("num_threads", "num_workers", "shares"),
    [
        (4, 4, [1, 1, 1, 1]),
        (4, 2, [2, 2, 2, 2, 4]),
        (5, 2, [2, 2]),
        (1, 2, [1, 1, 1]),
        (4, 4, [2, 2]),
        (6, 4, [1, 1, 1, 1, 3, 3]),
        (3, 1, [3, 3, 3]),
    ],
)
def test_workers_share_the_threads_and_give_them_back(
    threads: Callable[[int], None], num_threads: int, num_workers: int, shares: list[int]
) -> None:
    threads(num_threads)
    seen: list[int] = []
    groups = [
        Fake(seed, lambda: seen.append(torch.get_num_threads())) for seed in range(len(shares))
    ]
    run_epoch(Engine(groups, num_workers=num_workers))
    assert seen == shares
    assert torch.get_num_threads() == num_threads
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen[-1] == num_threads


def test_as_many_groups_as_workers_are_trained_at_once(threads: Callable[[int], None]) -> None:
    threads(3)
    meeting = threading.Barrier(3, timeout=60)
    run_epoch(Engine([Fake(seed, meeting.wait) for seed in range(3)], num_workers=3))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_workers_take_over_the_callers_modes(
    threads: Callable[[int], None], gradients: bool, dtype: torch.dtype | None
) -> None:
    threads(2)
    seen: list[tuple[object, ...]] = []

    def look() -> None:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        autocast = torch.is_autocast_enabled("cpu")
        seen.append((torch.is_grad_enabled(), autocast, product.dtype))

    engine = Engine([Fake(0, look), Fake(1, look)], num_workers=2)
    with (
        torch.set_grad_enabled(gradients),
        torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        run_epoch(engine)
    assert seen == [(gradients, dtype is not None, dtype or torch.float32)] * 2


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    ("engine", "backend"), [("stacked", "inductor"), ("sequential", "aot_eager")]
)
def test_a_compiled_population_is_the_plain_one(
    engine: str, backend: str, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor takes ten seconds; that plain modules are compiled is seen without it."""
    threads(1)
    calls: list[nn.Module] = []
    compiler = torch.compile

    def counting(network: nn.Module) -> Callable[[Tensor], Tensor]:
        fast = compiler(network, backend=backend)

        def counted(inputs: Tensor) -> Any:
            calls.append(network)
            return fast(inputs)

        return counted

    monkeypatch.setattr(torch, "compile", counting)
    short = (f"population.engine={engine}", "trainer.max_epochs=1", "norm=batch", "seeds=2")
    compiled = trained("mlp", *short, "population.compile=true")
    assert calls
    assert_alike(compiled, trained("mlp", *short))
