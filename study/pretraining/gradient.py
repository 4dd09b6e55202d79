"""One layer of one seed trained by gradient descent, with what stands on it meanwhile."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from study.networks import Block
from study.population.optimizers import is_elementwise, optimizer_of, parameter_groups
from study.population.symmetry import Symmetry
from study.population.training import restore_training, training_state
from study.pretraining.trainee import (
    GeneratorFactory,
    epoch_batches,
    in_evaluation,
    train_mode,
)

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
        self._optimizer = optimizer_of(groups, lr, optimizer)
        self._symmetry = Symmetry([(block, top)], hold=is_elementwise(optimizer["name"]))
        self._symmetry.start()

    def descend(
        self,
        inputs: Tensor,
        losses: Callable[[Tensor], Tensor],
        *,
        epoch: int,
        tick: Callable[[], None],
    ) -> float:
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
            tick()
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
