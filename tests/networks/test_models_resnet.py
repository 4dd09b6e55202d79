"""The residual network: what it adds to what, and that its shortcut has no weights."""

import pytest
import torch
from torch import nn

from study.errors import InputError
from study.networks import LayerNorm, build_network, initialize
from study.networks.models import ResNet
from study.training.stacking import unstackable

SHAPE = (3, 9, 8)


def built(**keys: object) -> ResNet:
    model = {"name": "resnet", "channels": [[4, 4], [6]], "dropout": 0.0}
    config = {"model": model, "activation": "relu", "norm": "none"} | keys
    network = build_network(config, SHAPE, 5)  # type: ignore[arg-type]
    assert isinstance(network, ResNet)
    return network.double()


def test_it_is_written_out() -> None:
    network = built()
    generator = torch.Generator().manual_seed(0)
    initialize(network, {"name": "he_normal"}, {"name": "relu"}, generator)
    x = torch.randn(2, *SHAPE, generator=generator, dtype=torch.float64)
    first, *rest = network.blocks
    y = first(x)
    y = y + rest[1](rest[0](y))
    y = y + rest[3](rest[2](y))
    y = nn.functional.avg_pool2d(y, 2)
    zeros = torch.zeros(2, 2, 4, 4, dtype=torch.float64)
    y = torch.cat([y, zeros], 1) + rest[5](rest[4](y))
    torch.testing.assert_close(network(x), network.output(y.mean((2, 3))))
    assert len(network.blocks) == 7
    assert "ResNet has a forward of its own" in str(unstackable(network))


def test_with_its_blocks_at_zero_it_is_its_shortcut() -> None:
    network = built(norm="layer")
    for block in network.blocks[1:]:
        nn.init.zeros_(block.get_parameter("layer.weight"))
        nn.init.zeros_(block.get_parameter("layer.bias"))
    x = torch.randn(2, *SHAPE, dtype=torch.float64)
    mean = network.blocks[0](x)[:, :, :8].mean((2, 3))
    expected = network.output(torch.cat([mean, torch.zeros(2, 2, dtype=torch.float64)], 1))
    torch.testing.assert_close(network(x), expected)


def test_an_image_too_small_for_its_stages_is_refused() -> None:
    with pytest.raises(InputError, match="can be halved 3 times"):
        build_network(
            {"model": {"name": "resnet", "channels": [[2]] * 5}, "activation": "relu",
             "norm": "none"},
            SHAPE, 5,
        )  # fmt: skip


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3, 2)])
def test_layer_norm_is_torchs_group_norm_of_one_group(shape: tuple[int, ...]) -> None:
    norm, torchs = LayerNorm(5).double(), nn.GroupNorm(1, 5).double()
    with torch.no_grad():
        for own, other in zip(norm.parameters(), torchs.parameters(), strict=True):
            other.copy_(own.uniform_())
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(norm(x), torchs(x))
    norm.reset_parameters()
    assert norm.weight is not None
    assert bool((norm.weight == 1).all())
    plain = LayerNorm(5, affine=False).double()
    assert not list(plain.parameters())
    torch.testing.assert_close(plain(x), norm(x))
