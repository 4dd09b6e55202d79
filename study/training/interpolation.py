"""The straight line between the trained networks of neighbouring seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from study.config.configuration import RECONSTRUCTION, Config
from study.data import Data, Split, subset_indices
from study.data.device import DTYPES
from study.networks import BatchNorm, Network, build_network
from study.outputs.results import TrainedReplica, choose_lr
from study.outputs.series import neighbours
from study.training.alone import Alone, laid_out
from study.training.group import Evaluation
from study.training.settings import Replica, Settings
from study.training.trainer import set_tf32

TRAIN_EXAMPLES = 10_000
"""The training loss along a line is that of so many training images at most, stratified."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Ends:
    """A pair of trained replicas by their last-epoch states."""

    seeds: tuple[int, int]
    lr: float
    states: tuple[State, State]


def pair_rows(
    config: Config, data: Data, results: Sequence[TrainedReplica]
) -> list[dict[str, Any]]:
    """The rows of pairs.csv at the chosen learning rate; none where no pairs are asked for.

    Goodfellow et al. 2015 ("Qualitatively characterizing neural network optimization problems")
    for the line. Evaluated by the plain network in float32 (float64 where it was trained in it).
    """
    points = config.pairs.points
    if not points:
        return []
    set_tf32(False)
    lr = choose_lr([result.entry for result in results])
    weights = {result.seed: result.weights for result in results if result.lr == lr}
    line = Line(config, data)
    rows = []
    for first, second in neighbours(weights):
        states = weights[first], weights[second]
        assert states[0] is not None, "a chosen replica has its weights where pairs are asked for"
        assert states[1] is not None, "so has its neighbour"
        rows += line.rows(Ends((first, second), lr, (states[0], states[1])), points)
    return rows


class Line:
    """Evaluates networks between two others on a subset of the training images and on the test set.

    Running averages of BatchNorm are those of no network on the line: at every point, the ends
    too, they are taken anew over the training subset, in batches of the training's size, of clean
    images, without dropout or noise (as Jordan et al. 2023, "REPAIR", who show how activations lose
    their variance between two networks without it).
    """

    def __init__(self, config: Config, data: Data) -> None:
        self.settings, self.test = Settings.from_config(config), data.test
        indices = subset_indices(data.train.labels.cpu(), min(len(data.train), TRAIN_EXAMPLES))
        indices = indices.to(data.train.labels.device)
        self.train = Split(data.train.inputs[indices], data.train.labels[indices])
        dtype = DTYPES[config.trainer.precision]
        network = build_network(config.network, data.input_shape, data.num_classes)
        self.network: Network = network.to(device=data.train.inputs.device, dtype=dtype)
        self._alone = Alone(self.network, Replica(0, 0.0), self.settings)
        self._parameters = [name for name, _ in self.network.named_parameters()]

    def rows(self, ends: Ends, num_points: int) -> list[dict[str, Any]]:
        """A row for each of the points, from the first end to the second, evenly spaced."""
        first, start = self._vector(ends.states[0]), None
        found = []
        for index in range(num_points):
            alpha = index / (num_points - 1)
            state = self._between(*ends.states, alpha)
            train, test = self.evaluate(state)
            start = test.predictions if start is None else start
            here = self._vector(state)
            distance, norms = (first - here).norm(), torch.stack([first.norm(), here.norm()])
            found.append(
                {
                    "seed": ends.seeds[0],
                    "other_seed": ends.seeds[1],
                    "lr": ends.lr,
                    "alpha": alpha,
                    "train_loss": float(train.loss),
                    "train_error": float(train.error),
                    "test_loss": float(test.loss),
                    "test_error": float(test.error),
                    "disagreement": self._disagreement(test.predictions, start),
                    "distance": float(distance),
                    "relative_distance": float(distance / norms.square().mean().sqrt()),
                    "cosine": float((first @ here / norms.prod()).clamp(-1, 1)),
                }
            )
        return found

    def evaluate(self, state: State) -> tuple[Evaluation, Evaluation]:
        """A network on the training subset and on the test images."""
        self.network.load_state_dict(dict(state))
        _take_statistics(self.network, self.train.inputs, self.settings)
        return self._alone.evaluate(self.train), self._alone.evaluate(self.test)

    def _disagreement(self, predictions: Tensor, others: Tensor) -> float:
        """The share that two networks predict differently; NaN for those that predict nothing."""
        if self.settings.task.name == RECONSTRUCTION:
            return math.nan
        return float((predictions != others).double().mean())

    def _between(self, first: State, second: State, alpha: float) -> State:
        """Parameters (1 - alpha) w + alpha w', exactly w and w' at the ends; buffers are w's."""
        return {
            name: torch.lerp(value, second[name], alpha) if name in self._parameters else value
            for name, value in first.items()
        }

    def _vector(self, state: State) -> Tensor:
        """All parameters, float64 [P], in the network's order: a state from a file has another."""
        return torch.cat([state[name].flatten().double() for name in self._parameters])


@torch.no_grad()
def _take_statistics(network: Network, inputs: Tensor, settings: Settings) -> None:
    """Sets the running averages of every BatchNorm to the means over batches of all inputs.

    The batches are of one random order, as images may lie sorted by class.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        return
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    batches = order.to(inputs.device).split(settings.batch_of(len(inputs)))
    whole = [batch for batch in batches if len(batch) == len(batches[0])]
    network.eval()
    before = [norm.momentum for norm in norms]
    # Training mode is of the norms alone, and of nothing in them.
    for norm in norms:
        norm.training = True
    try:
        for count, batch in enumerate(whole, 1):
            for norm in norms:
                norm.momentum = 1 / count
            network(laid_out(network, inputs[batch]))
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.training, norm.momentum = False, momentum
