"""All that the next epoch of a training depends on, as tensors by name.

`module.NAME` for parameters and buffers, `optimizer.SLOT.NAME` for what an optimizer keeps of a
parameter. Random streams are none of it: they begin anew with each epoch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

State = dict[str, Tensor]
Slots = Mapping[str, Tensor]
"""What an optimizer keeps of one parameter, by slot (`momentum_buffer`)."""


def training_state(module: nn.Module, optimizer: Optimizer) -> State:
    """The parameters and buffers, and the optimizer's tensors: themselves, not copies."""
    state = {f"module.{name}": value for name, value in module.state_dict().items()}
    for name, slots in zip(_names(module, optimizer), slots_of(optimizer), strict=True):
        state |= {f"optimizer.{slot}.{name}": value for slot, value in slots.items()}
    return {name: value.detach() for name, value in state.items()}


def restore_training(module: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Takes up a `training_state`, of which nothing is kept but copies."""
    values, slots = parts_of(state)
    module.load_state_dict(values)
    load_slots(optimizer, [slots.get(name, {}) for name in _names(module, optimizer)])


def parts_of(state: State) -> tuple[State, dict[str, dict[str, Tensor]]]:
    """Parameters and buffers by name, and the optimizer's slots by the parameter's name."""
    values: State = {}
    slots: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        kind, _, name = key.partition(".")
        if kind == "module":
            values[name] = value
        elif kind == "optimizer":
            slot, _, name = name.partition(".")
            slots.setdefault(name, {})[slot] = value
    return values, slots


def slots_of(optimizer: Optimizer) -> list[Slots]:
    """What the optimizer keeps of each parameter, in its order; nothing before the first step."""
    kept = optimizer.state_dict()["state"]
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    return [
        {slot: value for slot, value in kept.get(index, {}).items() if value is not None}
        for index in range(count)
    ]


def load_slots(optimizer: Optimizer, slots: Sequence[Slots]) -> None:
    """Gives the optimizer copies of what it kept of each parameter, on the parameter's device.

    Those of its shape lie in memory as it does, which fused kernels take for granted.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for index, (parameter, each) in enumerate(zip(parameters, slots, strict=True)):
        for slot, value in each.items():
            if value.shape == parameter.shape:
                copy = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            else:
                copy = value.clone()
            state.setdefault(index, {})[slot] = copy
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(module: nn.Module, optimizer: Optimizer) -> list[str]:
    """The names of the optimizer's parameters, in its order."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    return [names[each] for group in optimizer.param_groups for each in group["params"]]
