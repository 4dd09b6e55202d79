"""One layer of one seed trained on the labels: greedy supervised pretraining.

The baseline of Bengio et al. 2007 (appendix), layerwise training without an unsupervised criterion:
each layer is the hidden layer of a network that has no other, fed by the layers below, which stay
as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from study.networks import Block
from study.population.losses import cross_entropy, wrong
from study.pretraining.decoders import Fill, filled
from study.pretraining.gradient import GradientTrainee
from study.pretraining.trainee import Labelled, in_evaluation


def temporary_classifier(block: Block, inputs: Tensor, num_classes: int, fill: Fill) -> nn.Linear:
    """A linear output layer for the block's outputs, flattened; its bias starts at 0.

    `inputs`: some of what the block is fed. `fill` initializes the weight [num_classes, features].
    """
    features = in_evaluation(block, inputs[:1]).flatten(1).shape[1]
    values = torch.empty(num_classes, features)
    fill(values)
    return filled(nn.Linear(features, num_classes, device="meta"), values, block.layer.weight)


class SupervisedLayer(GradientTrainee):
    """A block of the network under a temporary linear classifier, trained on cross-entropy.

    The classifier, `top`, sees the whole block, pooled, as the next layer will. It is thrown away
    after the phase, so that the network's own output layer starts as after any other pretraining.
    """

    def train_epoch(
        self, inputs: Tensor, labels: Tensor, *, epoch: int, tick: Callable[[], None]
    ) -> float:
        """The mean of the cross-entropy over the epoch's updates.

        inputs: [N, ...], as the layer is fed; labels: [N], of these examples alone.
        """
        assert len(inputs) == len(labels)

        def losses(indices: Tensor) -> Tensor:
            outputs = self._outputs(inputs.index_select(0, indices))
            return cross_entropy(outputs, labels.index_select(0, indices))

        return self.descend(inputs, losses, epoch=epoch, tick=tick)

    def measure(self, train: Labelled, val: Labelled, *, epoch: int) -> dict[str, float]:
        """`train_` and `val_loss` and `_error` of the temporary classifier, in evaluation mode."""
        numbers = {}
        for split, (inputs, labels) in (("train", train), ("val", val)):
            outputs = in_evaluation(self.block, inputs, self._outputs)
            numbers[f"{split}_loss"] = float(cross_entropy(outputs, labels).double().mean())
            numbers[f"{split}_error"] = float(wrong(outputs, labels).double().mean())
        return numbers

    def _outputs(self, fed: Tensor) -> Tensor:
        outputs: Tensor = self.top(self.block(fed).flatten(1))
        return outputs.to(fed.dtype)
