"""When probes are taken: at initialization, after given updates, at the ends of epochs."""

from dataclasses import dataclass

import torch

from study.config.groups import NUM_EXAMPLES, ProbesGroup
from study.data import Split
from study.errors import InputError


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
