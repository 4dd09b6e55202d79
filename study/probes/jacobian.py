"""Singular values of a layer's Jacobian: near 1, gradients keep their size on the way back."""

import math

import torch
from torch import Tensor


def mean_singular_value(weight: Tensor, slopes: Tensor, pieces: int = 1) -> Tensor:
    """Mean singular value of J = diag(f') W over E examples (Glorot & Bengio 2010, section 4.2.1).

    weight: [K, p U, F]; slopes: [K, E, p U], f' at each pre-activation; returns [K]. A J has U
    rows and min(U, F) singular values, zeros among them. Of maxout, `pieces` is p and row u is
    the sum of the rows u, U + u, ... of W times their slopes. nan where something is not finite.
    """
    pairs = zip(weight.double(), slopes.double(), strict=True)
    return torch.stack([_mean_singular_value(*each, pieces) for each in pairs]).to(weight)


def _mean_singular_value(weight: Tensor, slopes: Tensor, pieces: int) -> Tensor:
    """Of one replica: [p U, F] and [E, p U] to a number."""
    num_units, num_inputs = len(weight) // pieces, weight.shape[1]
    if pieces == 1 and num_units <= num_inputs:
        gram = _gram_of_rows(weight, slopes)
    else:
        jacobian = (slopes.unsqueeze(2) * weight).unflatten(1, (pieces, num_units)).sum(1)
        wide = jacobian if num_units <= num_inputs else jacobian.mT
        gram = wide @ wide.mT
    if not bool(gram.isfinite().all()):
        return gram.new_tensor(math.nan)
    count = min(num_units, num_inputs) * len(slopes)
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum() / count


def _gram_of_rows(weight: Tensor, slopes: Tensor) -> Tensor:
    """J J^T without rows that are 0 in every example, [U, F] and [E, U] to [E, u, u].

    It is W W^T times slopes. Rows of 0 add singular values of 0: half of all, with relu.
    """
    used = slopes != 0
    most = int(used.sum(1).amax())
    rows = used.int().argsort(1, descending=True)[:, :most]
    factors = slopes.gather(1, rows)
    gram = (weight @ weight.mT)[rows.unsqueeze(2), rows.unsqueeze(1)]
    return factors.unsqueeze(2) * gram * factors.unsqueeze(1)
