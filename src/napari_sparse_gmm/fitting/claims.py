"""Which moves can be tried together: those that lay claim to different points.

A proposal claims the blocks of points of the components that it removes, or, where it removes
none, those near its new components; and the components that overlap with them, which step along.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposal, squared_distances
from napari_sparse_gmm.mixture import GaussianMixture

# Components that step together with a new one: its nearest, up to a Mahalanobis distance.
_NEIGHBOURS = 5
_OVERLAP = 6.0

# Deletions tried together may not take away more of the weight: something must be left.
_LARGEST_LOSS = 0.9


@dataclass(frozen=True, eq=False)
class Claim:
    """A proposal and the blocks of points that count for it alone."""

    proposal: Proposal
    blocks: NDArray[np.intp]


def disjoint(
    problem: Problem, state: Evaluated, proposals: Sequence[Proposal]
) -> tuple[list[Claim], list[Proposal]]:
    """Claims to different points, the first first; and proposals left for another turn."""
    mixture, room = state.mixture, problem.most - state.mixture.n_components
    touched = _Touched(problem, mixture)
    overlapping = overlaps(problem, mixture, proposals)
    claimed = np.zeros(mixture.n_components, dtype=bool)
    taken = np.zeros(len(problem.engine.cell_weights), dtype=bool)
    chosen, waiting, lost = [], [], 0.0
    for proposal, around in zip(proposals, overlapping, strict=True):
        blocks = touched.by(proposal)
        loss = mixture.weights[proposal.removed].sum() - proposal.weights.sum()
        if (
            proposal.growth > room
            or lost + loss > _LARGEST_LOSS
            or claimed[proposal.removed].any()
            or taken[blocks].any()
        ):
            waiting.append(proposal)
            continue
        lost += max(loss, 0.0)
        chosen.append(Claim(proposal, blocks))
        room -= proposal.growth
        claimed[proposal.removed] = claimed[around] = True
        taken[blocks] = True
    return chosen, waiting


class _Touched:
    """The blocks of points that components touch."""

    def __init__(self, problem: Problem, mixture: GaussianMixture) -> None:
        pattern = problem.engine.touched(mixture)
        order = np.argsort(pattern.components, kind="stable")
        self.problem, self.blocks = problem, pattern.blocks[order]
        ends = np.cumsum(np.bincount(pattern.components, minlength=mixture.n_components))
        self.starts = np.append(0, ends)

    def by(self, proposal: Proposal) -> NDArray[np.intp]:
        """Those of the removed components; without any, those near the means of the new ones."""
        if len(proposal.removed):
            return np.concatenate(
                [self.blocks[self.starts[j] : self.starts[j + 1]] for j in proposal.removed]
            )
        seen = self.problem.as_seen(proposal.covariances)
        widths = 2.0 * np.sqrt(np.trace(seen, axis1=1, axis2=2))
        return np.concatenate(self.problem.engine.near(proposal.means, widths))


def overlaps(
    problem: Problem, mixture: GaussianMixture, proposals: Sequence[Proposal]
) -> list[NDArray[np.intp]]:
    """The components that overlap with the removed ones of each proposal, or else the new ones."""
    n = min(_NEIGHBOURS + 2, mixture.n_components)
    if not proposals or n == 0:
        return [np.empty(0, dtype=np.intp)] * len(proposals)
    of = [mixture if len(p.removed) else p for p in proposals]
    rows = [p.removed if len(p.removed) else slice(None) for p in proposals]
    means = np.concatenate([o.means[row] for o, row in zip(of, rows, strict=True)])  # (A, D)
    covariances = np.concatenate([o.covariances[row] for o, row in zip(of, rows, strict=True)])
    near = cKDTree(mixture.means).query(means, n)[1].reshape(len(means), n)
    pooled = problem.as_seen(covariances)[:, None]
    pooled = pooled + problem.as_seen(mixture.covariances)[near]  # (A, n, D, D)
    difference = mixture.means[near] - means[:, None]
    near_enough = squared_distances(difference, pooled) < _OVERLAP**2
    sizes = [len(p.removed) or len(p.means) for p in proposals]
    ends = np.cumsum(sizes)
    return [
        near[end - size : end][near_enough[end - size : end]]
        for end, size in zip(ends, sizes, strict=True)
    ]
