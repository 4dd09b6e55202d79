"""The probe batch: the images on which every probe of a cell is taken."""

import torch

from study.data import Split

NUM_EXAMPLES = 1024


def probe_batch(split: Split, num: int = NUM_EXAMPLES) -> Split:
    """`num` examples of a split (all, if it has no more), the same for every cell and moment.

    Drawn from a fixed stream: a split may be sorted by class.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    indices = order[:num].to(split.labels.device)
    return Split(split.inputs[indices], split.labels[indices])
