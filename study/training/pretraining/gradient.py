"""One layer of one seed trained by gradient descent, with what stands on it meanwhile.

`SupervisedLayer` is of labels; of reconstructions is `autoencoder`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from study.networks import Block
from study.training.group import restore_training, training_state
from study.training.optimizers import is_elementwise, make_optimizer, parameter_groups
from study.training.pretraining.decoders import Fill, filled
from study.training.pretraining.trainee import (
    Epoch,
    GeneratorFactory,
    Labelled,
    epoch_batches,
    in_evaluation,
    train_mode,
)
from study.training.symmetry import Symmetry
from study.training.task import cross_entropy, judge_classes

WEIGHT_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class GradientTrainee:
    """A block of the network and a `top` that is only there to train it.

    Trained in place: the block's parameters and running averages are at all times what was
    learned, so `write_back` has nothing left to do. Norms are on the batch's statistics in
    training; dropout and norm noise are off.

    Both modules are on their device. `optimizer` has the keys of the group of that name (its rate
    apart); weights alone decay. Batches are drawn from the stream "order".
    """

    def __init__(
        self,
        block: Block,
        top: nn.Module,
        *,
        optimizer: Mapping[str, Any],
        lr: float,
        batch_size: int,
        generator: GeneratorFactory,
    ) -> None:
        self.block, self.top = block, top
        self.batch_size, self.generator = batch_size, generator
        self.updates = 0
        self._modules = nn.ModuleDict({"block": block, "top": top})
        decay = optimizer["weight_decay"]
        groups = parameter_groups(self._modules, weight_decay=decay, layers=WEIGHT_LAYERS)
        self._optimizer = make_optimizer(groups, lr, optimizer)
        self._symmetry = Symmetry([(block, top)], hold=is_elementwise(optimizer["name"]))
        self._symmetry.start()

    def descend(
        self,
        inputs: Tensor,
        losses: Callable[[Tensor], Tensor],
        *,
        epoch: int,
    ) -> Epoch:
        """One epoch over the examples of `inputs` [N, ...]: the mean loss of its updates.

        `losses` maps a batch's indices [B] to losses per example [B]. Nothing is read from the
        device before the end.
        """
        order = self.generator("order", epoch)
        batches = epoch_batches(len(inputs), self.batch_size, order, inputs.device)
        total = torch.zeros((), dtype=torch.float64, device=inputs.device)
        train_mode(self.block)
        for indices in batches:
            loss = losses(indices).mean()
            loss.backward()
            self._optimizer.step()
            self._symmetry.after_update()
            self._optimizer.zero_grad()
            total += loss.detach()
            self.updates += 1
            yield
        return float(total / len(batches))

    def hidden(self, inputs: Tensor) -> Tensor:
        """What the next layer is fed: the clean outputs of the whole block, in evaluation mode."""
        return in_evaluation(self.block, inputs)

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all that the next epoch depends on."""
        state = training_state(self._modules, self._optimizer)
        copies = {name: value.clone() for name, value in state.items()}
        return copies | {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes up a state, so that the next epoch is what it would have been."""
        restore_training(self._modules, self._optimizer, state)
        self.updates = int(state["updates"])

    def write_back(self) -> None:
        """Nothing: the block itself was trained."""


class SupervisedLayer(GradientTrainee):
    """A block of the network under a temporary linear classifier, trained on cross-entropy.

    The baseline of Bengio et al. 2007 (appendix), layerwise training without an unsupervised
    criterion: each layer is the hidden layer of a network that has no other, fed by those below.

    The classifier, `top`, sees the whole block, pooled, as the next layer will. It is thrown away
    after the phase, so that the network's own output layer starts as after any other pretraining.
    """

    def train_epoch(self, inputs: Tensor, labels: Tensor, *, epoch: int) -> Epoch:
        """The mean of the cross-entropy over the epoch's updates.

        inputs: [N, ...], as the layer is fed; labels: [N], of these examples alone.
        """
        assert len(inputs) == len(labels)

        def losses(indices: Tensor) -> Tensor:
            outputs = self._outputs(inputs.index_select(0, indices))
            return cross_entropy(outputs, labels.index_select(0, indices))

        return self.descend(inputs, losses, epoch=epoch)

    def measure(self, train: Labelled, val: Labelled, *, epoch: int) -> dict[str, float]:
        """`train_` and `val_loss` and `_error` of the temporary classifier, in evaluation mode."""
        numbers = {}
        for split, (inputs, labels) in (("train", train), ("val", val)):
            outputs = in_evaluation(self.block, inputs, self._outputs)
            numbers[f"{split}_loss"] = float(cross_entropy(outputs, labels).double().mean())
            numbers[f"{split}_error"] = float(judge_classes(outputs, labels)[0].double().mean())
        return numbers

    def _outputs(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.top(self.block(inputs).flatten(1))
        return outputs.to(inputs.dtype)


def temporary_classifier(block: Block, inputs: Tensor, num_classes: int, fill: Fill) -> nn.Linear:
    """A linear output layer for the block's outputs, flattened; its bias starts at 0.

    `inputs`: some of what the block is fed. `fill` initializes the weight [num_classes, features].
    """
    features = in_evaluation(block, inputs[:1]).flatten(1).shape[1]
    values = torch.empty(num_classes, features)
    fill(values)
    return filled(nn.Linear(features, num_classes, device="meta"), values, block.layer.weight)
