"""The sequential engine: plain modules, trained in turn."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from study.data import Split, augment
from study.networks import set_generators
from study.population.engine import (
    EpochSums,
    Evaluation,
    Replica,
    Settings,
    State,
    epoch_order,
    evaluation_batches,
    normal_like,
)
from study.population.losses import wrong
from study.population.optimizers import make_optimizer


class SequentialEngine:
    """K plain networks, each an epoch at a time with an optimizer of its own.

    The reference for every other engine: what it does to a network is what a hand-written
    training loop would do.
    """

    name = "sequential"

    def __init__(
        self, networks: Sequence[nn.Module], replicas: Sequence[Replica], settings: Settings
    ) -> None:
        assert len(networks) == len(replicas), "one network for each replica"
        self.networks = nn.ModuleList(networks)
        self.replicas = list(replicas)
        self.settings = settings
        self.optimizers: list[torch.optim.Optimizer] = []

    def start(self) -> None:
        self.optimizers = [
            make_optimizer(network, replica.lr, self.settings.optimizer)
            for network, replica in zip(self.networks, self.replicas, strict=True)
        ]

    def train_epoch(
        self, data: Split, *, epoch: int, factors: Sequence[float], tick: Callable[[], None]
    ) -> EpochSums:
        rows = []
        for index in range(len(self.replicas)):
            rows.append(self._train_one(index, data, epoch, factors))
            tick()
        loss, errors, first_loss = torch.stack(rows).unbind(dim=1)
        examples = len(factors) * self.settings.batch_of(len(data.labels))
        return EpochSums(loss / len(factors), errors / examples, first_loss)

    def _train_one(self, index: int, data: Split, epoch: int, factors: Sequence[float]) -> Tensor:
        """One epoch of one replica: [summed batch losses, wrong predictions, first loss]."""
        network, optimizer = self.networks[index], self.optimizers[index]
        network.train()
        sums = torch.zeros(3, dtype=torch.float64, device=data.inputs.device)
        for update, (inputs, labels) in enumerate(self._batches(index, data, epoch)):
            for group in optimizer.param_groups:
                group["lr"] = self.replicas[index].lr * factors[update]
            outputs = network(inputs).to(inputs.dtype)
            loss = self.settings.loss(outputs, labels).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if update == 0:
                sums[2] = loss.detach()
            sums[0] += loss.detach()
            sums[1] += wrong(outputs.detach(), labels).sum()
        return sums

    def _batches(self, index: int, data: Split, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, (inputs, labels) in turn: a fresh order, the rest dropped."""
        settings, device = self.settings, data.inputs.device
        replica, streams = self.replicas[index], self.settings.streams
        noise = streams.generator(replica.seed, "noise", epoch, device=device)
        dropout = streams.generator(replica.seed, "dropout", epoch, device=device)
        augmentation = streams.generator(replica.seed, "augmentation", epoch, device=device)
        set_generators(self.networks[index], dropout=dropout, noise=noise)
        order = epoch_order(replica, streams, epoch, len(data.labels)).to(device)
        size = settings.batch_of(len(order))
        for indices in order[: len(order) // size * size].split(size):
            inputs = data.inputs[indices]
            if settings.flip or settings.crop:
                inputs = augment(
                    inputs, flip=settings.flip, crop=settings.crop, generator=augmentation
                )
            if settings.input_noise:
                inputs = inputs + settings.input_noise * normal_like(inputs, noise)
            yield inputs, data.labels[indices]

    @torch.no_grad()
    def evaluate(self, data: Split) -> Evaluation:
        results = [self._evaluate_one(network, data) for network in self.networks]
        loss, error, predictions = (torch.stack(column) for column in zip(*results, strict=True))
        return Evaluation(loss, error, predictions)

    def _evaluate_one(self, network: nn.Module, data: Split) -> tuple[Tensor, Tensor, Tensor]:
        network.eval()
        losses, errors, predictions = [], [], torch.empty_like(data.labels)
        for batch in evaluation_batches(data, self.settings):
            labels = data.labels[batch]
            outputs = network(data.inputs[batch]).to(data.inputs.dtype)
            losses.append(self.settings.loss(outputs, labels).double().sum())
            errors.append(wrong(outputs, labels).sum())
            predictions[batch] = outputs.argmax(dim=1)
        count = len(data.labels)
        return (
            torch.stack(losses).sum() / count,
            torch.stack(errors).sum().double() / count,
            predictions,
        )

    def snapshot(self, index: int) -> State:
        return {
            name: value.detach().clone()
            for name, value in self.networks[index].state_dict().items()
        }

    def restore(self, index: int, state: State) -> None:
        self.networks[index].load_state_dict(state)
