"""Points with what is known of each: how often it counts, and how precise it is.

>>> observations = Observations.of([[0.0, 0.0], [3.0, 4.0]], noise_std=2.0)
>>> len(observations), observations.n_dimensions, observations.noise[0].tolist()
(2, 2, [4.0, 4.0])
>>> len(observations.subset([True, False]))
1

Wherever points are taken with their weights and noise, an `Observations` may be given instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.arrays import LARGEST, float_array
from napari_sparse_gmm.errors import InputError

FloatArray = NDArray[np.float64]

# So many points are sorted in no time.
_FEW = 20_000


@dataclass(frozen=True, eq=False)
class Observations:
    """Points as one value; see `of` for one that is checked.

    Parameters
    ----------
    points : (N, D) array
        Coordinates, in any units.
    weights : (N,) array, optional
        How often each point counts; once where it is not given.
    noise : (N, D) array, optional
        Variances of the noise of each point along each axis: the squares of the localization
        precision.
    """

    points: FloatArray
    weights: FloatArray | None = None
    noise: FloatArray | None = None

    @classmethod
    def of(
        cls,
        points: "ArrayLike | Observations",
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
        *,
        name: str = "points",
    ) -> "Observations":
        """Points (N, D), finite, with weights (N,) and standard deviations of their noise.

        `noise_std` is what `noise_variances` takes. An `Observations` is returned as it is. Errors
        call the points by `name`.

        Raises
        ------
        InputError
            Where shapes disagree, a value is not finite, or a weight or noise negative; or
            observations come with weights or noise beside them.
        """
        if isinstance(points, cls):
            if sample_weight is not None or noise_std is not None:
                raise InputError(
                    "Observations have their weights and noise; give neither sample_weight nor "
                    "noise_std beside them."
                )
            return points
        x = float_array(points, name, finite=True)
        if x.ndim != 2 or x.shape[1] < 1:
            raise InputError(f"{name} must have shape (N, D), not {x.shape}.")
        weights = None
        if sample_weight is not None:
            weights = float_array(sample_weight, "sample_weight")
            if weights.shape != x.shape[:1]:
                raise InputError(f"sample_weight must have shape ({len(x)},), not {weights.shape}.")
            bad = ~(np.isfinite(weights) & (weights >= 0))
            if bad.any():
                raise InputError(
                    f"sample_weight must be finite and not negative; {int(bad.sum())} of "
                    f"{len(x)} weights are not."
                )
        return cls(x, weights, noise_variances(noise_std, x.shape))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions, D."""
        return self.points.shape[1]

    @property
    def total_weight(self) -> float:
        """The sum of the weights; N where all points count once."""
        return float(len(self.points) if self.weights is None else self.weights.sum())

    @property
    def noise_std(self) -> FloatArray | None:
        """Standard deviations of the noise, (N, D)."""
        return None if self.noise is None else np.sqrt(self.noise)

    def subset(self, rows: ArrayLike | slice) -> "Observations":
        """Some of the points: by a mask (N,), their indices, or a slice."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return Observations(
            self.points[chosen],
            None if self.weights is None else self.weights[chosen],
            None if self.noise is None else self.noise[chosen],
        )

    @classmethod
    def joining(cls, parts: "Sequence[Observations]") -> "Observations":
        """Those of several sets, one after the other: all with noise, or none."""
        weights = [np.ones(len(part)) if part.weights is None else part.weights for part in parts]
        noise = [part.noise for part in parts if part.noise is not None]
        return cls(
            np.concatenate([part.points for part in parts]),
            None if all(part.weights is None for part in parts) else np.concatenate(weights),
            np.concatenate(noise) if noise else None,
        )

    def worth(self, share: float) -> "Observations":
        """The same, each counting `share` times as often."""
        if share == 1.0:
            return self
        weights = np.ones(len(self)) if self.weights is None else self.weights
        return replace(self, weights=share * weights)

    def same_as(self, other: "Observations") -> bool:
        """Whether all values are the same."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return all(
            one is two or (one is not None and two is not None and np.array_equal(one, two))
            for one, two in pairs
        )

    @property
    def digest(self) -> bytes:
        """A hash of all values."""
        found = blake2b(digest_size=16)
        for field in fields(self):
            values = getattr(self, field.name)
            found.update(b"none" if values is None else np.ascontiguousarray(values).data)
        return found.digest()

    @property
    def distinct(self) -> "Observations":
        """Points of the same position and noise as one, with their weight together.

        So a weight of 2 is the point twice, to the letter. In the order of their values where there
        are such points, or few in all.
        """
        columns = self.points if self.noise is None else np.hstack([self.points, self.noise])
        if len(self) > _FEW:
            # Equal points have equal keys, and others hardly ever: one sort finds out.
            key = np.sort(columns @ np.sqrt(2.0 + np.arange(columns.shape[1])))
            if not (key[1:] == key[:-1]).any():
                return self
        order = np.lexsort(columns.T[::-1])
        columns = columns[order]
        first = np.append(True, (columns[1:] != columns[:-1]).any(1))
        rows = order[first]
        if len(rows) == len(self):
            return self.subset(rows)
        weights = np.ones(len(self)) if self.weights is None else self.weights[order]
        return replace(self.subset(rows), weights=np.add.reduceat(weights, np.flatnonzero(first)))

    @property
    def counted(self) -> "Observations":
        """Those of positive weight."""
        if self.weights is None or (self.weights > 0).all():
            return self
        return self.subset(self.weights > 0)


def noise_variances(noise_std: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """The variances (N, D) of the noise of points of that shape, from its standard deviations.

    Parameters
    ----------
    noise_std : float, (N,) or (N, D) array, optional
        Standard deviation of the noise, for all points, for each point, or for each along each
        axis, in the units of the points. 0 is none.

    Raises
    ------
    InputError
        Where there is another shape, or a value that is negative or not finite.
    """
    if noise_std is None:
        return None
    std = float_array(noise_std, "noise_std")
    if std.shape not in ((), shape[:1], shape):
        raise InputError(
            f"noise_std must be a number or have shape ({shape[0]},) or {shape}, not {std.shape}."
        )
    bad = ~((std >= 0) & (std <= LARGEST))
    if bad.any():
        raise InputError(
            f"noise_std must be finite and not negative; {int(bad.sum())} of {std.size} values "
            f"are not, or are above {LARGEST:g}."
        )
    squares = np.square(std)
    return np.broadcast_to(squares[:, None] if squares.ndim == 1 else squares, shape)


def usable_precision(std: FloatArray, of_some: bool = False) -> NDArray[np.bool_]:
    """Which values (N,) of a column are the precision of a point.

    Programs mark a position that could not be measured by NaN, infinity, a negative number or 0;
    as a fit would take 0 for exact, it is none where others are above it, as `of_some` of all
    points others are.
    """
    above = (std > 0) & (std <= LARGEST)
    return above if of_some or above.any() else std == 0
