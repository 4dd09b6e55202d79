"""Decoders: the adjoint of the encoder's linear map, or a map of their own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from study.errors import InputError
from study.networks import fans
from study.training.pretraining.autoencoder import encode
from study.training.pretraining.decoders import TiedDecoder, make_decoder, untied
from tests.pretrained_layers import SHAPE, fill, first_block, images, seeded


def matrix(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    """The matrix [outputs, inputs] of a linear function of one example of `shape`."""
    size = torch.Size(shape).numel()
    basis = torch.eye(size, dtype=torch.float64).view(size, *shape)
    return function(basis).flatten(1).T


@pytest.mark.parametrize("shape", [(2, 7, 5), (2, 6, 4), (1, 1, 1)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_a_tied_decoder_is_the_adjoint_of_the_convolution(
    shape: tuple[int, int, int], kernel_size: int
) -> None:
    layer = nn.Conv2d(shape[0], 3, kernel_size, padding=kernel_size // 2, bias=False).double()
    nn.init.normal_(layer.weight, generator=seeded())
    decoder, code_shape = TiedDecoder(layer), (3, *shape[1:])
    forward, backward = matrix(layer, shape), matrix(decoder, code_shape)
    torch.testing.assert_close(backward, forward.T, rtol=0, atol=1e-12)
    x, y = (torch.rand(4, *size, generator=seeded()).double() for size in (shape, code_shape))
    torch.testing.assert_close((layer(x) * y).sum(), (x * decoder(y)).sum(), rtol=1e-12, atol=0)


def test_a_tied_decoder_is_the_transposed_matrix_and_a_bias_that_starts_at_zero() -> None:
    layer = nn.Linear(5, 3).double()
    nn.init.normal_(layer.weight, generator=seeded())
    decoder, code = TiedDecoder(layer), torch.rand(4, 3, generator=seeded()).double()
    torch.testing.assert_close(decoder(code), code @ layer.weight)
    with torch.no_grad():
        decoder.bias.copy_(torch.arange(5))
    torch.testing.assert_close(decoder(code), code @ layer.weight + torch.arange(5))
    assert {name for name, _ in decoder.named_parameters()} >= {"bias", "layer.weight"}
    assert decoder.layer.weight is layer.weight


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_an_untied_decoder_is_initialized_as_a_layer_from_units_to_inputs(
    kind: str, pieces: int
) -> None:
    activation = {"name": "maxout", "pieces": pieces} if pieces > 1 else "tanh"
    block = first_block(kind, activation=activation)
    seen: list[Tensor] = []
    before = torch.get_rng_state()
    decoder = untied(block, lambda weight: seen.append(weight.normal_(generator=seeded(4))))
    assert torch.equal(before, torch.get_rng_state())
    units = block.layer.weight.shape[0] // pieces
    area = block.layer.weight[0, 0].numel()
    assert fans(seen[0]) == (units * area, block.layer.weight.shape[1] * area)
    weight = decoder.weight.T if kind == "mlp" else decoder.weight
    expected = seen[0] if kind == "mlp" else seen[0].transpose(0, 1)
    torch.testing.assert_close(weight if kind == "cnn" else weight.T, expected.double())
    assert decoder.bias is not None
    assert not decoder.bias.any()
    code = encode(block, images(3) if kind == "cnn" else images(3).flatten(1))
    assert decoder(code).shape == ((3, *SHAPE) if kind == "cnn" else (3, 70))


def test_tied_weights_are_refused_for_maxout() -> None:
    block = first_block("mlp", activation="maxout")
    with pytest.raises(InputError, match="maxout.*use pretraining.decoder=untied") as error:
        make_decoder("tied", block, fill)
    assert "\n" not in str(error.value)


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(InputError, match="pretraining.decoder 'tie'.*tied, untied"):
        make_decoder("tie", first_block("mlp"), fill)
