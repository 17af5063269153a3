"""What the user wants to be modelled: a Points layer, some of its axes, some of its features.

>>> source = Source(layer, axes=(0, 1), precision="uncertainty")
>>> cloud = source.read()
>>> cloud.points.shape, cloud.noise_std.shape
((40000, 2), (40000, 2))
"""

from dataclasses import dataclass

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.axes import Axes
from napari_sparse_gmm.plugin.frame import Frame, modelled_points
from napari_sparse_gmm.plugin.layers import ASSIGNMENT_FEATURES


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points that a layer shows, in model coordinates, with what is known about each.

    Parameters
    ----------
    points : (N, D) array
    frame : Frame
    shown : (all points of the layer,) array of bool
        Which of them these are.
    weights : (N,) array or None
        How often each counts.
    noise_std : (N, D) array or None
        Standard deviation of its place along each axis.
    """

    points: FloatArray
    frame: Frame
    shown: NDArray[np.bool_]
    weights: FloatArray | None
    noise_std: FloatArray | None


@dataclass(frozen=True, eq=False)
class Source:
    """A Points layer, the axes to model, and the names of the features that matter.

    Parameters
    ----------
    layer : Points
    axes : tuple of int
    weights : str, optional
        How often each point counts.
    precision : str, optional
        Standard deviation of the place of each point, in the unit of the layer.
    axial_precision : str, optional
        The same along the first of three axes, where it is another one.
    """

    layer: Points
    axes: Axes
    weights: str | None = None
    precision: str | None = None
    axial_precision: str | None = None

    def read(self) -> Cloud:
        """What the layer shows now.

        Raises
        ------
        ValueError
            Where no point is left, or a coordinate or a feature is of no use.
        """
        points, frame = modelled_points(self.layer, self.axes)
        return Cloud(
            points,
            frame,
            np.array(self.layer.shown, dtype=bool),
            None if self.weights is None else self._point_weights(self.weights),
            None if self.precision is None else self._noise_std(self.precision),
        )

    def _point_weights(self, feature: str) -> FloatArray:
        weights = self._values(feature, "weight")
        if np.count_nonzero(weights) < 2:
            raise ValueError(
                f"Feature {feature!r} leaves fewer than two points of layer {self.layer.name!r} "
                "with a weight: choose another one."
            )
        return weights

    def _noise_std(self, feature: str) -> FloatArray:
        columns = [self._values(feature, "precision")] * len(self.axes)
        if self.axial_precision is not None and len(self.axes) == 3:
            columns[0] = self._values(self.axial_precision, "axial precision")
        return np.stack(columns, axis=1)

    def _values(self, feature: str, purpose: str) -> FloatArray:
        """A feature of the points that the layer shows, finite and not negative, (N,)."""
        if feature not in self.layer.features:
            raise ValueError(
                f"Layer {self.layer.name!r} has no feature {feature!r} any more: choose another "
                f"{purpose}, then run again."
            )
        values = np.asarray(self.layer.features[feature], dtype=np.float64)
        values = values[np.asarray(self.layer.shown, dtype=bool)]
        bad = int((~np.isfinite(values) | (values < 0)).sum())
        if bad:
            raise ValueError(
                f"Feature {feature!r} is negative or not a number for {bad} of the {len(values)} "
                f"points of layer {self.layer.name!r}: mend it, or choose another {purpose}."
            )
        return values


def numeric_features(layer: Points) -> list[str]:
    """The features of a layer that are real numbers, and not from an earlier fit, by name."""
    names = [str(name) for name in layer.features.select_dtypes("number").columns]
    return [name for name in names if name not in ASSIGNMENT_FEATURES]
