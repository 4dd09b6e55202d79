"""K plain networks as one whose layers are batched: the same names, each tensor K times as large.

Between dense layers the replicas are the first axis, [K, N, F]; between convolutions they lie in
the channels, [N, K C, H, W], where a grouped convolution and one batch norm serve all of them.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from study.config.own import is_own
from study.networks import (
    POOLINGS,
    BatchNorm,
    Block,
    LayerNorm,
    Maxout,
    Network,
    Stochastic,
    is_elementwise,
)
from study.training.products import NumpyLinear, dense, multiplies


class StackedLinear(nn.Module):
    """K linear layers: [K, N, in] -> [K, N, out].

    The weight is kept as [K, in, out]: its gradient then comes out of the matrix product in the
    parameter's own layout. Inputs that replicas share, [S, N, in] for S dividing K, are those of
    replicas s, s + S, s + 2 S, ...: their layers are one wide product each.
    """

    def __init__(self, plain: nn.Linear, num_replicas: int) -> None:
        super().__init__()
        shape = (num_replicas, plain.in_features, plain.out_features)
        self.weight = nn.Parameter(plain.weight.new_empty(shape))
        has_bias = plain.bias is not None
        bias = plain.weight.new_empty(num_replicas, plain.out_features)
        self.bias = nn.Parameter(bias) if has_bias else None
        self.by_numpy = False

    def forward(self, x: Tensor) -> Tensor:
        if self.by_numpy and multiplies(x, self.weight):
            return dense(x, self.weight, self.bias)
        if len(x) < len(self.weight):
            shared = self._shared(x)
            return shared if self.bias is None else shared + self.bias.unsqueeze(1)
        if self.bias is None:
            return torch.bmm(x, self.weight)
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)

    def _shared(self, x: Tensor) -> Tensor:
        """Inputs [S, N, in] times the weights of a seed side by side, [S, in, K / S x out]."""
        weight = self.weight.unflatten(0, (-1, len(x)))
        wide = torch.bmm(x, weight.permute(1, 2, 0, 3).flatten(2))
        return wide.unflatten(2, (len(weight), -1)).permute(2, 0, 1, 3).flatten(0, 1)


class StackedConvolution(nn.Module):
    """K convolutions: shared images, [N, C, H, W], or [N, K C, H, W] -> [N, K out, H, W]."""

    def __init__(self, plain: nn.Conv2d, num_replicas: int) -> None:
        super().__init__()
        self.num_replicas, self.in_channels = num_replicas, plain.in_channels
        self.options = {
            "padding": plain.padding,
            "stride": plain.stride,
            "dilation": plain.dilation,
        }
        channels = num_replicas * plain.out_channels
        self.weight = nn.Parameter(plain.weight.new_empty(channels, *plain.weight.shape[1:]))
        has_bias = plain.bias is not None
        self.bias = nn.Parameter(plain.weight.new_empty(channels)) if has_bias else None

    def forward(self, x: Tensor) -> Tensor:
        groups = 1 if x.shape[1] == self.in_channels else self.num_replicas
        return functional.conv2d(x, self.weight, self.bias, groups=groups, **self.options)  # type: ignore[arg-type]


class StackedBatchNorm(BatchNorm):
    """K batch norms: the plain one over K times as many features, for both layouts."""

    def __init__(self, plain: BatchNorm, num_replicas: int) -> None:
        super().__init__(
            num_replicas * plain.num_features,
            momentum=plain.momentum,
            eps=plain.eps,
            affine=plain.weight is not None,
            evaluation=plain.evaluation,
        )
        self.num_replicas = num_replicas
        if isinstance(plain.noise, Stochastic):
            self.noise = StackedStochastic(plain.noise, num_replicas)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4:
            return super().forward(x)
        out = super().forward(x.transpose(0, 1).flatten(1))
        return out.unflatten(1, (self.num_replicas, -1)).transpose(0, 1)


class StackedLayerNorm(nn.Module):
    """K layer norms: each over the units of its own replica."""

    def __init__(self, plain: LayerNorm, num_replicas: int) -> None:
        super().__init__()
        self.num_replicas, self.eps = num_replicas, plain.eps
        shape = (num_replicas, plain.num_features)
        weight, bias = plain.weight, plain.bias
        self.weight = None if weight is None else nn.Parameter(weight.new_empty(shape))
        self.bias = None if bias is None else nn.Parameter(bias.new_empty(shape))

    def forward(self, x: Tensor) -> Tensor:
        # [K, N, F], or [N, K, C, H, W]: what is normalized over comes last.
        each = x if x.dim() == 3 else x.unflatten(1, (self.num_replicas, -1))
        out = functional.layer_norm(each, each.shape[2:], eps=self.eps)
        if self.weight is not None and self.bias is not None:
            shape = (-1, 1, self.weight.shape[1]) if x.dim() == 3 else (*self.weight.shape, 1, 1)
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out if x.dim() == 3 else out.flatten(1, 2)


class StackedStochastic(nn.Module):
    """Dropout or noise of K replicas, each with the draws of its seed.

    `generators` holds one generator a seed and `seed_of` the place of each replica's among them.
    """

    def __init__(self, plain: Stochastic, num_replicas: int) -> None:
        super().__init__()
        self.plain = copy.deepcopy(plain)
        self.num_replicas = num_replicas
        self.generators: Sequence[torch.Generator] = ()
        self.seed_of: Tensor = torch.arange(num_replicas)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if x.dim() == 3:
            shape = tuple(x.shape[1:])
        else:
            shape = (len(x), x.shape[1] // self.num_replicas, *x.shape[2:])
        draws = []
        for generator in self.generators:
            self.plain.generator = generator
            draws.append(self.plain.draw(shape, x))
        factor = self._spread([factor for factor, _ in draws], x)
        offsets = [offset for _, offset in draws if offset is not None]
        return x * factor + self._spread(offsets, x) if offsets else x * factor

    def _spread(self, draws: Sequence[Tensor], x: Tensor) -> Tensor:
        """The draws of each seed, given to its replicas, in the layout of `x`."""
        spread = torch.stack(list(draws))[self.seed_of]
        return spread if x.dim() == 3 else spread.transpose(0, 1).flatten(1, 2)


class StackedPReLU(nn.Module):
    """K PReLUs with one slope each."""

    def __init__(self, plain: nn.PReLU, num_replicas: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(plain.weight.new_empty(num_replicas))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            slope = self.weight.view(-1, 1, 1)
        else:
            channels = x.shape[1] // len(self.weight)
            slope = self.weight.repeat_interleave(channels).view(-1, 1, 1)
        return torch.where(x > 0, x, slope * x)


class StackedMaxout(nn.Module):
    """K maxouts: the pieces of a unit are found within its own replica."""

    def __init__(self, plain: Maxout, num_replicas: int) -> None:
        super().__init__()
        self.pieces, self.num_replicas = plain.pieces, num_replicas

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return x.unflatten(2, (self.pieces, -1)).amax(2)
        return x.unflatten(1, (self.num_replicas, self.pieces, -1)).amax(2).flatten(1, 2)


class StackedByMap(nn.Module):
    """K of any module with weights of its own and no others within, by torch.func.vmap.

    Slower than a form of its own. It is for modules of a user's own folder (`study.levels`), so
    that a first try is stacked; `is_mappable` tries it.
    """

    def __init__(self, plain: nn.Module, num_replicas: int) -> None:
        super().__init__()
        self.num_replicas = num_replicas
        self.of = type(plain)
        self._plain = [copy.deepcopy(plain)]  # in a list: its weights are none of this module's
        for name, parameter in plain.named_parameters():
            stacked = parameter.new_empty(num_replicas, *parameter.shape)
            self.register_parameter(name, nn.Parameter(stacked))

    def forward(self, x: Tensor) -> Tensor:
        (plain,) = self._plain
        plain.train(self.training)

        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(plain, weights, (x,))
            return outputs

        weights: dict[str, Tensor] = dict(self.named_parameters())
        if x.dim() == 3:
            return vmap(one)(weights, x)
        each = x.unflatten(1, (self.num_replicas, -1))
        return vmap(one, in_dims=(0, 1), out_dims=1)(weights, each).flatten(1, 2)


def is_mappable(plain: nn.Module) -> bool:
    """Whether K of a module are one by `StackedByMap`: tried on both layouts, against each alone.

    As the module is: of a norm as many features as it has.
    """
    shapes = {name: parameter.shape for name, parameter in plain.named_parameters()}
    if not shapes or any(True for _ in plain.children()) or any(True for _ in plain.buffers()):
        return False
    generator = torch.Generator().manual_seed(0)
    features = max((shape[0] for shape in shapes.values() if shape), default=1)
    features = features if features > 1 else 4
    try:
        # What is checked before a launch has no storage; weights are drawn here in any case.
        own = copy.deepcopy(plain).double().to_empty(device="cpu").train()
        alones = [copy.deepcopy(own) for _ in range(2)]
        mapped = StackedByMap(own, 2).train()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for name in shapes:
                drawn = torch.rand(2, *shapes[name], generator=generator, dtype=torch.float64)
                mapped.get_parameter(name).copy_(drawn)
                for alone, value in zip(alones, drawn, strict=True):
                    alone.get_parameter(name).copy_(value)
            for shape in ((3, features), (3, features, 2, 2)):
                x = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
                given = x if len(shape) == 2 else x.transpose(0, 1).flatten(1, 2)
                outputs = mapped(given)
                apart = (
                    outputs if len(shape) == 2 else outputs.unflatten(1, (2, -1)).transpose(0, 1)
                )
                expected = torch.stack([one(each) for one, each in zip(alones, x, strict=True)])
                if apart.shape != expected.shape or not torch.allclose(apart, expected):
                    return False
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return False
    return True


STACKED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: StackedLinear,
    nn.Conv2d: StackedConvolution,
    BatchNorm: StackedBatchNorm,
    LayerNorm: StackedLayerNorm,
    nn.PReLU: StackedPReLU,
    Maxout: StackedMaxout,
}
"""What stands for K of a plain module, by its exact type.

Poolings, and what has no weights and works element by element, serve all K as they are.
"""
PARTS = ("layer", "norm", "activation", "pool", "dropout")
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where a module keeps what is called beside its forward."""


def stacked(plain: nn.Module, num_replicas: int) -> nn.Module:
    """The module that stands for `num_replicas` of a plain one, which `unstackable` lets pass."""
    if isinstance(plain, Stochastic):
        return StackedStochastic(plain, num_replicas)
    if type(plain) in STACKED:
        return STACKED[type(plain)](plain, num_replicas)
    assert _has_stacked_form(plain), _formless(plain)
    return StackedByMap(plain, num_replicas) if plain.state_dict() else copy.deepcopy(plain)


def unstackable(network: nn.Module) -> str | None:
    """What keeps networks of this form from being stacked, in words; `None` if nothing does.

    A stack takes the blocks and the output layer, and has a forward of its own: it stands for a
    network only if the network's forward is that of `Network`, and each block's that of `Block`.
    """
    if not isinstance(network, Network) or not network.is_chain:
        return f"{type(network).__name__} has a forward of its own"
    own = {name.partition(".")[0] for name in network.state_dict()} - {"blocks", "output"}
    if own:
        return f"{type(network).__name__} has weights beside its blocks: {', '.join(sorted(own))}"
    if changed := _changed(network):
        return changed
    dense = False
    for block in network.hidden_blocks():
        if type(block).forward is not Block.forward:
            return f"{type(block).__name__} has a forward of its own"
        if isinstance(block.layer, nn.Linear) and not dense and not block.flattens:
            return "its first dense layer takes images that are not flattened"
        if isinstance(block.layer, nn.Conv2d) and dense:
            return "a convolution comes after a dense layer"
        dense = isinstance(block.layer, nn.Linear)
        for name in PARTS:
            if not _has_stacked_form(getattr(block, name)):
                return _formless(getattr(block, name))
    return None if _has_stacked_form(network.output) else _formless(network.output)


def _changed(network: Network) -> str | None:
    """What makes a network another than its modules' types say, in words, if anything does."""
    named = list(network.named_parameters(remove_duplicate=False))
    if len({id(parameter) for _, parameter in named}) < len(named):
        return f"{type(network).__name__} uses a weight twice"
    for name, parameter in named:
        if not parameter.requires_grad:
            return f"{name} of {type(network).__name__} is not trained"
        if parameter._backward_hooks:
            return f"{name} of {type(network).__name__} has a hook on its gradient"
    for module in network.modules():
        has_hooks = any(getattr(module, name) for name in HOOKS)
        if (
            has_hooks
            or "forward" in vars(module)
            or type(module).__call__ is not nn.Module.__call__
        ):
            return f"{type(module).__name__} has hooks, or a call of its own"
    return None


def _has_stacked_form(plain: nn.Module) -> bool:
    if isinstance(plain, Stochastic):
        return type(plain).forward is Stochastic.forward
    if isinstance(plain, nn.Conv2d) and (plain.groups > 1 or plain.padding_mode != "zeros"):
        return False
    if isinstance(plain, nn.PReLU) and plain.num_parameters > 1:
        return False
    if isinstance(plain, BatchNorm) and plain.noise is not None:
        return type(plain) in STACKED and _has_stacked_form(plain.noise)
    if type(plain) in STACKED or type(plain) in POOLINGS:
        return True
    if plain.state_dict():
        return is_own(type(plain)) and is_mappable(plain)
    return is_elementwise(plain)


def _formless(plain: nn.Module) -> str:
    place = (
        "stacked= of its decorator"
        if is_own(type(plain))
        else "STACKED in study/training/stacking.py"
    )
    return f"{type(plain).__name__} has no stacked form ({place})"


def by_numpy(network: nn.Module) -> None:
    """Has NumPy multiply the dense layers of a network, stacked or plain."""
    for module in network.modules():
        if isinstance(module, StackedLinear):
            module.by_numpy = True
        elif type(module) is nn.Linear:
            module.__class__ = NumpyLinear


class StackedNetwork(nn.Module):
    """K networks of one architecture, given as their plain modules.

    Takes images that all share, [N, C, H, W], or those of S seeds, [S, N, C, H, W], of which
    replica k takes the (k mod S)-th; returns scores [K, N, classes].
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.num_replicas = len(networks)
        plain = networks[0]
        self.blocks = nn.ModuleList(self._block(block) for block in plain.hidden_blocks())
        self.output = stacked(plain.output, self.num_replicas)
        self._shapes = {name: value.shape for name, value in plain.state_dict().items()}
        self.to(plain.output.weight.dtype)
        for index, network in enumerate(networks):
            self.restore(index, network.state_dict())

    def _block(self, plain: Block) -> nn.Module:
        parts = {name: stacked(getattr(plain, name), self.num_replicas) for name in PARTS}
        return Block(**parts, norm_after=plain.norm_after)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            layer = block.layer
            x = block(self._flat(x) if isinstance(layer, StackedLinear) else self._images(x))
        return self.output(self._flat(x))

    def _flat(self, x: Tensor) -> Tensor:
        """What a dense layer takes, [K, N, F] or the shared [S, N, F]."""
        if x.dim() == 3:
            return x
        if x.dim() == 5:
            return x.flatten(2)
        if len(self.blocks) and isinstance(self.blocks[0].layer, StackedConvolution):
            return x.unflatten(1, (self.num_replicas, -1)).transpose(0, 1).flatten(2)
        return x.flatten(1).unsqueeze(0)

    def _images(self, x: Tensor) -> Tensor:
        """What a convolution takes, [N, C, H, W] or [N, K C, H, W]."""
        if x.dim() == 4 or len(x) == 1:
            return x.flatten(0, -4)
        each = x.repeat(self.num_replicas // len(x), 1, 1, 1, 1)
        return each.transpose(0, 1).flatten(1, 2)

    def views(self) -> dict[str, Tensor]:
        """Every parameter and buffer as [K, ...] of the plain shapes, by the plain names."""
        own = self.state_dict()
        return {name: self.plain_view(name, own[name]) for name in self._shapes}

    def plain_view(self, name: str, tensor: Tensor) -> Tensor:
        """What is shaped as a parameter here, the gradient too, as [K, ...] of its plain shape.

        Or what is shaped as the parameter of some of the replicas alone.
        """
        module = self.get_submodule(name.rpartition(".")[0])
        if isinstance(module, StackedLinear) and name.endswith("weight"):
            return tensor.transpose(1, 2)
        return tensor.view(-1, *self._shapes[name])

    def snapshot(self, index: int) -> dict[str, Tensor]:
        """A copy of one replica's state, as the plain network has it."""
        return {
            name: view[index].clone(memory_format=torch.contiguous_format)
            for name, view in self.views().items()
        }

    def restore(self, index: int, state: dict[str, Tensor]) -> None:
        """Puts one replica's state in its place."""
        with torch.no_grad():
            for name, view in self.views().items():
                view[index].copy_(state[name])
