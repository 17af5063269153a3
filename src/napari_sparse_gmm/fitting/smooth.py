"""A background that is not even, but smooth: a gradient, or the thickness of a cell.

It is a log-Gaussian Cox process on a grid of pixels c over the region (Moller, Syversveen &
Waagepetersen, Scandinavian Journal of Statistics 25, 1998),

    points in pixel c ~ Poisson(exp(g_0 + sum_k g_k phi_k(c))),     g_k ~ Normal(0, s_k^2),

whose phi_k are products of cosines, no finer than half of a side, with s_k = tau / |k|^2; and steps
beside the sides of a box, for where clusters reach further than what is scattered. Or the pixels
are those of the convex hull of the points, for a field that is no box. What g costs is
minus the logarithm of its evidence by Laplace's approximation, beside what the points have of it:

    1/2 sum_k (g_k / s_k)^2 + 1/2 log det(1 + S F S),     S = diag(s),

F being Fisher's information on g, that of g_0 projected out, which is free.

Of the points of a fit those that belong to no component say what g is (`likeliest`). To begin
with none is known, and clusters must not teach the background: there only whether a cell has any
point counts, the cells being so small that scattered points would fill about half (`first`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective
from napari_sparse_gmm.regions import Box, Hull, Intensity, Region
from napari_sparse_gmm.regions.pixels import Lattice

# Pixels along each axis, by the number of axes.
_PIXELS = {1: 256, 2: 64, 3: 24}
MOST_DIMENSIONS = max(_PIXELS)
# The most half waves along all axes together.
_DEGREE = 4
# tau, and the standard deviation of a step: the likeliest, and one that is wide.
_SCALES = (0.1, 0.3, 1.0, 3.0)
_OF_STEPS = 3.0
# Steps are no further from a side than this share of it, and are worth so many nats each.
_WIDEST_MARGIN = 0.25
_WORTH = 6.0
# Cells to begin with are no more than this, nor the points that are looked at.
_MOST_CELLS = 1 << 16
# A pixel with a point lies in the hull with this share of it at least.
_SEEN = 1 / 64
# Nats by which a background must be likelier than an even one to begin with.
_HOPE = 3.0

_NEWTON_STEPS, _CLOSE = 50, 1e-6


@dataclass(frozen=True)
class Side:
    """A strip along a side of a box: along an axis, the first or the last of the pixels."""

    axis: int
    last: bool
    n_pixels: int

    def of(self, indices: FloatArray, n: int) -> FloatArray:
        """1 in it and 0 elsewhere, at indices of pixels along the axis, of which there are n."""
        from_side = n - 0.5 - indices if self.last else indices + 0.5
        return (from_side < self.n_pixels).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Form:
    """What a background is made from: steps beside sides, waves, and the hull that it fills."""

    sides: tuple[Side, ...]
    waves: bool
    hull: Hull | None = None


@dataclass(frozen=True, eq=False)
class SmoothBackground:
    """Where points can lie and how densely, and what that costs beside an even one, in nats."""

    region: Region
    cost: float = 0.0


class SmoothBackgrounds:
    """What the background of the points of an engine may be, in a region that it fills evenly.

    Parameters
    ----------
    engine : Engine
    region : Region
        Of one to three dimensions.
    rng : Generator
        Draws the points that are looked at to begin with, where there are very many.
    """

    def __init__(self, engine: Engine, region: Region, rng: np.random.Generator) -> None:
        self.engine, self.region = engine, region
        d = region.n_dimensions
        self.lattice = Lattice.over(region.box, (_PIXELS[d],) * d)
        self._places = engine.sample(_MOST_CELLS, rng).points
        self._known_sizes: dict[tuple[Any, ...], FloatArray] = {}
        sides = self._worthwhile_sides() if isinstance(region, Box) else ()
        self.forms = [Form((), waves=True)]
        if sides:
            self.forms += [Form(sides, waves=False), Form(sides, waves=True)]
        if isinstance(region, Box) and (hull := self._worthwhile_hull()) is not None:
            self.forms.append(Form((), waves=True, hull=hull))

    def first(self) -> list[tuple[Form, SmoothBackground]]:
        """Those to begin with, besides an even one: each gives more hope than those before, of
        which there are two at most. What they cost is not known.
        """
        n = round(len(self._places) ** (1.0 / self.region.n_dimensions))
        cells = Lattice.over(self.region.box, (max(n, 1),) * self.region.n_dimensions)
        occupied = (cells.summed(self._places) > 0).astype(np.float64)
        found = []
        likeliest = self._fitted(_Occupancy, occupied, cells, Form((), waves=False)).gain
        for form in self.forms:
            fitted = self._fitted(_Occupancy, occupied, cells, form)
            if fitted.gain >= likeliest + _HOPE:
                likeliest = fitted.gain
                found.append((form, SmoothBackground(self._intensity(fitted.coefficients, form))))
        return found[-2:]

    def counts(self, mixture: GaussianMixture, objective: Objective) -> FloatArray:
        """The points that belong to no component of a mixture, in each pixel, as an image."""
        expected, _ = objective.expected(mixture, self.engine.summary.total_weight)
        return self.engine.background_counts(expected, self.lattice)

    def likeliest(self, counts: FloatArray, form: Form) -> SmoothBackground:
        """That of a form, where the background has so many points in each pixel."""
        fitted = self._fitted(_Counts, counts, self.lattice, form)
        return SmoothBackground(self._intensity(fitted.coefficients, form), fitted.cost)

    def _fitted(
        self, kind: "type[_Counts]", counts: FloatArray, lattice: Lattice, form: Form
    ) -> "_Fitted":
        sizes = self._sizes(lattice, form).ravel()
        inside = sizes > 0
        basis = self._basis(lattice, form)[:, inside]
        counted = kind(counts.ravel()[inside], np.log(sizes[inside]))
        found = [_fitted(counted, basis, scale) for scale in self._scales(form)]
        best = max(found, key=lambda fitted: fitted.gain)
        if form.hull is None:
            return best
        more = float(len(form.hull.corners))
        return replace(best, cost=best.cost + more, gain=best.gain - more)

    def _sizes(self, lattice: Lattice, form: Form) -> FloatArray:
        """How much of each pixel there is to fill, as an image; remembered."""
        key = lattice.shape, form.hull
        if key not in self._known_sizes:
            sizes = lattice.shares(self.region)
            if form.hull is not None:
                sizes = self._sizes_in_hull(lattice, form.hull, sizes)
            self._known_sizes[key] = sizes
        return self._known_sizes[key]

    def _sizes_in_hull(self, lattice: Lattice, hull: Hull, sizes: FloatArray) -> FloatArray:
        """Those in the hull, and a little beside it.

        Of n points in a convex set the share of it beside their hull is that of the corners among
        them (Efron, Biometrika 52, 1965): so much is spread there. And what is in the hull costs
        a nat for each of its V corners more than it seems to, as n log(1 - V / n) is the error
        of the estimate of its volume.
        """
        beside = len(hull.corners) / len(self._places)
        beside *= hull.volume / (self.region.volume - hull.volume)
        shares = lattice.shares(hull)
        seen = lattice.summed(self._places) > 0
        return np.maximum(sizes * shares, np.where(seen, max(_SEEN, beside), beside))

    def _intensity(self, coefficients: FloatArray, form: Form) -> Region:
        logs = coefficients @ self._basis(self.lattice, form)
        image = np.exp(logs - logs.max()).reshape(self.lattice.shape)
        if form.hull is not None:
            image *= self._sizes(self.lattice, form)
        return Intensity(image, self.lattice.spacing, self.lattice.origin, self.region)

    def _basis(self, lattice: Lattice, form: Form) -> FloatArray:
        """Steps and waves at the pixels of a lattice over the region, (K, C)."""
        shape = lattice.shape
        # Where its pixels are in those of the own one.
        axes = [
            np.asarray((np.arange(n) + 0.5) * (own / n) - 0.5)
            for n, own in zip(shape, self.lattice.shape, strict=True)
        ]
        rows = []
        for side in form.sides:
            along = side.of(axes[side.axis], self.lattice.shape[side.axis])
            rows.append(_over(along, side.axis, shape))
        if form.waves:
            cosines = [
                np.cos(np.pi * np.outer(range(_DEGREE + 1), (np.arange(n) + 0.5) / n))
                for n in shape
            ]
            for orders in _orders(len(shape)):
                wave = np.ones(shape)
                for axis, order in enumerate(orders):
                    wave *= _over(cosines[axis][order], axis, shape)
                rows.append(wave)
        return np.reshape(rows, (len(rows), int(np.prod(shape))))

    def _scales(self, form: Form) -> list[FloatArray]:
        """Standard deviations of the coefficients of `_basis`, (K,): those to choose from."""
        of_steps = np.full(len(form.sides), _OF_STEPS)
        if not form.waves:
            return [of_steps]
        squares = np.square(_orders(self.region.n_dimensions)).sum(1)
        return [np.append(of_steps, tau / squares) for tau in _SCALES]

    def _worthwhile_sides(self) -> tuple[Side, ...]:
        """Strips along sides in which cells are occupied less or more often than elsewhere."""
        shape = self.lattice.shape
        found = []
        for axis, n in enumerate(shape):
            others = max(len(self._places) / n, 1.0) ** (1.0 / max(len(shape) - 1, 1))
            thin = [n if a == axis else max(round(others), 1) for a in range(len(shape))]
            cells = Lattice.over(self.region.box, thin)
            occupied = (cells.summed(self._places) > 0).sum(
                tuple(a for a in range(len(shape)) if a != axis)
            )
            of_each = np.prod(thin) / n
            for last in (False, True):
                from_side = occupied[::-1] if last else occupied
                widths = np.arange(1, int(_WIDEST_MARGIN * n) + 1)
                inner = np.cumsum(from_side)[widths - 1]
                gains = (
                    _log_binomial(inner, widths * of_each)
                    + _log_binomial(from_side.sum() - inner, (n - widths) * of_each)
                    - _log_binomial(from_side.sum(), n * of_each)
                )
                # Of so many widths one is chosen.
                if gains.max() - np.log(len(widths)) > _WORTH:
                    found.append(Side(axis, last, int(widths[gains.argmax()])))
        return tuple(found)

    def _worthwhile_hull(self) -> Hull | None:
        """The convex hull of the points, where they may fill that and not the box."""
        if self.region.n_dimensions == 1:
            return None
        try:
            hull = Hull(self._places)
        except InputError:  # of points on a line
            return None
        gain = len(self._places) * np.log(self.region.volume / hull.volume) - len(hull.corners)
        return hull if gain > _HOPE else None


def _over(along: FloatArray, axis: int, shape: Sequence[int]) -> FloatArray:
    """Values along an axis, all over an image."""
    return np.broadcast_to(
        along.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape
    )


def _orders(d: int) -> list[tuple[int, ...]]:
    """Half waves along each axis."""
    every = product(range(_DEGREE + 1), repeat=d)
    return [orders for orders in every if 0 < sum(orders) <= _DEGREE]


def _log_binomial(k: FloatArray, n: FloatArray) -> FloatArray:
    """The log likelihood of k in n at the likeliest probability."""
    p = np.clip(k / n, 1e-12, 1 - 1e-12)
    return np.asarray(k * np.log(p) + (n - k) * np.log1p(-p))


@dataclass(frozen=True, eq=False)
class _Counts:
    """Numbers in pixels, (C,), Poisson with the mean exp(log_sizes + predictor)."""

    counts: FloatArray
    log_sizes: FloatArray

    def __call__(self, predictor: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Log likelihood, its derivative, (C,), and the information, (C,)."""
        means = np.exp(predictor + self.log_sizes)
        return float(self.counts @ predictor - means.sum()), self.counts - means, means

    @property
    def start(self) -> float:
        """Of the same mean everywhere."""
        return float(np.log(max(self.counts.sum(), 1e-9)) - np.log(np.exp(self.log_sizes).sum()))


@dataclass(frozen=True, eq=False)
class _Occupancy(_Counts):
    """As `_Counts`, but known is only whether there are any."""

    def __call__(self, predictor: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        means = np.maximum(np.exp(predictor + self.log_sizes), 1e-12)
        odds = means / np.expm1(np.minimum(means, 500.0))
        log_likelihood = self.counts @ np.log(-np.expm1(-means)) - (1 - self.counts) @ means
        slope = self.counts * odds - (1 - self.counts) * means
        return float(log_likelihood), slope, means * odds


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Coefficients (K,), what they cost, and how likely the points are then, both in nats."""

    coefficients: FloatArray
    cost: float
    gain: float


def _fitted(likelihood: _Counts, basis: FloatArray, scales: FloatArray) -> _Fitted:
    """The most probable coefficients of a basis (K, C), by Fisher scoring."""
    k = len(basis)
    design = np.concatenate([np.ones((1, basis.shape[1])), basis])
    precision = np.append(0.0, scales**-2.0)
    values = np.append(likelihood.start, np.zeros(k))

    def posterior(values: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        log_likelihood, slope, weights = likelihood(values @ design)
        log_posterior = log_likelihood - 0.5 * float(precision @ values**2)
        return log_posterior, design @ slope - precision * values, (design * weights) @ design.T

    found, slope, information = posterior(values)
    for _ in range(_NEWTON_STEPS):
        step = np.linalg.solve(information + np.diag(precision + 1e-9), slope)
        while True:
            further = posterior(values + step)
            if further[0] >= found or np.abs(step).max() < _CLOSE:
                break
            step = 0.5 * step
        gained, values = further[0] - found, values + step
        found, slope, information = further
        if gained < _CLOSE:
            break
    own = information[1:, 1:] - np.outer(information[0, 1:], information[0, 1:]) / information[0, 0]
    widths = np.linalg.slogdet(np.eye(k) + scales[:, None] * own * scales)[1]
    cost = 0.5 * float(precision @ values**2) + 0.5 * float(widths)
    return _Fitted(values[1:], cost, found - 0.5 * float(widths))
