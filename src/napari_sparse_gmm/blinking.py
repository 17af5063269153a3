"""How many localizations are one observation, where molecules blink.

A fluorophore is localized again and again within its precision. To a model of independent points
each molecule, a scattered one too, is a small cluster. Of b localizations of a molecule, whatever
the distribution of b, the sum over all molecules of a field has E[b²] / E[b] times the variance
that as many independent points would have. So many localizations are worth one observation, and
weights of one over it make a composite likelihood whose evidence is right for clusters that are
wider than a molecule (Varin, Reid & Firth, An overview of composite likelihood methods, Statistica
Sinica 21, 2011).

Less one, that number is how many others of its own molecule a localization has, on average: its
*siblings*, which lie within some times the precision. It is read off the points where they are
sparse, as there hardly any neighbour is there by chance. Places where few points lie in a ring
around a localization, beyond its molecule, are such; the number of its near neighbours does not
decide which. What would be expected by chance, from the density in the ring, is subtracted, and the
median is taken: members of small clusters are among them.

Molecules are told from clusters by what is to be true of *every* sparse localization, and is not
where points are scattered singly besides: that it has siblings. Their number is about that of a
geometric distribution of b, as of a fluorophore that bleaches with the same probability each time
(negative binomial of shape 2, for the molecule of a localization is a large one more often); and
their distances have a scale, which is known where the precision is, or found where the share of
siblings within one standard deviation is that of a normal error.

Points on lines or in thin sections have more near neighbours than their ring says, too, for it
holds as much as the line in it is long. But their numbers are those of points that are spread
evenly (Poisson), where molecules differ; and the line goes on in the ring, where of molecules that
do not differ hardly anything is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import chi2, nbinom, poisson

from napari_sparse_gmm.observations import FloatArray, Observations

# Radii in standard deviations of the error: of near neighbours, and of the ring.
_NEAR, _RING = 2.5, (3.0, 6.0)
# Where it is known that points repeat: of a ring for the density, and the end of another.
_CLOSE_RING, _FAR_END = (3.0, 4.5), 6.0
# Of the localizations, those with the fewest in their ring are looked at: this share, but as many.
_SPARSE, _LARGEST_SPARSE, _ENOUGH = 0.10, 0.25, 100
# Fewer points say nothing; of more than these, some are looked at; so many neighbours of each.
_LEAST, _MOST, _NEIGHBOURS = 200, 3000, 128
# Neighbours are looked for among so many points at most, all that there are in some place.
_CROWD = 200_000
# The median of a negative binomial distribution of shape 2, as a share of its mean.
_SHAPE, _MEDIAN = 2.0, 0.84
# Precisions differ: their logarithms by so much, where they are not known.
_SPREAD = 0.3
# From one scale to the next, and how many in a row have to agree.
_STEP, _AGREEING = 1.15, 4
# Numbers of molecules are right to this factor.
_OFF = 1.5
# Where the precision is known, its scale is from about half of it to half as much again.
_KNOWN = _STEP ** np.arange(-6, 4)


@dataclass(frozen=True)
class _Siblings:
    """What near neighbours say at one scale.

    Parameters
    ----------
    scale : float
        The standard deviation of the error that they are looked at with.
    number : float
        Siblings of a localization: the mean, by way of the median.
    chance : float
        Neighbours that are near by chance.
    share : float
        Of the localizations, those that have siblings.
    alone, expected_alone : float
        Share of those without any neighbour, and what it should be.
    narrow : float
        Siblings within one standard deviation, over what they should be.
    around : float
        Points in the ring, over near neighbours.
    dispersion : float
        Variance of the number of near neighbours over its mean: 1 of a Poisson distribution.
    saturated : bool
        Whether there are more neighbours than were looked for.
    """

    scale: float
    number: float
    chance: float
    share: float
    alone: float
    expected_alone: float
    narrow: float
    around: float
    dispersion: float
    saturated: bool

    @property
    def end(self) -> bool:
        """Whether neighbours belong together, and do not go on along a line or in a section."""
        return self.dispersion >= 2.0 or self.around <= 0.45

    @property
    def of_molecules(self) -> bool:
        """Whether these are molecules, where the precision is not known."""
        return (
            2.0 <= self.number <= 20.0
            and self.number >= 5.0 * self.chance
            and self.share >= 0.9
            and self.alone <= 2.5 * self.expected_alone + 0.02
            and 0.7 < self.narrow < 1.5
            and self.end
        )

    @property
    def of_known_precision(self) -> bool:
        """Whether these are molecules, where the scale is that of the precision."""
        return (
            self.number >= 1.3
            and self.number >= 2.0 * self.chance
            and self.share >= 0.7
            and self.alone <= 2.5 * self.expected_alone + 0.05
            and self.narrow > 0.8
            and self.end
        )


def estimate_repeats(observations: Observations) -> float:
    """How many points are one observation: E[b²] / E[b]; 1 where nothing says that they repeat.

    From the positions, and the noise where it is known. It is to be trusted to a factor of about
    1.4. Always 1 of fewer than 200 points, and above three dimensions.
    """
    x, noise = observations.points, observations.noise
    if noise is not None:
        typical = np.sqrt(np.median(noise, axis=0))
        if not (typical > 0).all():
            noise = None
        else:
            x = x / typical
    if len(x) < _LEAST or x.shape[1] > 3:
        return 1.0
    rng = np.random.default_rng(0)
    distances = _distances(x, rng)
    scales = _scales(distances, x) if noise is None else iter(_KNOWN)
    agreeing: list[_Siblings] = []
    for scale in scales:
        found = _siblings(distances, scale, x.shape[1], rng)
        if found.saturated:
            break
        if found.of_molecules:
            agreeing.append(found)
        elif len(agreeing) >= _AGREEING:
            break
        else:
            agreeing = []
    if len(agreeing) >= _AGREEING:
        scale, number = _at_their_scale(agreeing)
        return 1.0 + _once_more(distances, scale, x.shape[1], number)
    if noise is not None:
        found = _siblings(distances, 1.0, x.shape[1], rng)
        if found.of_known_precision and not found.saturated:
            return 1.0 + _once_more(distances, 1.0, x.shape[1], found.number)
    return 1.0


@dataclass(frozen=True)
class Molecules:
    """How many molecules there are, and between which numbers."""

    number: float
    low: float
    high: float


def count_molecules(n_localizations: float, repeats: float) -> Molecules:
    """How many molecules so many localizations come from, where `repeats` was read off them.

    As of a fluorophore that bleaches with the same probability each time: then the mean number b of
    localizations of a molecule follows from E[b²] / E[b] = 2 E[b] - 1. The interval is a factor of
    1.5 either way, as numbers read off simulated fields are off.
    """
    if repeats <= 1.0:
        return Molecules(n_localizations, n_localizations, n_localizations)
    number = n_localizations / (0.5 * (repeats + 1.0))
    return Molecules(number, number / _OFF, min(number * _OFF, n_localizations))


def _distances(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """From some points to their nearest neighbours, ascending, (n, k)."""
    if len(x) > _CROWD:
        centre = x[rng.integers(len(x))]
        sides = np.ptp(x, axis=0)
        apart = np.abs((x - centre) / np.where(sides > 0, sides, 1.0)).max(1)
        x = x[np.argpartition(apart, _CROWD)[:_CROWD]]
    looked_at = x if len(x) <= _MOST else x[rng.choice(len(x), _MOST, replace=False)]
    found, _ = cKDTree(x).query(looked_at, k=min(_NEIGHBOURS + 1, len(x)))
    return np.asarray(found[:, 1:])


def _scales(distances: FloatArray, x: FloatArray) -> Iterator[float]:
    """Those that the error may have: from that of neighbours to a fortieth of the field."""
    nearest = distances[:, 0]
    apart = nearest[nearest > 0]  # localizations of another precision may lie at the same place
    scale = 0.5 * float(np.median(apart)) if len(apart) else np.inf
    while scale < np.ptp(x, axis=0).max() / 40.0:
        yield scale
        scale *= _STEP


def _siblings(distances: FloatArray, scale: float, d: int, rng: np.random.Generator) -> _Siblings:
    one, near, inner, outer = (
        (distances < radius * scale).sum(1) for radius in (1.0, _NEAR, *_RING)
    )
    # Where there are more neighbours than were looked for it is not sparse.
    crowded = outer == distances.shape[1]
    ring = np.where(crowded, distances.shape[1], outer - inner)
    least = np.clip(_ENOUGH / len(ring), _SPARSE, _LARGEST_SPARSE)
    sparse = ring <= np.quantile(ring, least)
    one, near, ring = one[sparse], near[sparse], ring[sparse]
    # near = s within + chance, ring = s in_ring + chance / volume: solved for s.
    within, (in_ring, volume) = _share_within(_NEAR, d), _of_ring(_RING, d)
    by_chance, share = ring.mean() * volume, within - in_ring * volume
    median = np.median(near + rng.uniform(-0.5, 0.5, len(near)))
    number = float(max((median / _MEDIAN - by_chance) / share, 0.0))
    mean = max((near.mean() - by_chance) / share, 1e-9)
    chance = float(max(by_chance - number * in_ring * volume, 0.0))
    narrow = (one.mean() - chance / _NEAR**d) / (mean * _share_within(1.0, d))
    expected = number * within
    alone = (1.0 + expected / _SHAPE) ** -_SHAPE * np.exp(-chance)
    return _Siblings(
        scale,
        number,
        chance,
        _share_with_siblings(near, expected, chance),
        float((near == 0).mean()),
        float(alone),
        float(narrow),
        float(ring.mean() / max(near.mean(), 1e-9)),
        float(near.var() / max(near.mean(), 1e-9)),
        bool(crowded[sparse].any()),
    )


def _of_ring(ring: tuple[float, float], d: int) -> tuple[float, float]:
    """Share of the siblings in a ring; and the volume of what is near, over that of the ring."""
    inner, outer = ring
    in_ring = _share_within(outer, d) - _share_within(inner, d)
    return in_ring, _NEAR**d / (outer**d - inner**d)


def _share_within(radius: float, d: int) -> float:
    """Share of the siblings that lie within so many standard deviations of the error."""
    # Both localizations have an error. Gauss-Hermite over the logarithms of the two.
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    variances = np.exp(2.0 * _SPREAD * nodes)
    together = chi2.cdf(radius**2 / (variances[:, None] + variances), d)
    return float(weights @ together @ weights / weights.sum() ** 2)


def _share_with_siblings(near: NDArray[np.intp], expected: float, chance: float) -> float:
    """The most likely share of localizations with siblings, where the others have neighbours by
    chance alone; by EM.
    """
    numbers = np.arange(_NEIGHBOURS + 1)
    alone = poisson.pmf(numbers, max(chance, 1e-6))
    siblings = nbinom.pmf(numbers, _SHAPE, _SHAPE / (_SHAPE + max(expected, 1e-3)))
    with_siblings = np.convolve(siblings, alone)[near] + 1e-12
    without = alone[near] + 1e-12
    share = 0.5
    for _ in range(100):
        share = float(
            np.mean(share * with_siblings / (share * with_siblings + (1 - share) * without))
        )
    return share


def _once_more(distances: FloatArray, scale: float, d: int, number: float) -> float:
    """Siblings of a localization where it is known that they repeat; `number` where the field is
    too dense to say.

    Places that are chosen for few points in a ring have fewer by chance there than nearby. So the
    ring that chooses them is another one than that which says what chance is, farther out.
    """
    near, inner, outer, choosing = (
        (distances < radius * scale).sum(1) for radius in (_NEAR, *_CLOSE_RING, _FAR_END)
    )
    open_ = choosing < distances.shape[1]
    if open_.mean() < _LARGEST_SPARSE:
        return number
    chosen = np.where(open_, choosing - outer, distances.shape[1])
    sparse = chosen <= np.quantile(chosen, _LARGEST_SPARSE)
    in_ring, volume = _of_ring(_CLOSE_RING, d)
    by_chance = (outer - inner)[sparse].mean() * volume
    rng = np.random.default_rng(0)
    median = np.median(near[sparse] + rng.uniform(-0.5, 0.5, np.count_nonzero(sparse)))
    # The median is below the mean for the siblings, hardly for what is near by chance.
    share = _MEDIAN * _share_within(_NEAR, d) - in_ring * volume
    return float(max((median - by_chance) / share, 0.0))


def _at_their_scale(agreeing: list[_Siblings]) -> tuple[float, float]:
    """The scale at which as many siblings as should be lie within a standard deviation, and how
    many a localization has there.
    """
    scales = np.log([found.scale for found in agreeing])
    narrow = np.log([found.narrow for found in agreeing])
    slope, offset = np.polyfit(scales, narrow, 1)
    if slope > 0:
        scale = np.clip(-offset / slope, scales[0], scales[-1])
    else:
        scale = scales[0] if narrow.mean() > 0 else scales[-1]
    numbers = np.log([found.number for found in agreeing])
    nearby = np.exp(-0.25 * ((scales - scale) / _SPREAD) ** 2)
    number = np.exp(np.polyval(np.polyfit(scales, numbers, 1, w=nearby), scale))
    return float(np.exp(scale)), float(number)
