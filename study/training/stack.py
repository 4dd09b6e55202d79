"""Several replicas as one stacked network."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from study.data import Split
from study.data.batches import Run
from study.networks import Dropout, Network
from study.training.group import (
    EpochSums,
    Evaluation,
    SeedBatches,
    Slots,
    State,
    Tally,
    batches_of,
    evaluation_batches,
    load_slots,
    parts_of,
    slots_of,
)
from study.training.optimizers import clip_norms, make_optimizer, parameter_groups
from study.training.settings import Replica, Settings
from study.training.stacking import (
    StackedConvolution,
    StackedLinear,
    StackedNetwork,
    StackedStochastic,
)


class Slice(NamedTuple):
    """What of a parameter belongs to the replicas `first`, ..., `last` - 1: `part`, a row each."""

    parameter: Tensor
    part: Tensor
    first: int
    last: int


class Stack:
    """K replicas whose layers are batched matrix products and grouped convolutions.

    Replicas are kept in the order of their learning rates, so that those of one rate are one
    contiguous slice of every parameter: torch's own optimizer steps each slice at its rate. Where
    every rate has the same seeds, a seed's replicas share its batch.
    """

    def __init__(
        self, networks: Sequence[Network], replicas: Sequence[Replica], settings: Settings
    ) -> None:
        order = sorted(range(len(replicas)), key=lambda index: replicas[index].lr)
        self.replicas = [replicas[index] for index in order]
        self.network = StackedNetwork([networks[index] for index in order])
        self.settings = settings
        self.seeds = list(dict.fromkeys(replica.seed for replica in self.replicas))

    def start(self) -> None:
        layers = (StackedLinear, StackedConvolution)
        decay = self.settings.optimizer["weight_decay"]
        self.slices: list[Slice] = []
        groups, first, count = [], 0, len(self.replicas)
        for lr, same in groupby(self.replicas, key=lambda replica: replica.lr):
            last = first + len(list(same))
            for group in parameter_groups(self.network, weight_decay=decay, layers=layers):
                own = [
                    Slice(each, each.detach().view(count, -1)[first:last], first, last)
                    for each in group["params"]
                ]
                self.slices += own
                slices = [each.part for each in own]
                groups.append({**group, "params": slices, "lr": lr})
            first = last
        named = self.network.named_parameters()
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in named}
        self._forward = self.settings.prepared(self.network)
        places = [self.seeds.index(replica.seed) for replica in self.replicas]
        whole, rest = divmod(len(places), len(self.seeds))
        self.is_grid = not rest and places == [*range(len(self.seeds))] * whole
        self.rates = [group["lr"] for group in groups]
        self.optimizer = make_optimizer(groups, self.replicas[0].lr, self.settings.optimizer)
        self.seed_of = torch.tensor(places, device=next(self.network.parameters()).device)

    def train(self, run: Run, factors: Sequence[float]) -> None:
        count, task = len(self.replicas), self.settings.task
        if not run.first:
            device = run.data.inputs.device
            self._batches = [
                SeedBatches(seed, self.settings, run.epoch, device) for seed in self.seeds
            ]
            self._tally = Tally(count, task, device)
            self._give_generators(self._batches)
        self.network.train()
        for (images, labels), factor in zip(batches_of(run, self._batches), factors, strict=True):
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor
            inputs, targets = self._given(images, labels)
            outputs = self._forward(inputs).to(inputs.dtype).flatten(0, 1)
            losses = task.loss(outputs, targets).view(count, -1).mean(dim=1)
            self._step(losses)
            self._tally.add(losses, outputs, targets)

    def sums(self) -> EpochSums:
        return self._tally.means()

    def _given(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs, [S, B, C, H, W] or [K, B, C, H, W], and the replicas' targets, [K B, ...]."""
        target = self.settings.task.target(images.flatten(0, 1), labels.flatten())
        targets = target.unflatten(0, labels.shape)[self.seed_of]
        return (images if self.is_grid else images[self.seed_of]), targets.flatten(0, 1)

    def _step(self, losses: Tensor) -> None:
        """One update of every replica: the gradient of a sum holds each one's own."""
        losses.sum().backward()
        if largest := self.settings.optimizer.get("clip_norm"):
            gradients = [each.grad for each in self._names if each.grad is not None]
            clip_norms([each.view(len(self.replicas), -1) for each in gradients], largest)
        for parameter, part, first, last in self.slices:
            assert parameter.grad is not None, "every parameter reaches the loss"
            part.grad = parameter.grad.view(len(self.replicas), -1)[first:last]
        self.optimizer.step()
        for parameter, part, _, _ in self.slices:
            parameter.grad = part.grad = None

    def _give_generators(self, seeds: Sequence[SeedBatches]) -> None:
        for module in self.network.modules():
            if isinstance(module, StackedStochastic):
                drops = isinstance(module.plain, Dropout)
                module.generators = [each.dropout if drops else each.noise for each in seeds]
                module.seed_of = self.seed_of

    @torch.no_grad()
    def evaluate(self, data: Split) -> Evaluation:
        self.network.eval()
        count, num_examples = len(self.replicas), len(data.labels)
        task = self.settings.task
        losses = torch.zeros(count, dtype=torch.float64, device=data.labels.device)
        errors = torch.zeros_like(losses)
        predictions = data.labels.new_empty(count, num_examples)
        for batch in evaluation_batches(data, self.settings):
            inputs = data.inputs[batch]
            targets = task.target(inputs, data.labels[batch])
            targets = targets.expand(count, *targets.shape).flatten(0, 1)
            outputs = self.network(inputs).to(inputs.dtype).flatten(0, 1)
            losses += task.loss(outputs, targets).double().view(count, -1).sum(dim=1)
            error, classes = task.judge(outputs, targets)
            errors += error.double().view(count, -1).sum(dim=1)
            predictions[:, batch] = classes.view(count, -1)
        return Evaluation(losses / num_examples, errors / num_examples, predictions)

    def broken_symmetry(self, index: int) -> int | None:
        return None

    def snapshot(self, index: int) -> State:
        return self.network.snapshot(index)

    def restore(self, index: int, state: State) -> None:
        self.network.restore(index, state)

    def training_state(self, index: int) -> State:
        state = {f"module.{name}": view[index] for name, view in self.network.views().items()}
        for one, slots in zip(self.slices, slots_of(self.optimizer), strict=True):
            if one.first <= index < one.last:
                name = self._names[one.parameter]
                for slot, value in slots.items():
                    # A number that is of a slice as a whole counts updates, or follows from them.
                    row = value if value.dim() == 0 else self._plain(one, value)[index - one.first]
                    state[f"optimizer.{slot}.{name}"] = row
        return state

    def restore_training(self, states: Sequence[State]) -> None:
        parts = [parts_of(state) for state in states]
        for index, (values, _) in enumerate(parts):
            self.restore(index, values)
        kept = [slots for _, slots in parts]
        load_slots(self.optimizer, [self._rows(one, kept) for one in self.slices])

    def _rows(self, one: Slice, kept: Sequence[Mapping[str, Slots]]) -> Slots:
        """An optimizer's slots for a slice, from those of each replica's plain parameters."""
        own = [slots.get(self._names[one.parameter], {}) for slots in kept[one.first : one.last]]
        rows: dict[str, Tensor] = {}
        for slot, value in own[0].items():
            rows[slot] = torch.empty_like(one.part) if value.dim() else value
            if value.dim():
                for row, slots in zip(self._plain(one, rows[slot]), own, strict=True):
                    row.copy_(slots[slot])
        return rows

    def _plain(self, one: Slice, rows: Tensor) -> Tensor:
        """What has a row for each replica of a slice, as [replicas, ...] of the plain shape."""
        shaped = rows.view(-1, *one.parameter.shape[1:])
        return self.network.plain_view(self._names[one.parameter], shaped)
