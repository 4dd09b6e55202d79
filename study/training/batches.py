"""The batches of an epoch: what each seed is given, however its replicas are packed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from study.data import Split, augment
from study.training.settings import Purpose, Settings, Streams


class SeedBatches:
    """The training batches of one seed in one epoch.

    A fresh order, the incomplete rest dropped; then flips and crops, then input noise, each from
    the seed's own stream. `dropout` and `noise` are the generators that the network draws from.
    """

    def __init__(self, seed: int, data: Split, settings: Settings, epoch: int) -> None:
        self.data, self.settings = data, settings
        device = data.inputs.device

        def stream(purpose: Purpose) -> torch.Generator:
            return settings.streams.generator(seed, purpose, epoch, device=device)

        self.noise, self.dropout = stream("noise"), stream("dropout")
        self.augmentation = stream("augmentation")
        order = epoch_order(seed, settings.streams, epoch, len(data.labels)).to(device)
        size = settings.batch_of(len(order))
        self.indices = order[: len(order) // size * size].view(-1, size)

    def __len__(self) -> int:
        """Updates of the epoch."""
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs [B, C, H, W], labels [B]) of each update."""
        settings = self.settings
        for indices in self.indices:
            inputs = self.data.inputs.index_select(0, indices)
            if settings.flip or settings.crop:
                inputs = augment(
                    inputs, flip=settings.flip, crop=settings.crop, generator=self.augmentation
                )
            if settings.input_noise:
                inputs = inputs + settings.input_noise * normal_like(inputs, self.noise)
            yield inputs, self.data.labels.index_select(0, indices)


def epoch_order(seed: int, streams: Streams, epoch: int, num_examples: int) -> Tensor:
    """The order in which a seed sees the training examples in `epoch`: [num_examples].

    Drawn on the CPU whatever the device, so that it is the same on each.
    """
    generator = streams.generator(seed, "order", epoch)
    return torch.randperm(num_examples, generator=generator)


def evaluation_batches(data: Split, settings: Settings) -> Iterator[Tensor | slice]:
    """What indexes each batch of an evaluation of `data`.

    In the order of the split; or in a fixed random one where batches are normalized by their own
    statistics: images that are sorted by class would make them those of a single class.
    """
    num_examples, size = len(data.labels), settings.eval_batch_size
    if settings.eval_mixes:
        order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(0))
        yield from order.to(data.labels.device).split(size)
    else:
        yield from (slice(start, start + size) for start in range(0, num_examples, size))


def normal_like(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) in the shape of `inputs`: the same numbers in every precision."""
    draws = torch.empty(inputs.shape, dtype=torch.float32, device=inputs.device)
    return draws.normal_(generator=generator).to(inputs.dtype)
