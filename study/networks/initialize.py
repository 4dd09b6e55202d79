"""Initialization of a whole network, from a generator alone."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import init

from study.errors import InputError
from study.networks.gains import gain as activation_gain
from study.networks.initializers import INITIALIZERS, fans
from study.networks.network import Network
from study.networks.normalization import BatchNorm, LayerNorm, batch_statistics
from study.networks.registry import Arguments, keywords, only_keys, split_level

# Layer-sequential unit variance (Mishkin & Matas 2016, "All you need is a good init").


TOLERANCE = 0.01
MAX_ITERATIONS = 10


@torch.no_grad()
def rescale(network: Network, sample: Tensor) -> None:
    """Gives every weight layer, in forward order, outputs of variance 1 on `sample` [N, C, H, W].

    Algorithm 1 of Mishkin & Matas 2016 after its orthogonal start: divide the weights by the
    standard deviation of the layer's output until |variance - 1| < 0.01, at most 10 times. The
    variance is over examples, units and positions; the output is the pre-activation, before any
    norm; the output layer is included. Dropout and noise are off, BatchNorm uses the sample's
    statistics, and its running averages stay. Raises InputError if the sample gives a layer's
    output no variance.
    """
    was_training = network.training
    network.eval()
    x = sample.to(network.output.weight)
    try:
        with batch_statistics(network):
            for index, block in enumerate(network.hidden_blocks()):
                fed = x.flatten(1) if block.flattens else x
                _to_unit_variance(block.layer, fed, f"blocks.{index}.layer")
                x = block(x)
            _to_unit_variance(network.output, x.flatten(1), "output")
    finally:
        network.train(was_training)


def _to_unit_variance(layer: nn.Linear | nn.Conv2d, x: Tensor, name: str) -> None:
    for _ in range(MAX_ITERATIONS):
        variance = float(layer(x).var(correction=0))
        if not math.isfinite(variance) or variance == 0:
            raise InputError(
                f"init lsuv: the output of {name} has variance {variance:g} on the data sample, "
                "which no scale of its weights can bring to 1; use another init"
            )
        if abs(variance - 1) < TOLERANCE:
            return
        layer.weight.div_(math.sqrt(variance))


DATA_DEPENDENT = {"lsuv": rescale}
"""Levels that go on to look at data, and what they then do to a network."""


def needs_sample(config: Arguments) -> bool:
    """Whether the initialization looks at data, so that `initialize` needs a sample."""
    return config.get("name") in DATA_DEPENDENT


def initialize(
    network: Network,
    config_init: Arguments,
    config_activation: Arguments,
    generator: torch.Generator,
    sample: Tensor | None = None,
) -> None:
    """Fills every weight and bias of `network` as the configuration's `init` says.

    Layers are filled in forward order, each weight before its bias, drawn in float32 on the CPU
    from `generator` (a CPU one) and then copied, so they depend on nothing else; the global
    generator is not touched. BatchNorm starts at gamma 1, beta 0, PReLU at its slope, any other
    module with weights of its own as its `reset_parameters` says. `bias` is
    one constant (default 0), but for torch_default, which draws it. `gain: auto` is explained in
    `study.networks.gains.gain`. `sample` [N, C, H, W], preprocessed as the network will see it,
    is only read by the levels that `needs_sample` names.

    Raises InputError for an unknown name or key, or a level that does not fit the network.
    """
    name, keys = split_level("init", config_init, INITIALIZERS)
    bias_key = [] if name == "torch_default" else ["bias"]  # It draws the biases itself.
    only_keys(f"init {name}", keys, [*keywords(INITIALIZERS[name]), *bias_key])
    if name == "delta_orthogonal" and not any(
        isinstance(block.layer, nn.Conv2d) for block in network.hidden_blocks()
    ):
        raise InputError(
            "init delta_orthogonal is for convolutions, and this network has none; "
            "use init=orthogonal"
        )
    gain, bias = keys.pop("gain", None), keys.pop("bias", 0.0)
    assert isinstance(bias, int | float)
    feeding = activation_gain(config_activation) if gain == "auto" else 1.0
    layers = list(_layers(network, feeding))
    for layer, layer_gain in layers:
        if gain is not None:
            keys["gain"] = layer_gain if gain == "auto" else gain
        _fill(layer.weight, partial(INITIALIZERS[name], generator=generator, **keys))
        if layer.bias is not None and name == "torch_default":
            bound = 1 / math.sqrt(fans(layer.weight)[0])
            _fill(layer.bias, partial(init.uniform_, a=-bound, b=bound, generator=generator))
        elif layer.bias is not None:
            _fill(layer.bias, partial(init.constant_, val=bias))
    filled = {layer for layer, _ in layers}
    _reset([module for module in network.modules() if module not in filled], generator)
    if name in DATA_DEPENDENT:
        if sample is None:
            raise InputError(f"init {name} measures the layers' outputs; give it a sample of data")
        DATA_DEPENDENT[name](network, sample)


def weight_filler(
    config_init: Arguments,
    config_activation: Arguments,
    generator: torch.Generator,
) -> Callable[[Tensor], object]:
    """What fills the weight, [out, in, ...], of a layer beside the network, as `initialize` would.

    The layer is fed by the activation. `delta_orthogonal` fills as `orthogonal` does.
    """
    name, keys = split_level("init", config_init, INITIALIZERS)
    keys.pop("bias", None)
    if keys.get("gain") == "auto":
        keys["gain"] = activation_gain(config_activation)
    level = "orthogonal" if name == "delta_orthogonal" else name
    return partial(INITIALIZERS[level], generator=generator, **keys)


def _layers(network: Network, feeding: float) -> Iterator[tuple[nn.Linear | nn.Conv2d, float]]:
    """The weight layers in forward order, each with the gain of what feeds it.

    That is `feeding` for an activation, 1 for the network's input, for a norm and for a linear
    block, such as an autoencoder's code.
    """
    gain = 1.0
    for block in network.hidden_blocks():
        yield block.layer, gain
        linear = block.output_is_normalized or isinstance(block.activation, nn.Identity)
        gain = 1.0 if linear else feeding
    yield network.output, gain


@torch.no_grad()
def _fill(parameter: Tensor, fill: Callable[[Tensor], object]) -> None:
    """Fills a float32 copy on the CPU, then the parameter, whatever its dtype and device."""
    values = torch.empty(parameter.shape, dtype=torch.float32)
    fill(values)
    parameter.copy_(values)


def _reset(modules: Sequence[nn.Module], generator: torch.Generator) -> None:
    """Has modules with weights of their own set these; what they draw comes from `generator`."""
    drawing: list[Callable[[], object]] = []
    for module in modules:
        if isinstance(module, BatchNorm | LayerNorm | nn.PReLU):
            module.reset_parameters()
        elif reset := getattr(module, "reset_parameters", None):
            drawing.append(reset)
    if drawing:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            for reset in drawing:
                reset()
