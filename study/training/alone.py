"""One replica as its plain module."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from study.data import Split
from study.data.batches import Run
from study.networks import Network, set_generators
from study.training.group import (
    EpochSums,
    Evaluation,
    SeedBatches,
    State,
    Tally,
    batches_of,
    evaluation_batches,
    restore_training,
    training_state,
)
from study.training.optimizers import clip_norms, is_elementwise, make_optimizer, parameter_groups
from study.training.settings import Replica, Settings
from study.training.symmetry import Symmetry

BROKEN = "symmetry.broken"
"""Of a training state: the first layer whose equal units rounding told apart."""


class Alone:
    """One plain network with an optimizer of its own.

    The reference for every other group: what it does to a network is what a hand-written training
    loop would do.
    """

    def __init__(self, network: nn.Module, replica: Replica, settings: Settings) -> None:
        self.network = network
        self.replicas = [replica]
        self.settings = settings
        hold = is_elementwise(settings.optimizer["name"])
        self.symmetry = Symmetry.from_network(network, hold=hold)

    def start(self) -> None:
        lr, optimizer = self.replicas[0].lr, self.settings.optimizer
        groups = parameter_groups(self.network, weight_decay=optimizer["weight_decay"])
        self.optimizer = make_optimizer(groups, lr, optimizer)
        self.symmetry.start()
        self._forward = self.settings.prepared(self.network)

    def train(self, run: Run, factors: Sequence[float]) -> None:
        network, optimizer, replica = self.network, self.optimizer, self.replicas[0]
        task = self.settings.task
        if not run.first:
            device = run.data.inputs.device
            self._batches = SeedBatches(replica.seed, self.settings, run.epoch, device)
            self._tally = Tally(1, task, device)
            set_generators(network, dropout=self._batches.dropout, noise=self._batches.noise)
        network.train()
        batches = batches_of(run, [self._batches])
        for ((inputs,), (labels,)), factor in zip(batches, factors, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = replica.lr * factor
            outputs = self._forward(laid_out(network, inputs)).to(inputs.dtype)
            targets = task.target(inputs, labels)
            loss = task.loss(outputs, targets).mean()
            loss.backward()
            if largest := self.settings.optimizer.get("clip_norm"):
                gradients = [each.grad for each in network.parameters() if each.grad is not None]
                clip_norms([each.view(1, -1) for each in gradients], largest)
            optimizer.step()
            self.symmetry.after_update()
            optimizer.zero_grad()
            self._tally.add(loss.view(1), outputs, targets)

    def sums(self) -> EpochSums:
        return self._tally.means()

    @torch.no_grad()
    def evaluate(self, data: Split) -> Evaluation:
        self.network.eval()
        task = self.settings.task
        losses, errors, predictions = [], [], torch.empty_like(data.labels)
        for batch in evaluation_batches(data, self.settings):
            inputs = data.inputs[batch]
            targets = task.target(inputs, data.labels[batch])
            outputs: Tensor = self.network(laid_out(self.network, inputs)).to(inputs.dtype)
            losses.append(task.loss(outputs, targets).double().sum())
            error, predictions[batch] = task.judge(outputs, targets)
            errors.append(error.sum(dtype=torch.float64))
        count = len(data.labels)
        loss, error = torch.stack(losses).sum() / count, torch.stack(errors).sum() / count
        return Evaluation(loss.unsqueeze(0), error.unsqueeze(0), predictions.unsqueeze(0))

    def broken_symmetry(self, index: int) -> int | None:
        return self.symmetry.broken

    def snapshot(self, index: int) -> State:
        state = self.network.state_dict()
        return {name: value.detach().clone() for name, value in state.items()}

    def restore(self, index: int, state: State) -> None:
        self.network.load_state_dict(state)

    def training_state(self, index: int) -> State:
        state = training_state(self.network, self.optimizer)
        broken = self.symmetry.broken
        return state if broken is None else state | {BROKEN: torch.tensor(broken)}

    def restore_training(self, states: Sequence[State]) -> None:
        restore_training(self.network, self.optimizer, states[0])
        if BROKEN in states[0]:
            self.symmetry.broken = int(states[0][BROKEN])


def laid_out(network: nn.Module, inputs: Tensor) -> Tensor:
    """The inputs in the memory format in which the network is fastest.

    On a CPU convolutions are given images with their channels last, in which max pooling is
    several times as fast (benchmarks/layouts.py).
    """
    if inputs.device.type == "cpu" and isinstance(network, Network) and network.convolves:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs
