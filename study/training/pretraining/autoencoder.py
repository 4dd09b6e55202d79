"""One layer of one seed as an autoencoder, denoising or not.

Bengio et al. 2007 (autoencoders instead of RBMs); Vincent et al. 2010, sections 2.2 and 3.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from study.config.kinds import Kind, number, share
from study.errors import InputError, shown, unknown
from study.networks import Block
from study.training.pretraining.gradient import GradientTrainee
from study.training.pretraining.trainee import Epoch, GeneratorFactory, Labelled, in_evaluation
from study.training.task import Reconstruction

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Inputs of any shape and a generator -> corrupted inputs, a new tensor of that shape."""


# Corruptions. Draws are float32 on the generator's device: neither precision nor device is in them.


def masking(inputs: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Sets each element to 0 with probability `level`, independently, and leaves the others.

    Vincent et al. 2008 (ICML), section 2.3, who set a fixed share of each example's elements to 0;
    here it is their mean. One uniform number is drawn an element, in the order of memory: on a CPU
    the n-th example that a stream corrupts has the same mask in batches of any size.
    """
    draws = _empty_like(inputs, generator).uniform_(generator=generator)
    return inputs * (draws >= level).to(inputs)


def gaussian(inputs: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Adds N(0, level^2) to each element, independently (Vincent et al. 2010 (JMLR 11), 3.3)."""
    draws = _empty_like(inputs, generator).normal_(generator=generator)
    return inputs + level * draws.to(inputs)


CORRUPTIONS: dict[str, tuple[Callable[..., Tensor], Kind]] = {
    "masking": (masking, share()),
    "gaussian": (gaussian, number(0)),
}
"""Name -> (what corrupts, what its level may be)."""


def make_corruption(name: str, level: float) -> Corruption | None:
    """The corruption of that name and level; None for `none`.

    What an autoencoder is given is corrupted; what it is to reconstruct stays clean.
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


# The layer.


def encode(block: Block, inputs: Tensor) -> Tensor:
    """The code: the block's outputs without pooling and dropout."""
    x = block.layer(inputs)
    return block.norm(block.activation(x)) if block.norm_after else block.activation(block.norm(x))


class LayerAutoencoder(GradientTrainee):
    """A block of the network as encoder, trained to reconstruct what it is fed.

    The code is decoded before any pooling; what feeds the next layer (`hidden`) is pooled. Inputs
    are corrupted by draws from the stream "corruption"; targets are clean. Whether the inputs suit
    the loss is for `check_pretraining` to say, before any phase begins.
    """

    def __init__(
        self,
        block: Block,
        decoder: nn.Module,
        *,
        reconstruction: Reconstruction,
        corruption: Corruption | None = None,
        optimizer: Mapping[str, Any],
        lr: float,
        batch_size: int,
        generator: GeneratorFactory,
    ) -> None:
        super().__init__(
            block, decoder, optimizer=optimizer, lr=lr, batch_size=batch_size, generator=generator
        )
        self.reconstruction, self.corruption = reconstruction, corruption

    def train_epoch(self, inputs: Tensor, labels: Tensor, *, epoch: int) -> Epoch:
        """The mean of the reconstruction loss over the epoch's updates; labels are not looked at.

        inputs: [N, ...], as the layer is fed; a dense layer's are flattened.
        """
        flat, noise = self._flat(inputs), self.generator("corruption", epoch)

        def losses(indices: Tensor) -> Tensor:
            clean = flat.index_select(0, indices)
            given = clean if self.corruption is None else self.corruption(clean, noise)
            return self.reconstruction.loss(self._outputs(given), clean)

        return self.descend(flat, losses, epoch=epoch)

    def measure(self, train: Labelled, val: Labelled, *, epoch: int) -> dict[str, float]:
        """`train_` and `val_reconstruction_error`, as `error` has it."""
        return {
            "train_reconstruction_error": self.error(train[0]),
            "val_reconstruction_error": self.error(val[0]),
        }

    def error(self, inputs: Tensor) -> float:
        """The reconstruction loss from clean inputs in evaluation mode, the mean over examples.

        It is summed over an example's inputs.
        """

        def losses(clean: Tensor) -> Tensor:
            return self.reconstruction.loss(self._outputs(clean), clean)

        return float(in_evaluation(self.block, self._flat(inputs), losses).double().mean())

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Reconstructions of clean inputs in evaluation mode, in their shape."""

        def shown(clean: Tensor) -> Tensor:
            return self.reconstruction.shown(self._outputs(clean))

        return in_evaluation(self.block, self._flat(inputs), shown).view(inputs.shape)

    def _flat(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) if isinstance(self.block.layer, nn.Linear) else inputs

    def _outputs(self, inputs: Tensor) -> Tensor:
        """What the decoder makes of them, in their type: logits if the loss is cross-entropy."""
        outputs: Tensor = self.top(encode(self.block, inputs))
        return outputs.to(inputs.dtype)
