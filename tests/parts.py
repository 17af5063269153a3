"""An engine that holds its points in several parts, and joins their answers.

It knows of points no more than an engine on several machines would: what it can answer, a fit may
ask for.
"""

from collections.abc import Sequence

import numpy as np

from napari_sparse_gmm.engines import Assignment, Statistics, Summary
from napari_sparse_gmm.engines.engine import Cells, Engine
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.information import Information
from napari_sparse_gmm.engines.overdensity import Overdensities
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Scores
from napari_sparse_gmm.observations import Observations


class Parts(Engine):
    """Engines as one.

    Parameters
    ----------
    parts : sequence of InMemory
    rows : sequence of (n,) arrays of int
        Which of all points those of each part are.
    """

    name, reason = "parts", "Several parts."

    def __init__(self, parts: Sequence[InMemory], rows: Sequence[np.ndarray]) -> None:
        self.parts, self.rows = parts, rows
        sizes = [len(part.cell_weights) for part in parts]
        self.first_cells = np.append(0, np.cumsum(sizes))

    @classmethod
    def of(cls, observations, owner, engine, **keywords):
        """The observations whose `owner` (N,) is the same are a part."""
        rows = [np.flatnonzero(owner == part) for part in np.unique(owner)]
        return cls([engine(observations.subset(own), **keywords) for own in rows], rows)

    @property
    def summary(self):
        return Summary.joining([part.summary for part in self.parts])

    @property
    def typical_noise(self):
        if self.parts[0].typical_noise is None:
            return None
        return np.median(np.concatenate([part.observations.noise for part in self.parts]), axis=0)

    @property
    def cell_weights(self):
        return np.concatenate([part.cell_weights for part in self.parts])

    def sample(self, n, rng):
        # In the given order, as the whole draws them: fits that start from a sample start alike.
        values = zip(*(vars(part.observations).values() for part in self.parts), strict=True)
        seen = Observations(*(None if v[0] is None else self._in_given_order(v) for v in values))
        return seen if n >= len(seen) else seen.subset(rng.choice(len(seen), n, replace=False))

    def n_outside(self, region):
        return sum(part.n_outside(region) for part in self.parts)

    def expectation(self, mixture, *, removal=False, cells=None):
        return Statistics.joining(
            [
                part.expectation(
                    mixture,
                    removal=removal,
                    cells=None if cells is None else cells[(cells >= a) & (cells < b)] - a,
                )
                for part, a, b in self._with_cells()
            ]
        )

    def background_counts(self, mixture, lattice):
        return sum(part.background_counts(mixture, lattice) for part in self.parts)

    def touched(self, mixture):
        found = [(part.touched(mixture), a) for part, a, _ in self._with_cells()]
        return Pattern(
            np.concatenate([pattern.rows + a for pattern, a in found]),
            *(
                np.concatenate([getattr(pattern, name) for pattern, _ in found])
                for name in ("counts", "components", "double")
            ),
        )

    def near(self, positions, radii):
        found = [(part.near(positions, radii), a) for part, a, _ in self._with_cells()]
        owner = np.concatenate(
            [np.repeat(np.arange(len(positions)), np.diff(near.starts)) for near, _ in found]
        )
        counts = np.bincount(owner, minlength=len(positions))
        cells = np.concatenate([near.cells + a for near, a in found])
        return Cells(np.append(0, np.cumsum(counts)), cells[np.argsort(owner, kind="stable")])

    def overdensities(self, mixture, search, whole=None):
        whole = self.summary if whole is None else whole
        return Overdensities.joining(
            [part.overdensities(mixture, search, whole) for part in self.parts]
        )

    def information(self, mixture, pairs):
        return Information.joining([part.information(mixture, pairs) for part in self.parts])

    def scores(self, mixture):
        return Scores.joining([part.scores(mixture) for part in self.parts])

    def log_density(self, mixture):
        return self._in_given_order([part.log_density(mixture) for part in self.parts])

    def assign(self, mixture):
        found = [part.assign(mixture) for part in self.parts]
        return Assignment(
            *(
                self._in_given_order([getattr(part, name) for part in found])
                for name in ("component", "probability", "log_density")
            )
        )

    def without_noise(self):
        return Parts([part.without_noise() for part in self.parts], self.rows)

    def _with_cells(self):
        """Each part, its first cell, and the next part's."""
        return zip(self.parts, self.first_cells[:-1], self.first_cells[1:], strict=True)

    def _in_given_order(self, values):
        together = np.concatenate(values)
        out = np.empty_like(together)
        out[np.concatenate(self.rows)] = together
        return out
