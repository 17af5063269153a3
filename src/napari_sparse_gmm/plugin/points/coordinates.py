"""The points of a layer that are modelled, their groups, and the frame that they lie in.

>>> points, frame, groups = modelled_points(layer, (0, 1))
>>> points.shape, frame.names, frame.unit
((600, 2), ('y', 'x'), 'nm')
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.arrays import bounds, stray
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.axes import Axes, axis_names
from napari_sparse_gmm.plugin.space.frame import Frame, Stack, shear_matrix

# More groups than anybody looks at one by one; values that differ from point to point have more.
MOST_GROUPS = 1000
# What values differ by, as a share of the largest, that have been computed in other ways.
_ROUNDING = 1e-12
# How far a value may be from its slice, in steps.
_UNEVEN = 0.05


def modelled_points(
    layer: Points, axes: Axes, each: int | str | None = None, used: NDArray[np.bool_] | None = None
) -> tuple[FloatArray, Frame, NDArray[np.intp]]:
    """The points of a layer in model coordinates u, (N, D) float64, and their frame.

    Of all points those that are `used`; by default those that the layer shows (`layer.shown`).
    Along axes that are not in `axes` they are taken together, but for those that `each`, an axis
    or a feature, keeps apart: the group of each point comes third, (N,), 0 for all without it.

    Raises
    ------
    InputError
        Where no point is left, a coordinate is not finite, the layer is turned from a modelled
        axis into an earlier one that is not, or groups are too many or in uneven steps.
    """
    shown = np.asarray(layer.shown if used is None else used, dtype=bool)
    data = np.asarray(layer.data, dtype=np.float64)
    # A mask that leaves nothing out would copy millions of points while the window waits.
    data = data if shown.all() else data[shown]
    if len(data) == 0:
        raise InputError(f"Layer {layer.name!r} shows no points: choose a layer that has some.")
    # An axis of their own comes before all others of the layer.
    first = 0 if isinstance(each, str) else min([axes[0]] if each is None else [axes[0], each])
    kept = np.arange(first, layer.ndim)
    points = data[:, first:] * layer.scale[first:]  # (N, n)
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise InputError(
            f"{bad} of the {len(points)} points of layer {layer.name!r} have a coordinate that "
            "is NaN or infinite: remove or hide them, then run again."
        )
    frame = _frame(layer, axes, kept, box=bounds(points[~stray(points)]))
    every = list(frame.axes) == list(range(points.shape[1]))
    modelled = points if every else points[:, list(frame.axes)]
    if each is None:
        return modelled, frame, np.zeros(len(points), dtype=np.intp)
    if isinstance(each, int):
        labels, groups = _slices(data[:, each])
        name, axis, scale = axis_names(layer)[each], each - first, float(layer.scale[each])
        stack = _stack(name, labels, scale, axis)
        pooled = tuple(other for other in frame.pooled if other != name)
        frame = replace(frame, stack=stack, pooled=pooled)
    else:
        if each not in layer.features:
            raise InputError(f"Layer {layer.name!r} has no feature {each!r} any more.")
        # Not at the top: with pyarrow pandas takes longer to import than the widget to open.
        from pandas import factorize

        groups, labels = factorize(layer.features[each][shown].to_numpy(), sort=True)
        _check_number_of_groups(each, len(labels))
        if (groups < 0).any():
            raise InputError(
                f"Feature {each!r} is missing for {int((groups < 0).sum())} points of layer "
                f"{layer.name!r}: mend it, or choose another one."
            )
        stack = Stack(each, np.asarray(labels), np.arange(len(labels)), own=True)
        frame = _with_axis_in_front(frame, stack)
    return modelled, frame, groups.reshape(-1)


def by_region(frame: Frame, names: Sequence[str]) -> Frame:
    """The frame with groups for regions of these names, each in a slice along an axis of its own.

    Raises
    ------
    InputError
        Where there are too many.
    """
    _check_number_of_groups("region", len(names))
    stack = Stack("region", np.array(names), np.arange(len(names)), own=True)
    return _with_axis_in_front(frame, stack)


def _slices(values: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """The different values, and which of them each is; those that differ by rounding are one."""
    labels, groups = np.unique(values, return_inverse=True)
    is_new = np.diff(labels, prepend=-np.inf) > _ROUNDING * np.abs(labels).max()
    return labels[is_new], (np.cumsum(is_new) - 1)[groups]


def _stack(name: str, labels: FloatArray, scale: float, axis: int) -> Stack:
    """Groups at values of an axis, in slices as far apart as the nearest two of them."""
    _check_number_of_groups(name, len(labels))
    steps = np.diff(labels)
    step = 1.0
    if len(steps):
        # All differences together give the step better than the smallest one.
        step = float(steps.sum() / np.rint(steps / steps.min()).sum())
    positions = (labels - labels[0]) / step
    slices = np.rint(positions).astype(np.intp)
    if np.abs(positions - slices).max() > _UNEVEN:
        raise InputError(
            f"The values of {name!r} are in uneven steps, so they cannot be slices of an image: "
            "round them, or fit all points together."
        )
    if slices[-1] >= MOST_GROUPS:
        raise InputError(
            f"The {len(labels):,} values of {name!r} would be {slices[-1] + 1:,} slices of an "
            f"image, from the first to the last, and there can be {MOST_GROUPS:,}: hide some of "
            "the points, or fit all together."
        )
    return Stack(name, labels, slices, float(labels[0]) * scale, step * scale, axis)


def _check_number_of_groups(name: str, n: int) -> None:
    if n > MOST_GROUPS:
        raise InputError(
            f"{name!r} has {n:,} different values, and at most {MOST_GROUPS:,} can be fitted "
            "each by itself: choose another one."
        )


def _frame(layer: Points, axes: Axes, kept: NDArray[np.intp], box: FloatArray) -> Frame:
    shear, affine = shear_matrix(layer), np.asarray(layer.affine.affine_matrix)
    for matrix in (layer.rotate, shear, affine[:-1, :-1]):
        mixed = [*matrix[: kept[0], kept].flat, *matrix[kept, : kept[0]].flat]
        if not np.allclose(mixed, 0.0):
            raise InputError(
                f"Layer {layer.name!r} is rotated or sheared between the chosen axes and those "
                "before them: choose all of the axes that its transform mixes."
            )
    block = np.ix_(kept, kept)
    affine_rows = np.append(kept, layer.ndim)
    names = axis_names(layer)
    return Frame(
        axes=tuple(int(axis - kept[0]) for axis in axes),
        names=tuple(names[axis] for axis in axes),
        pooled=tuple(name for axis, name in enumerate(names) if axis not in axes),
        box=box,
        scale=np.array(layer.scale, dtype=np.float64)[kept],
        translate=np.array(layer.translate, dtype=np.float64)[kept],
        rotate=np.asarray(layer.rotate)[block],
        shear=shear[block],
        affine=affine[np.ix_(affine_rows, affine_rows)],
        units=tuple(layer.units[axis] for axis in kept),
        axis_labels=tuple(layer.axis_labels[axis] for axis in kept),
    )


def _with_axis_in_front(frame: Frame, stack: Stack) -> Frame:
    """The frame with one more axis, for groups that are not along one of the layer's."""
    return replace(
        frame,
        axes=tuple(axis + 1 for axis in frame.axes),
        box=np.hstack([np.zeros((2, 1)), frame.box]),
        scale=np.append(1.0, frame.scale),
        translate=np.append(0.0, frame.translate),
        rotate=_extended(frame.rotate),
        shear=_extended(frame.shear),
        affine=_extended(frame.affine),
        units=("pixel", *frame.units),
        axis_labels=(stack.name, *frame.axis_labels),
        stack=stack,
    )


def _extended(matrix: FloatArray) -> FloatArray:
    """A square matrix that does nothing along one more axis in front."""
    extended = np.eye(len(matrix) + 1)
    extended[1:, 1:] = matrix
    return extended
