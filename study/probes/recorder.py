"""Takes the probes of a population while it trains."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from study.config.configuration import Config
from study.config.groups import NUM_EXAMPLES, ProbesGroup
from study.data import Data, Split
from study.data.batches import Run
from study.data.module import StudyData
from study.errors import InputError
from study.networks import Block, Network
from study.probes.capture import (
    Layer,
    Probed,
    capture,
    hidden_blocks,
    num_replicas,
    plain_parameter,
    signal,
)
from study.probes.measure import measure
from study.probes.signals import Distribution
from study.probes.slopes import dead_units, largest_slope, slope_of
from study.training.engine import Engine, on_workers
from study.training.group import Group
from study.training.settings import Replica, Settings
from study.training.task import Task

# When probes are taken: at initialization, after given updates, at the ends of epochs.


@dataclass(frozen=True)
class Moment:
    """A moment of training: after `step` updates and `epoch` whole epochs.

    `thorough`: costly probes are taken too. `sampled`: values are kept for histograms.
    """

    step: int
    epoch: int
    thorough: bool
    sampled: bool


def moments_of(probes: ProbesGroup, *, updates_per_epoch: int, num_epochs: int) -> list[Moment]:
    """The moments that the group `probes` of a configuration asks for, in order; none for `none`.

    A step beyond the end of training is left out.
    """
    if probes.name == "none":
        return []
    last = updates_per_epoch * num_epochs
    ends = range(1, num_epochs + 1) if probes.epochs == "all" else (num_epochs,)
    between = probes.steps
    if isinstance(between, int):
        # So many between 1 and the last, equally far apart on a log axis.
        between = [round(last ** (place / (between + 1))) for place in range(1, between + 1)]
    wanted = {0, *between, *(updates_per_epoch * epoch for epoch in ends)}
    steps = sorted(step for step in wanted if step <= last)
    sampled = {steps[place] for place in (0, len(steps) // 2, -1)}
    always = probes.thorough == "always"
    return [
        Moment(step, step // updates_per_epoch, always or step in (0, last), step in sampled)
        for step in steps
    ]


def check_steps(probes: ProbesGroup, *, last: int) -> None:
    """Raises `InputError` for a step that training does not reach."""
    if not isinstance(probes.steps, int) and probes.steps[-1] > last:
        raise InputError(
            f"probes.steps={probes.steps[-1]} is beyond the end of training: it has {last} updates"
        )


# The probe batch: the images on which every probe of a cell is taken.


def probe_batch(split: Split, num: int = NUM_EXAMPLES) -> Split:
    """`num` examples of a split (all, if it has no more), the same for every cell and moment.

    Drawn from a fixed stream: a split may be sorted by class.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    indices = order[:num].to(split.labels.device)
    return Split(split.inputs[indices], split.labels[indices])


# Which units are alive over a whole split, seen while the networks are evaluated on it.


class Liveness:
    """Which units of a block have not been alive on any example yet: `dead` is bool [K, U].

    A unit is alive where |f'| is not below 1 % of its largest value. Those that have been are not
    looked at again: most are found alive in the first batch.
    """

    def __init__(self, network: Probed, block: Block) -> None:
        self.network, self.block = network, block
        self.largest = largest_slope(block.activation, num_replicas(network))
        self.dead: Tensor | None = None

    def see(self, _: nn.Module, args: tuple[Tensor]) -> None:
        """Looks at one batch of pre-activations."""
        before = signal(self.network, args[0].detach())
        if self.dead is None:
            self.dead = self._unseen(before)
        left = self.dead.any(dim=0).nonzero().squeeze(1)
        if len(left):
            part = before.index_select(2, left).flatten(2)
            slope = slope_of(self.block.activation, part).unflatten(2, (len(left), -1))
            self.dead[:, left] &= dead_units(slope, self.largest)

    def _unseen(self, before: Tensor) -> Tensor:
        """All units dead; none of maxout's, whose largest piece has slope 1 everywhere.

        Nor any where |f'| has no bound: there is nothing to look at.
        """
        outputs = before.shape[2]
        pieces = getattr(self.block.activation, "pieces", 1)
        can_die = self.largest.isfinite() & (pieces == 1)
        return can_die.to(before.device).unsqueeze(1).repeat(1, outputs // pieces)

    def dead_fraction(self) -> Tensor:
        """The share of units that never were, [K]; nan where |f'| has no bound."""
        assert self.dead is not None, "something was evaluated"
        known = self.largest.to(self.dead.device).isfinite()
        return self.dead.double().mean(1).where(known, torch.nan)


@contextmanager
def watching_units(networks: Sequence[Probed]) -> Iterator[list[list[Liveness]]]:
    """Within it the units of each network are watched; a list for each, of one for each block."""
    with ExitStack() as hooks:
        watched = []
        for network in networks:
            blocks = [Liveness(network, block) for block in hidden_blocks(network)]
            for each in blocks:
                hook = each.block.activation.register_forward_pre_hook(each.see)
                hooks.callback(hook.remove)
            watched.append(blocks)
        yield watched


Row = dict[str, Any]
"""A row of probes.csv but for seed and learning rate: step, epoch, layer, and each probe taken."""
Samples = dict[tuple[int, int, str], Any]
"""{(step, layer, "activation" or "gradient"): some of the values, float32 [n]}."""
Owners = Sequence[Sequence[Replica]]
"""For each of K networks the replicas that it stands for."""

DIGITS = 7
"""Significant digits that are kept: a float32 has no more."""
NUM_SAMPLES = 4096


class Recorder(lightning.Callback):
    """Takes the probes of every replica of a population: `rows` and `samples`, by replica.

    Before training, where runs of updates end, which it asks of the data, and on the training
    split at the end. A replica's updates are the same with it and without: it draws no random
    number, and leaves the networks as they were.
    """

    def __init__(
        self, moments: Sequence[Moment], batch: Split, task: Task, own: Sequence[str] = ()
    ) -> None:
        self.moments = {moment.step: moment for moment in moments}
        self.batch, self.task, self.own = batch, task, own
        self.rows: defaultdict[Replica, list[Row]] = defaultdict(list)
        self.samples: defaultdict[Replica, Samples] = defaultdict(dict)
        self._watching = ExitStack()
        self._weights: dict[Replica, list[Tensor]] = {}
        self._inputs: dict[Replica, list[Distribution]] = {}

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        if isinstance(data := getattr(trainer, "datamodule", None), StudyData):
            # A moment needs the weights one update earlier.
            data.end_runs_at(step - back for step in self.moments for back in (0, 1))

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Measures the network that a seed's replicas start from, once for all of them."""
        if pl_module.updates:
            return
        engine, device = pl_module.engine, self.batch.inputs.device

        def take(seed: int) -> None:
            replicas = [replica for replica in engine.replicas if replica.seed == seed]
            start = pl_module.starts[seed].to(device)
            assert isinstance(start, Network), "it is made of blocks"
            self._take(self.moments[0], start, [replicas])

        on_workers(take, list(pl_module.starts), engine.num_workers)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        if pl_module.updates + 1 in self.moments:
            for group in pl_module.engine.groups:
                self._remember(group)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Run,
        batch_idx: int,
    ) -> None:
        moment, engine = self.moments.get(pl_module.updates), pl_module.engine
        is_before_one = pl_module.updates + 1 in self.moments

        def take(group: Group) -> None:
            if moment:
                self._take_group(moment, group)
            if is_before_one:
                self._remember(group)

        if moment or is_before_one:
            with trainer.precision_plugin.forward_context():
                on_workers(take, engine.groups, engine.num_workers)

    def on_test_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        batch: str,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Every replica is evaluated on the training set: units that stay dead count."""
        if batch == "train":
            self._watching.enter_context(self.watching(pl_module.engine))

    def on_test_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: str,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._watching.close()

    def _remember(self, group: Group) -> None:
        self._weights[group.replicas[0]] = [weight.clone() for weight in _weights(probed(group))]

    def _take_group(self, moment: Moment, group: Group) -> None:
        weights = self._weights.pop(group.replicas[0])
        self._take(moment, probed(group), [[replica] for replica in group.replicas], weights)

    def _take(
        self,
        moment: Moment,
        network: Probed,
        owners: Owners,
        weights: Sequence[Tensor] = (),
    ) -> None:
        """Measures K networks; `weights` are their layers' one update ago."""
        targets = self.task.target(self.batch.inputs, self.batch.labels)
        layers = capture(network, self.batch.inputs, targets, self.task)
        inputs = self._exchanged(owners, layers)
        for index, layer in enumerate(layers):
            layer.weight_before = weights[index] if weights else None
            layer.inputs_before = inputs[index] if inputs else None
            numbers = measure(layer, thorough=moment.thorough, own=self.own)
            self._write(owners, moment, index + 1, numbers)
            if moment.sampled:
                self._sample(owners, (moment.step, index + 1, "activation"), layer.activation)
                self._sample(owners, (moment.step, index + 1, "gradient"), layer.gradient)

    def _exchanged(self, owners: Owners, layers: Sequence[Layer]) -> list[Distribution]:
        """For each layer its inputs' distribution at the last moment, [K, units] each.

        Keeps those of now. Empty where there is no earlier moment.
        """
        count = len(owners)
        now = [layer.input_distribution for layer in layers]
        now = [(mean.expand(count, -1), std.expand(count, -1)) for mean, std in now]
        known = [self._inputs.get(replicas[0]) for replicas in owners]
        for index, replicas in enumerate(owners):
            own = [(mean[index : index + 1], std[index : index + 1]) for mean, std in now]
            self._inputs |= dict.fromkeys(replicas, own)
        if not all(known):
            return []
        return [
            (torch.cat([mean for mean, _ in layer]), torch.cat([std for _, std in layer]))
            for layer in zip(*(one for one in known if one), strict=True)
        ]

    def _write(
        self, owners: Owners, moment: Moment, layer: int, numbers: Mapping[str, Tensor]
    ) -> None:
        place = {"step": moment.step, "epoch": moment.epoch, "layer": layer}
        columns = {name: values.tolist() for name, values in numbers.items()}
        for index, replicas in enumerate(owners):
            taken = {name: shortened(values[index]) for name, values in columns.items()}
            for replica in replicas:
                self.rows[replica].append(place | taken)

    def _sample(self, owners: Owners, place: tuple[int, int, str], signal: Tensor) -> None:
        """Keeps some values of each network, evenly spaced."""
        values = signal.flatten(1)
        step = max(1, values.shape[1] // NUM_SAMPLES)
        kept = values[:, ::step][:, :NUM_SAMPLES].float().cpu().numpy()
        for replicas, row in zip(owners, kept, strict=True):
            own = np.array(row)
            for replica in replicas:
                self.samples[replica][place] = own

    def state_dict(self) -> dict[str, Any]:
        """What was taken of each replica, and what the next moment compares with."""
        return {
            "replicas": [
                {
                    "seed": replica.seed,
                    "lr": replica.lr,
                    "rows": rows,
                    "samples": [[*at, values] for at, values in self.samples[replica].items()],
                    "inputs": self._inputs.get(replica, []),
                }
                for replica, rows in self.rows.items()
            ]
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        device = self.batch.inputs.device
        for each in state_dict["replicas"]:
            replica = Replica(each["seed"], each["lr"])
            self.rows[replica] = each["rows"]
            self.samples[replica] = {
                (step, layer, name): values for step, layer, name, values in each["samples"]
            }
            if each["inputs"]:
                self._inputs[replica] = [
                    (mean.to(device), std.to(device)) for mean, std in each["inputs"]
                ]

    @contextmanager
    def watching(self, engine: Engine) -> Iterator[None]:
        """Within it every replica is evaluated on the training set: units that stay dead count.

        They are a probe of the last moment.
        """
        with watching_units([probed(group) for group in engine.groups]) as watched:
            yield
        for group, blocks in zip(engine.groups, watched, strict=True):
            for layer, block in enumerate(blocks):
                fractions = block.dead_fraction().tolist()
                for replica, fraction in zip(group.replicas, fractions, strict=True):
                    row = self.rows[replica][layer - len(blocks)]
                    lost = math.isnan(row["dead_fraction"])
                    row["dead_fraction_train"] = math.nan if lost else shortened(fraction)


def recorder_of(config: Config, data: Data) -> Recorder | None:
    """What takes the probes that a configuration asks for."""
    num_examples, settings = len(data.train), Settings.from_config(config)
    moments = moments_of(
        config.probes,
        updates_per_epoch=num_examples // settings.batch_of(num_examples),
        num_epochs=config.trainer.max_epochs,
    )
    if not moments:
        return None
    batch = probe_batch(data.val, config.probes.num_examples)
    return Recorder(moments, batch, settings.task, config.probes.own)


def probed(group: Group) -> Probed:
    """The network of a group, which is one that can be probed."""
    assert isinstance(group.network, Probed), "it is made of blocks"
    return group.network


def _weights(network: Probed) -> list[Tensor]:
    """The layers' weights, [K, ...] each, as they lie in the network."""
    return [
        plain_parameter(network, f"blocks.{index}.layer.weight", block.layer.weight.detach())
        for index, block in enumerate(hidden_blocks(network))
    ]


def shortened(value: float) -> float:
    """The number with the digits that count."""
    return float(f"{value:.{DIGITS}g}")
