"""Where points could have been, as another layer of the viewer says it.

>>> cell = Shapes([[0.0, 0.0], [0.0, 2000.0], [1500.0, 0.0]], shape_type="polygon", units="nm")
>>> outlined(cell, layer, (0, 1)).volume
1500000.0
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.regions import enclosed, has_inside, labelled_regions, unique_names
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.plugin.space.transforms import affine_from
from napari_sparse_gmm.regions import Intensity, Mask, Polygon, Region

# The feature of a Shapes layer that has the names of its shapes: the first of these.
_NAMES = ("name", "label", "cell", "region", "id")

# At up to 120 bytes for each while an `Intensity` is made.
_MOST_PIXELS = 1 << 26


def outlines_regions(layer: Layer) -> bool:
    """Whether a layer can say where points could have been: labels, an image that is not RGB, or
    shapes with an inside; those may also be drawn yet.
    """
    if isinstance(layer, Shapes):
        return not layer.nshapes or any(has_inside(kind) for kind in layer.shape_type)
    return isinstance(layer, Labels) or (isinstance(layer, Image) and not layer.rgb)


def outlined(
    layer: Shapes | Labels | Image, points: Points, axes: Axes, *, in_units: bool = True
) -> Region:
    """What the shapes, or all labels, of a layer cover, in the model's coordinates; of an image,
    where it is above 0, filled as densely as it is bright.

    Of the last axes of the model, those that the layer constrains.

    Parameters
    ----------
    layer : Shapes, Labels or Image
        With as many axes as the points, or fewer. Along axes that are not modelled the region is
        that of all labels together, or of the mean of the image.
    points : Points
        Whose coordinates are modelled.
    axes : tuple of D int
        Those that are.
    in_units : bool
        Whether the viewer shows layers in their units, which it does where those of all of them go
        together.

    Raises
    ------
    InputError
        Where the layer outlines nothing, or lies askew to the axes; where an image is negative
        or not finite somewhere, or too large.
    """
    return outlined_through(layer, *_to_model(layer, points, axes, in_units))


def outlined_through(
    layer: Shapes | Labels | Image, matrix: FloatArray, offset: FloatArray
) -> Region:
    """The same, by the map from data coordinates (n,) of the layer to the model's (D,)."""
    if isinstance(layer, Shapes):
        return _polygon(layer, matrix, offset)
    pixels = Pixels.through(layer, matrix, offset)
    return _mask(layer, pixels) if isinstance(layer, Labels) else _intensity(layer, pixels)


def outlined_each(
    layer: Shapes | Labels | Image, points: Points, axes: Axes, *, in_units: bool = True
) -> dict[str, Region]:
    """The same of each shape, or label, by its name; of an image none.

    The name of a shape is its feature `name`, `label`, `cell`, `region` or `id`, or else its
    number; that of a label its value.
    """
    if isinstance(layer, Shapes):
        matrix, offset = _to_model(layer, points, axes, in_units)
        names = unique_names(_names(layer))
        shapes = zip(names, layer.data, layer.shape_type, strict=True)
        return {
            name: Polygon((outline @ matrix.T + offset)[:, -2:])
            for name, corners, kind in shapes
            for outline in enclosed([corners], [kind])
        }
    if isinstance(layer, Image):
        return {}
    pixels = Pixels.of(layer, points, axes, in_units)
    return labelled_regions(
        np.asarray(_finest(layer)), pixels.spacing, pixels.origin, pixels.together
    )


def _names(layer: Shapes) -> list[str]:
    """What the shapes of a layer are called."""
    for feature in _NAMES:
        if feature in layer.features:
            names = layer.features[feature]
            blank = names.isna() | (names.astype(str).str.strip() == "")
            return [
                str(n) if empty else str(name)
                for n, (name, empty) in enumerate(zip(names, blank, strict=True))
            ]
    return [str(n) for n in range(layer.nshapes)]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Where the pixels of a layer of n axes lie along the last d axes of a model.

    Parameters
    ----------
    together : tuple of n - d int
        The axes that are not modelled: along those, pixels are taken together.
    spacing : (d, d) array
        The step from a pixel to the next along each of the others, one in a column.
    origin : (d,) array
        The centre of the first pixel.
    """

    together: tuple[int, ...]
    spacing: FloatArray
    origin: FloatArray

    @classmethod
    def of(cls, layer: Labels | Image, points: Points, axes: Axes, in_units: bool) -> Self:
        """Those of a layer, for points and axes as in `outlined`.

        Raises
        ------
        InputError
            Where no axis of the layer is along one of the model, or more of them are than it has.
        """
        return cls.through(layer, *_to_model(layer, points, axes, in_units))

    @classmethod
    def through(cls, layer: Labels | Image, matrix: FloatArray, offset: FloatArray) -> Self:
        """The same, by the map from data coordinates (n,) of the layer to the model's (D,)."""
        lengths = np.abs(matrix).max(0)
        modelled = lengths > 1e-12 * lengths.max()
        d = int(np.count_nonzero(modelled))
        if not 0 < d <= len(matrix):
            raise InputError(
                f"Layer {layer.name!r} lies askew to the axes that are modelled, or has none of "
                "them: choose another region."
            )
        rows = slice(len(matrix) - d, None)
        together = tuple(map(int, np.flatnonzero(~modelled)))
        return cls(together, matrix[rows][:, modelled], offset[rows])


def _finest(layer: Labels | Image) -> Any:
    """Its pixels; of several scales the first is the one that the layer's transform is of."""
    return layer.data[0] if layer.multiscale else layer.data


def _to_model(
    layer: Layer, points: Points, axes: Axes, in_units: bool
) -> tuple[FloatArray, FloatArray]:
    """The map from data coordinates of a layer to the model's; see `affine_from`."""

    def modelled(world: FloatArray) -> FloatArray:
        u = np.asarray(points.world_to_data(world)) * points.scale
        return np.asarray(u[list(axes)])

    return affine_from(layer, points.units, modelled, in_units)


def _polygon(layer: Shapes, matrix: FloatArray, offset: FloatArray) -> Region:
    """What the shapes of a layer enclose, along the last two axes that are modelled."""
    outlines = enclosed(layer.data, layer.shape_type)
    if not outlines:
        raise InputError(
            f"Layer {layer.name!r} has no polygon, rectangle or ellipse: draw one around the "
            "region, or choose another region."
        )
    return Polygon(*((corners @ matrix.T + offset)[:, -2:] for corners in outlines))


def _mask(layer: Labels, pixels: Pixels) -> Region:
    """All labels of a layer, over those of its axes that are modelled."""
    labelled = np.asarray(_finest(layer)) > 0
    if not labelled.any():
        raise InputError(
            f"Layer {layer.name!r} has no label: paint the region, or choose another region."
        )
    return Mask(np.asarray(labelled.any(axis=pixels.together)), pixels.spacing, pixels.origin)


def _intensity(layer: Image, pixels: Pixels) -> Region:
    """A background as dense as an image is bright, over those of its axes that are modelled."""
    data = _finest(layer)
    shape = [n for axis, n in enumerate(data.shape) if axis not in pixels.together]
    if math.prod(shape) > _MOST_PIXELS:
        raise InputError(
            f"Layer {layer.name!r} has {' x '.join(map(str, shape))} pixels, more than "
            f"{_MOST_PIXELS:,}: bin it, or choose another region."
        )
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below
        # Of the data as they are: a long stack is not there a second time as float64.
        image = np.asarray(
            np.mean(data, axis=pixels.together, dtype=np.float64) if pixels.together else data
        )
    if not np.isfinite(image).all() or image.min(initial=0) < 0:
        raise InputError(
            f"Layer {layer.name!r} is negative somewhere, or not finite: set these pixels to 0, "
            "where no point can lie, or choose another region."
        )
    if not image.any():
        raise InputError(
            f"Layer {layer.name!r} is 0 everywhere, so that no point can lie anywhere: choose "
            "another region."
        )
    return Intensity(image, pixels.spacing, pixels.origin)
