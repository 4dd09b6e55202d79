"""What a phase of greedy pretraining trains: one layer of one seed.

And what every kind of it shares: an epoch's batches, and the block it trains in its two modes.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import torch
from torch import Tensor

from study.networks import BatchNorm, Block, Stochastic
from study.training.settings import EVALUATION_BATCH

GeneratorFactory = Callable[[str, int], torch.Generator]
"""Makes the generator of (purpose, epoch): one stream for each seed, layer, purpose and epoch."""

Epoch = Generator[None, None, float]
"""An epoch of a layer: an update for each item, and the mean of the criterion in the end."""

Labelled = tuple[Tensor, Tensor]
"""What a layer is fed [N, ...] and the labels [N]."""


class Trainee(Protocol):
    """One layer of one seed while it is pretrained.

    Its tensors are on their device from the start. It draws from the streams of a
    `GeneratorFactory` alone, so its numbers depend on no other seed.
    """

    updates: int
    """Parameter updates done so far."""

    def train_epoch(self, inputs: Tensor, labels: Tensor, *, epoch: int) -> Epoch:
        """Trains on every full batch of `inputs` [N, ...] once, an update for each item.

        `inputs` are what the layer is fed, `labels` [N] their classes. `epoch` counts from 0. Its
        value, in the end, is the criterion's running mean.
        """

    def measure(self, train: Labelled, val: Labelled, *, epoch: int) -> dict[str, float]:
        """The monitors at an epoch's end on some of the training split and on validation.

        The name of a number that is one split's starts with `train_` or `val_`.
        """

    def hidden(self, inputs: Tensor) -> Tensor:
        """What the next layer is fed: the clean outputs of the whole block, in evaluation mode."""

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all that the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes up a state, so that the next epoch is what it would have been."""

    def write_back(self) -> None:
        """Puts what was learned into the network's block."""


def epoch_batches(
    num_examples: int, batch_size: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """The indices of an epoch's batches [updates, batch]: a fresh order, without the rest.

    A batch is at most all examples. Drawn on the generator's device, moved to `device`.
    """
    size = min(batch_size, num_examples)
    order = torch.randperm(num_examples, generator=generator, device=generator.device)
    return order[: num_examples // size * size].view(-1, size).to(device)


def train_mode(block: Block) -> None:
    """Training mode but for dropout and norm noise, which pretraining leaves out."""
    block.train()
    for module in block.modules():
        if isinstance(module, Stochastic):
            module.eval()


def evaluation_batches(block: Block, num_examples: int) -> Iterator[Tensor]:
    """The indices of each batch of an evaluation, large ones in the order of the examples.

    A norm that evaluates on the batch's own statistics has batches of its own size, in a fixed
    random order: examples that are sorted by class would otherwise be normalized as one class.
    """
    norm = block.norm
    if isinstance(norm, BatchNorm) and norm.evaluation == "batch":
        order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(0))
        yield from order.split(norm.eval_batch_size)
    else:
        yield from torch.arange(num_examples).split(EVALUATION_BATCH)


@torch.no_grad()
def in_evaluation(
    block: Block, inputs: Tensor, function: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """`function` (the whole block, if None) of all inputs, a batch at a time in evaluation mode.

    inputs: [N, ...]; `function` maps [B, ...] to [B, ...]. The block is left in evaluation mode.
    """
    block.eval()
    function = function or block
    outputs: Tensor | None = None
    for batch in evaluation_batches(block, len(inputs)):
        indices = batch.to(inputs.device)
        part = function(inputs.index_select(0, indices))
        if outputs is None:
            outputs = inputs.new_empty(len(inputs), *part.shape[1:])
        outputs[indices] = part.to(outputs.dtype)
    assert outputs is not None, "no examples"
    return outputs
