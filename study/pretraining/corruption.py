"""Corruption of what a denoising autoencoder is given; what it is to reconstruct stays clean.

Vincent et al. 2008 (ICML), section 2.3, masks; Vincent et al. 2010 (JMLR 11), section 3.3, has
both. Draws are float32 on the generator's device, so neither precision nor device changes them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from study.errors import InputError, unknown
from study.kinds import Kind, number, share, shown

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Inputs of any shape and a generator -> corrupted inputs, a new tensor of that shape."""


def masking(inputs: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Sets each element to 0 with probability `level`, independently, and leaves the others.

    (Vincent et al. set a fixed share of each example's elements to 0; here it is their mean.) One
    uniform number is drawn an element, in the order of memory: on a CPU the n-th example that a
    stream corrupts has the same mask in batches of any size.
    """
    draws = _empty_like(inputs, generator).uniform_(generator=generator)
    return inputs * (draws >= level).to(inputs)


def gaussian(inputs: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Adds N(0, level^2) to each element, independently."""
    draws = _empty_like(inputs, generator).normal_(generator=generator)
    return inputs + level * draws.to(inputs)


CORRUPTIONS: dict[str, tuple[Callable[..., Tensor], Kind]] = {
    "masking": (masking, share()),
    "gaussian": (gaussian, number(0)),
}
"""Name -> (what corrupts, what its level may be)."""


def make_corruption(name: str, level: float) -> Corruption | None:
    """The corruption of that name and level; None for `none`.

    Raises InputError for an unknown name, or a level that is not one of it.
    """
    if name == "none":
        return None
    if name not in CORRUPTIONS:
        raise unknown("pretraining.corruption", name, ["none", *CORRUPTIONS])
    corrupt, kind = CORRUPTIONS[name]
    try:
        amount = kind.parse(level)
    except ValueError:
        raise InputError(
            f"pretraining.corruption_level={shown(level)} is out of range for "
            f"pretraining.corruption={name}: it takes {kind.expects}"
        ) from None
    return lambda inputs, generator: corrupt(inputs, generator, level=amount)


def _empty_like(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty(inputs.shape, dtype=torch.float32, device=generator.device)
