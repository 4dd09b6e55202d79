"""Products by NumPy's BLAS: against PyTorch's, their gradients, their bits, and the rule."""

from collections.abc import Iterator, Sized
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from study.config.configuration import Config
from study.errors import InputError
from study.networks import build_network
from study.training import products
from study.training.build import build_population, check_network, replicas_of
from study.training.products import NumpyLinear, blas, blas_threads, dense, described, library_of
from tests import tiny

SIZES = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 5), st.integers(1, 4), st.integers(1, 4)
)
"""Seeds, rates, examples (none too), inputs, outputs (one too)."""
CPU = torch.device("cpu")
ALONE: list[Sized] = [["a"], ["b"]]
STACK: list[Sized] = [["a", "b"]]
SINGLE = "trainer.precision=32-true"


@pytest.fixture
def one_thread() -> Iterator[None]:
    with blas_threads(1):
        yield


def layer(
    seeds: int, rates: int, num: int, fan_in: int, fan_out: int, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """Inputs, weights and biases, the same for the same sizes."""
    generator = torch.Generator().manual_seed(0)
    shapes = (seeds, num, fan_in), (seeds * rates, fan_in, fan_out), (seeds * rates, fan_out)
    drawn = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return [each.requires_grad_() for each in drawn]


def by_torch(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    outputs = x.repeat(len(weight) // len(x), 1, 1) @ weight
    return outputs if bias is None else outputs + bias.unsqueeze(1)


def gradients(function: Any, given: list[Tensor], how: Any) -> tuple[Tensor, ...]:
    outputs = function(*given)
    return torch.autograd.grad(how(outputs).sum(), given)


@given(SIZES)
def test_it_is_pytorchs_within_rounding(sizes: tuple[int, int, int, int, int]) -> None:
    given = layer(*sizes)
    torch.testing.assert_close(dense(*given), by_torch(*given))
    x, weight, _ = given
    torch.testing.assert_close(dense(x, weight, None), by_torch(x, weight, None))
    # The gradient comes in its own layout, spread from one number, and transposed.
    for how in (torch.square, torch.relu, lambda z: z, lambda z: z.transpose(0, 1).exp()):
        theirs = gradients(by_torch, given, how)
        torch.testing.assert_close(gradients(dense, given, how), theirs)


@given(SIZES)
def test_it_takes_what_a_batch_norm_leaves(sizes: tuple[int, int, int, int, int]) -> None:
    """[K, N, F] that lies in memory as [N, K F]."""
    seeds, rates, num, fan_in, fan_out = sizes
    x, weight, bias = layer(seeds * rates, 1, num, fan_in, fan_out)
    other = x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    torch.testing.assert_close(dense(other, weight, bias), by_torch(x, weight, bias))


@pytest.mark.parametrize("sizes", [(2, 2, 3, 2, 2), (1, 1, 2, 3, 1), (1, 3, 1, 1, 2)])
def test_its_gradients_are_those_of_differences(sizes: tuple[int, int, int, int, int]) -> None:
    assert torch.autograd.gradcheck(dense, tuple(layer(*sizes)))


def test_what_overflows_is_infinite_without_a_word() -> None:
    huge = torch.full((1, 2, 3), 1e38)
    assert torch.equal(
        dense(huge, huge.transpose(1, 2).contiguous(), None), huge.new_full((1, 2, 2), torch.inf)
    )


@pytest.mark.parametrize("fan_out", [1, 7, 10, 32, 100])
def test_a_replicas_bits_depend_on_no_other(fan_out: int, one_thread: None) -> None:
    """At one thread: each replica's products are calls of their own."""
    x, weight, bias = layer(2, 3, 128, 33, fan_out, torch.float32)
    together = gradients(dense, [x, weight, bias], torch.tanh)[1:]
    for index in range(6):
        own = [x[[index % 2]], weight[[index]], bias[[index]]]
        own = [each.detach().requires_grad_() for each in own]
        apart = gradients(dense, own, torch.tanh)[1:]
        for both, one in zip(together, apart, strict=True):
            assert torch.equal(both[index], one[0])


def test_a_plain_layer_is_the_one_of_pytorch() -> None:
    plain = nn.Linear(5, 3, dtype=torch.float64)
    other = nn.Linear(5, 3, dtype=torch.float64)
    other.load_state_dict(plain.state_dict())
    other.__class__ = NumpyLinear
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(other(x), plain(x))
    for each in (plain, other):
        each(x).square().sum().backward()
    torch.testing.assert_close(other.weight.grad, plain.weight.grad)
    torch.testing.assert_close(other.bias.grad, plain.bias.grad)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert other.float()(x.float()).dtype == torch.bfloat16


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_cells_train_alike_by_both(engine: str, norm: str) -> None:
    own = (f"norm={norm}", f"population.engine={engine}", "optimizer.lr=[0.01,0.05]", "seeds=2")
    trained = [
        tiny.train(tiny.config(*own, "trainer.precision=64-true", f"population.products={library}"))
        for library in ("torch", "numpy")
    ]
    assert [each.engine.products for each in trained] == ["torch", "numpy"]
    for index in range(4):
        states = [each.last_state(index) for each in trained]
        torch.testing.assert_close(*states, rtol=1e-9, atol=1e-12)
        curves = [each.progress[index].curve[-1]["val_loss"] for each in trained]
        assert curves[0] == pytest.approx(curves[1], rel=1e-9)


def test_every_dense_layer_of_a_stack_and_of_a_plain_network_is_numpys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []
    multiply = products._multiply

    def count(*given: Tensor) -> None:
        called.append(1)
        multiply(*given)

    monkeypatch.setattr(products, "_multiply", count)
    own = ("population.products=numpy", "model.widths=[4,4]", "seeds=2")
    for engine, networks in (("stacked", 1), ("sequential", 2)):
        config = tiny.config(*own, f"population.engine={engine}")
        made = build_population(config, tiny.data(), replicas_of(config)).engine
        called.clear()
        made.evaluate(tiny.data().val)
        assert len(called) == 3 * networks


# The rule.


def machine(monkeypatch: pytest.MonkeyPatch, kernel: str, processor: str, family: int) -> None:
    about = {"processor": processor, "processor_model": f"family {family}, model 1, stepping 0"}
    monkeypatch.setattr(products, "code_and_machine", lambda: about)
    monkeypatch.setattr(products, "blas", lambda: {"architecture": kernel})


def chosen(config: Config, groups: list[Sized], device: torch.device = CPU) -> str:
    network = build_network(config.network, (1, 28, 28), 10)
    return library_of(config, device, network, groups)


@pytest.mark.parametrize(
    ("kernel", "processor", "family", "stack", "alone", "small"),
    [
        ("SkylakeX", "AMD EPYC 9A14", 25, "numpy", "torch", "torch"),
        ("Cooperlake", "AMD EPYC 9655", 26, "numpy", "numpy", "torch"),
        ("Haswell", "AMD EPYC 9655", 26, "torch", "torch", "torch"),
        ("Zen", "AMD EPYC 7763", 25, "torch", "torch", "torch"),
        ("SkylakeX", "Intel(R) Xeon(R)", 6, "torch", "torch", "torch"),
    ],
)
def test_the_rule_reads_processor_library_and_groups(
    monkeypatch: pytest.MonkeyPatch,
    kernel: str,
    processor: str,
    family: int,
    stack: str,
    alone: str,
    small: str,
) -> None:
    machine(monkeypatch, kernel, processor, family)
    large = tiny.config("model.widths=[128,128]", SINGLE)
    assert chosen(large, STACK) == stack
    assert chosen(large, ALONE) == alone
    assert chosen(tiny.config("model.widths=[8]", SINGLE), ALONE) == small


def test_where_numpy_cannot_multiply_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "SkylakeX", "AMD", 26)
    for key in ("trainer.precision=bf16-mixed", "population.compile=true"):
        assert chosen(tiny.config(SINGLE, key), STACK) == "torch"
        with pytest.raises(InputError, match=r"population\.products=numpy: .*leave .* at auto"):
            chosen(tiny.config(key, "population.products=numpy"), STACK)
        with pytest.raises(InputError, match=r"population\.products=numpy"):
            check_network(tiny.config(key, "population.products=numpy"), (1, 8, 8), 3)
    assert chosen(tiny.config(SINGLE), STACK, torch.device("cuda")) == "torch"
    with pytest.raises(InputError, match="not on cuda"):
        chosen(tiny.config("population.products=numpy"), STACK, torch.device("cuda"))
    assert chosen(tiny.config("trainer.precision=64-true"), STACK) == "torch"
    assert chosen(tiny.config(SINGLE, "population.products=torch"), STACK) == "torch"


def test_a_record_names_library_version_and_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert described("torch") == "torch"
    own = {"internal_api": "openblas", "version": "0.3.31", "architecture": "SkylakeX"}
    monkeypatch.setattr(products, "blas", lambda: own)
    assert described("numpy") == "numpy (OpenBLAS 0.3.31, SkylakeX)"
    monkeypatch.setattr(products, "blas", dict)
    assert described("numpy") == "numpy (its own BLAS)"


def test_threads_are_held_and_given_back() -> None:
    if not blas():
        return  # NumPy's BLAS is one whose threads nobody can set
    before = products._controller().info()[0]["num_threads"]
    with blas_threads(1):
        assert products._controller().info()[0]["num_threads"] == 1
    assert products._controller().info()[0]["num_threads"] == before
