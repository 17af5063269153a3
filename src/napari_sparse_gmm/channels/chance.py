"""What is seen, beside the same of data in which it is chance.

>>> found = AgainstChance(0.5, np.array([0.125, 0.25, 0.375]))
>>> found.ratio, found.p_value  # half of the points, where chance gives a quarter
(2.0, 0.25)
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True, eq=False)
class AgainstChance:
    """A statistic as it is seen, and its values under chance.

    Parameters
    ----------
    observed : float
    simulated : (n,) array
    nearer_is_less : bool
        Whether a small value speaks for an association, as of a distance, and not a large one.
    """

    observed: float
    simulated: FloatArray
    nearer_is_less: bool = False

    @property
    def expected(self) -> float:
        """What chance gives on average."""
        return float(self.simulated.mean())

    @property
    def ratio(self) -> float:
        """Observed over expected: the enrichment of a share. NaN where nothing is expected."""
        return self.observed / self.expected if self.expected else float("nan")

    @property
    def effect(self) -> float:
        """By how many standard deviations of chance it is above the expected; a z score, though no
        normal distribution is behind it. NaN where chance always gives the same.
        """
        spread = float(self.simulated.std())
        return (self.observed - self.expected) / spread if spread else float("nan")

    @property
    def p_value(self) -> float:
        """One-sided, for an association: (1 + number of simulations as extreme) / (1 + n)."""
        return self._p_value(self.nearer_is_less)

    @property
    def p_avoidance(self) -> float:
        """The same for the opposite: fewer inside, or farther away, than by chance."""
        return self._p_value(not self.nearer_is_less)

    def interval(self, percent: float = 95.0) -> tuple[float, float]:
        """Between which values so many percent of the simulations are."""
        tail = 0.5 * (100.0 - percent)
        low, high = np.percentile(self.simulated, [tail, 100.0 - tail])
        return float(low), float(high)

    def _p_value(self, less: bool) -> float:
        # Davison & Hinkley, Bootstrap Methods and their Application (1997), equation 4.11.
        extreme = self.simulated <= self.observed if less else self.simulated >= self.observed
        return float((1 + np.count_nonzero(extreme)) / (1 + len(self.simulated)))
