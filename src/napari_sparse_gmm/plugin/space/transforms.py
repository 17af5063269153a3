"""Where the positions of one layer lie in the coordinates of something else.

napari aligns the last axes of layers, and shows them in their units where those of all go together.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.components import LayerList, ViewerModel
from napari.layers import Layer

from napari_sparse_gmm.mixture import FloatArray


def affine_from(
    layer: Layer,
    units: Sequence[Any],
    coordinates: Callable[[FloatArray], FloatArray],
    in_units: bool,
) -> tuple[FloatArray, FloatArray]:
    """The affine map from data coordinates x of a layer to others: matrix @ x + offset.

    Parameters
    ----------
    layer : Layer
        Of n axes.
    units : sequence of m pint units
        Of the last axes of the world.
    coordinates : callable
        The other coordinates (k,) of a position in the world (m,) in these units.
    in_units : bool
        Whether the viewer shows layers in their units.

    Returns
    -------
    matrix (k, n), offset (k,)
    """
    lengths = _lengths(layer, units) if in_units else np.ones(layer.ndim)

    def moved(position: FloatArray) -> FloatArray:
        world = np.zeros(max(layer.ndim, len(units)))
        world[-layer.ndim :] = lengths * layer.data_to_world(position)
        return coordinates(world[-len(units) :])

    offset = moved(np.zeros(layer.ndim))
    return np.stack([moved(row) - offset for row in np.eye(layer.ndim)], axis=1), offset


def to_world_affine(layer: Layer, layers: LayerList) -> tuple[FloatArray, FloatArray]:
    """The map from data coordinates of a layer to the world that a viewer shows, in its units.

    Returns
    -------
    matrix (n, n), offset (n,)
    """
    units = layers.extent.units
    in_units = units is not None  # else they do not go together, and napari goes by numbers alone
    of_world = units[-layer.ndim :] if in_units else layer.units
    return affine_from(layer, of_world, lambda world: world, in_units)


def to_world(layer: Layer, viewer: ViewerModel, positions: FloatArray) -> FloatArray:
    """Where data coordinates (..., n) of a layer lie in the viewer's world, in its units."""
    matrix, offset = to_world_affine(layer, viewer.layers)
    return positions @ matrix.T + offset


def in_layer(layer: Layer, layers: LayerList, position: FloatArray) -> FloatArray:
    """Where a position (n,) in the viewer's world lies in the data coordinates of a layer."""
    matrix, offset = to_world_affine(layer, layers)
    return np.asarray(np.linalg.solve(matrix, position - offset))


def _lengths(layer: Layer, units: Sequence[Any]) -> FloatArray:
    """The units of a layer in those given, (n,); 1 where one is no length and so on."""
    n = min(layer.ndim, len(units))
    of_layer, units = layer.units[-n:], units[-n:]
    lengths = np.ones(layer.ndim)
    if all(one.is_compatible_with(other) for one, other in zip(of_layer, units, strict=True)):
        lengths[-n:] = [
            (1.0 * one).to(other).magnitude for one, other in zip(of_layer, units, strict=True)
        ]
    return lengths
