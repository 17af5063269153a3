"""Which moves can be tried together: conflict-free batches of proposals.

A proposal depends on the cells of points of the components that it removes, or, where it removes
none, on those near its new components; and on the components that overlap with them, which step
along. Two conflict where they share a cell, or where one removes a component of the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines.compiled import compiled
from napari_sparse_gmm.engines.pattern import Pattern, ragged
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Index, Proposals, squared_distances
from napari_sparse_gmm.mixture import GaussianMixture

# Components that step together with a new one: its nearest, up to a Mahalanobis distance.
_NEIGHBOURS = 5
_OVERLAP = 6.0

# Deletions tried together may not take away more of the weight: something must be left.
_LARGEST_LOSS = 0.9


@dataclass(frozen=True, eq=False)
class Candidates:
    """P proposals with the cells and components that each depends on.

    Parameters
    ----------
    proposals : Proposals
    starts, cells : (P + 1,) and (C,) arrays of int
        The cells of points that count for each, one after the other.
    overlapping : (P, n) array of int
        The components that overlap with its own; -1 where there are fewer.
    """

    proposals: Proposals
    starts: Index
    cells: Index
    overlapping: Index

    def __len__(self) -> int:
        return len(self.proposals)

    def subset(self, chosen: NDArray[np.bool_]) -> "Candidates":
        """Those where `chosen` (P,) is true."""
        rows = np.flatnonzero(chosen)
        counts = self.starts[rows + 1] - self.starts[rows]
        return Candidates(
            self.proposals.subset(rows),
            np.append(0, np.cumsum(counts)),
            self.cells[ragged(self.starts[rows], counts)],
            self.overlapping[rows],
        )

    @property
    def owners(self) -> Index:
        """Which proposal each of the cells counts for, (C,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def candidates_of(
    problem: Problem, mixture: GaussianMixture, touched: Pattern, proposals: Proposals
) -> Candidates:
    """What each proposal depends on; `touched` are the cells of the mixture's components."""
    order = np.argsort(touched.components, kind="stable")
    counts = np.bincount(touched.components, minlength=mixture.n_components)
    starts, cells = np.append(0, np.cumsum(counts)), touched.blocks[order]
    removed = np.maximum(proposals.removed, 0)  # (P, 2)
    n_cells = np.where(proposals.removed >= 0, counts[removed] if len(counts) else 0, 0)
    parts = [cells[ragged(starts[removed].ravel(), n_cells.ravel())]]
    owners = [np.repeat(np.arange(len(proposals)), n_cells.sum(1))]
    births = np.flatnonzero(proposals.n_removed == 0)
    if len(births):
        rows, slots = np.nonzero(proposals.added[births])
        rows = births[rows]
        covariances = problem.convolved(proposals.covariances[rows, slots])
        widths = 2.0 * np.sqrt(np.trace(covariances, axis1=1, axis2=2))
        near = problem.engine.near(proposals.means[rows, slots], widths)
        parts.append(near.cells)
        owners.append(np.repeat(rows, np.diff(near.starts)))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return Candidates(
        proposals,
        np.append(0, np.cumsum(np.bincount(owner, minlength=len(proposals)))),
        np.concatenate(parts)[order],
        overlaps(problem, mixture, proposals),
    )


def overlaps(problem: Problem, mixture: GaussianMixture, proposals: Proposals) -> Index:
    """The components that overlap with the removed ones of each proposal, or else the new ones,
    (P, n); -1 where there are fewer.
    """
    n = min(_NEIGHBOURS + 2, mixture.n_components)
    if not len(proposals) or n == 0:
        return np.empty((len(proposals), 0), dtype=np.intp)
    takes_out = (proposals.n_removed > 0)[:, None]
    own = np.where(takes_out, proposals.removed >= 0, proposals.added)  # (P, 2)
    j = np.maximum(proposals.removed, 0)
    means = np.where(takes_out[..., None], mixture.means[j], proposals.means)[own]
    covariances = np.where(
        takes_out[..., None, None], mixture.covariances[j], proposals.covariances
    )[own]
    near = cKDTree(mixture.means).query(means, n)[1].reshape(len(means), n)
    pooled = problem.convolved(covariances)[:, None]
    pooled = pooled + problem.convolved(mixture.covariances)[near]  # (A, n, D, D)
    difference = mixture.means[near] - means[:, None]
    far = squared_distances(difference, pooled) >= _OVERLAP**2
    out = np.full((*own.shape, n), -1, dtype=np.intp)
    out[own] = np.where(far, -1, near)
    return out.reshape(len(proposals), -1)


def conflict_free(problem: Problem, state: Evaluated, candidates: Candidates) -> NDArray[np.bool_]:
    """A conflict-free batch of the candidates, (P,); greedy, the first comes first."""
    mixture, proposals = state.mixture, candidates.proposals
    removed = np.maximum(proposals.removed, 0)
    weights = mixture.weights[removed] if mixture.n_components else np.zeros(removed.shape)
    loss = np.where(proposals.removed >= 0, weights, 0.0).sum(1) - proposals.weights.sum(1)
    chosen: NDArray[np.bool_] = _greedy(
        proposals.removed,
        proposals.growth,
        loss,
        candidates.starts,
        candidates.cells,
        candidates.overlapping,
        problem.most - mixture.n_components,
        _LARGEST_LOSS,
        np.zeros(mixture.n_components, dtype=bool),
        np.zeros(len(problem.engine.cell_weights), dtype=bool),
    )
    return chosen


@compiled
def _greedy(  # type: ignore[no-untyped-def]
    removed, growth, loss, starts, cells, overlapping, capacity, largest_loss, used, used_cells
):
    """One proposal after the other, where its components and cells are not used yet."""
    chosen = np.zeros(len(removed), np.bool_)
    lost = 0.0
    for p in range(len(removed)):
        free = growth[p] <= capacity and lost + loss[p] <= largest_loss
        for j in removed[p]:
            free = free and (j < 0 or not used[j])
        for i in range(starts[p], starts[p + 1]):
            if not free:
                break
            free = not used_cells[cells[i]]
        if not free:
            continue
        chosen[p] = True
        lost += max(loss[p], 0.0)
        capacity -= growth[p]
        for j in removed[p]:
            if j >= 0:
                used[j] = True
        for j in overlapping[p]:
            if j >= 0:
                used[j] = True
        for i in range(starts[p], starts[p + 1]):
            used_cells[cells[i]] = True
    return chosen
