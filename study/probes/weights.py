"""Probes of weights: how many units differ, how large, of what rank, how fast they move."""

import math

import numpy as np
import torch
from torch import Tensor

WELL_CONDITIONED = 1e-11
"""Squared singular values are exact enough above this share of the largest."""


def distinct_units(rows: Tensor, tolerance: Tensor) -> Tensor:
    """How many units differ, [K, U, D] to int64 [K], where a row is all that makes a unit.

    Rows are the same if no coordinate differs by more than the replica's tolerance, [K], and if a
    chain of such rows joins them. A row with nan or inf is the same as no other; no rows are if
    the tolerance is nan.

    Rows that are the same are neighbours in the order of their projections on any line; only
    rows whose projections are that close are compared.
    """
    rows = rows.detach()
    stream = torch.Generator().manual_seed(0)
    direction = torch.randn(rows.shape[2], 1, generator=stream, dtype=torch.float64)
    direction /= direction.abs().sum()
    places = (rows.double() @ direction.to(rows.device)).squeeze(2).cpu().numpy()
    heights = rows.abs().amax(2).double().cpu().numpy()
    limits = tolerance.tolist()
    counts = [_num_groups(*each) for each in zip(rows, places, heights, limits, strict=True)]
    return torch.tensor(counts, device=rows.device)


def _num_groups(rows: Tensor, places: np.ndarray, heights: np.ndarray, limit: float) -> int:
    """Groups of rows [U, D], given their projections and their largest coordinates, [U] each."""
    finite = np.flatnonzero(np.isfinite(heights))
    if math.isnan(limit) or len(finite) < 2:
        return len(rows)
    order = finite[places[finite].argsort()]
    places = places[order]
    rounding = 4 * rows.shape[1] * np.finfo(np.float64).eps * heights[finite].max()
    reach = places.searchsorted(places + limit + rounding, side="right") - 1

    def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        apart = rows[torch.from_numpy(order[left])] - rows[torch.from_numpy(order[right])]
        return (apart.abs().amax(1) <= limit).cpu().numpy()

    close = np.flatnonzero(reach > np.arange(len(order)))
    joined = close[same(close, close + 1)] if len(close) else close
    starts = np.ones(len(order), dtype=np.int64)
    starts[joined + 1] = 0
    groups = starts.cumsum()
    for left in np.flatnonzero(groups[reach] != groups):
        right = np.arange(left + 1, reach[left] + 1)
        right = right[groups[right] != groups[left]]
        for other in right[same(np.full_like(right, left), right)] if len(right) else right:
            groups[groups == groups[other]] = groups[left]
    return len(np.unique(groups)) + len(rows) - len(order)


def weight_norm(weight: Tensor) -> Tensor:
    """Frobenius norm, [K, ...] to [K]."""
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())))


def effective_rank(weight: Tensor) -> Tensor:
    """How many directions weights spread over, [K, U, F] to [K].

    exp of the entropy of the singular values' shares of their sum, from 1 to min(U, F) (Roy &
    Vetterli 2007, definition 1); nan if all weights are 0, or some are not finite.
    """
    ranks = []
    for matrix in weight.double():
        scaled = matrix / matrix.abs().amax()
        if not bool(scaled.isfinite().all()):
            ranks.append(scaled.new_tensor(math.nan))
            continue
        # The singular values by the Gram matrix where that will do.
        wide = scaled if scaled.shape[0] <= scaled.shape[1] else scaled.mT
        squares = torch.linalg.eigvalsh(wide @ wide.mT)
        ill = bool(squares[0] < WELL_CONDITIONED * squares[-1])
        values = torch.linalg.svdvals(scaled) if ill else squares.sqrt()
        ranks.append(torch.special.entr(values / values.sum()).sum().exp())
    return torch.stack(ranks).to(weight)


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    """Norm of an update over the norm of the weights before it, [K, ...] to [K].

    inf for weights of 0 that moved. 0 for those that did not, as for all others: the update is
    known, and is none.
    """
    update = weight_norm(after - before)
    return torch.where(update == 0, 0, update / weight_norm(before))


# Singular values of a layer's Jacobian: near 1, gradients keep their size on the way back.


def mean_singular_value(weight: Tensor, slopes: Tensor, pieces: int = 1) -> Tensor:
    """Mean singular value of J = diag(f') W over E examples (Glorot & Bengio 2010, section 4.2.1).

    weight: [K, p U, F]; slopes: [K, E, p U], f' at each pre-activation; returns [K]. A J has U
    rows and min(U, F) singular values, zeros among them. Of maxout, `pieces` is p and row u is
    the sum of the rows u, U + u, ... of W times their slopes. nan where something is not finite.
    """
    num_units, num_inputs = weight.shape[1] // pieces, weight.shape[2]
    means = []
    for own, slope in zip(weight.double(), slopes.double(), strict=True):
        if pieces == 1 and num_units <= num_inputs:
            # J J^T is W W^T times slopes. Without rows that are 0 in every example, which add
            # singular values of 0: half of all, with relu.
            used = slope != 0
            most = int(used.sum(1).amax())
            rows = used.int().argsort(1, descending=True)[:, :most]
            factors = slope.gather(1, rows)
            gram = (own @ own.mT)[rows.unsqueeze(2), rows.unsqueeze(1)]
            gram = factors.unsqueeze(2) * gram * factors.unsqueeze(1)
        else:
            jacobian = (slope.unsqueeze(2) * own).unflatten(1, (pieces, num_units)).sum(1)
            wide = jacobian if num_units <= num_inputs else jacobian.mT
            gram = wide @ wide.mT
        if not bool(gram.isfinite().all()):
            means.append(gram.new_tensor(math.nan))
            continue
        count = min(num_units, num_inputs) * len(slope)
        means.append(torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum() / count)
    return torch.stack(means).to(weight)
