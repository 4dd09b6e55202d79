"""One layer of one seed as an autoencoder, denoising or not.

Bengio et al. 2007 (autoencoders instead of RBMs); Vincent et al. 2010, sections 2.2 and 3.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from study.networks import Block
from study.population.reconstruction import Reconstruction
from study.pretraining.corruption import Corruption
from study.pretraining.gradient import GradientTrainee
from study.pretraining.trainee import GeneratorFactory, Labelled, in_evaluation


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

    def train_epoch(
        self, inputs: Tensor, labels: Tensor, *, epoch: int, tick: Callable[[], None]
    ) -> float:
        """The mean of the reconstruction loss over the epoch's updates; labels are not looked at.

        inputs: [N, ...], as the layer is fed; a dense layer's are flattened.
        """
        fed, noise = self._fed(inputs), self.generator("corruption", epoch)

        def losses(indices: Tensor) -> Tensor:
            clean = fed.index_select(0, indices)
            given = clean if self.corruption is None else self.corruption(clean, noise)
            return self.reconstruction.loss(self._outputs(given), clean)

        return self.descend(fed, losses, epoch=epoch, tick=tick)

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

        def losses(fed: Tensor) -> Tensor:
            return self.reconstruction.loss(self._outputs(fed), fed)

        return float(in_evaluation(self.block, self._fed(inputs), losses).double().mean())

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Reconstructions of clean inputs in evaluation mode, in their shape."""

        def shown(fed: Tensor) -> Tensor:
            return self.reconstruction.shown(self._outputs(fed))

        return in_evaluation(self.block, self._fed(inputs), shown).view(inputs.shape)

    def _fed(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) if isinstance(self.block.layer, nn.Linear) else inputs

    def _outputs(self, fed: Tensor) -> Tensor:
        """What the decoder makes of `fed`, in its type: logits if the loss is cross-entropy."""
        outputs: Tensor = self.top(encode(self.block, fed))
        return outputs.to(fed.dtype)
