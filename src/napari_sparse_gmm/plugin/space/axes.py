"""Which axes of a Points layer a fit models.

>>> layer = Points(np.zeros((1, 3)), axis_labels=("t", "y", "x"))
>>> axis_names(layer)
('t', 'y', 'x')
>>> default_axes(layer)  # time is no direction in space
(1, 2)
"""

from itertools import combinations

from napari.layers import Points

Axes = tuple[int, ...]

_SPATIAL_NAMES = ("z", "y", "x")
_TIME_NAMES = frozenset({"t", "time", "frame", "frames"})


def axis_names(layer: Points) -> tuple[str, ...]:
    """A name for each axis: the layer's own label, or what napari users call that axis.

    napari labels axes "-3", "-2", "-1" where nobody else did; the last three are called z, y
    and x here, those before them "axis 0", "axis 1" ...
    """
    unnamed = tuple(str(axis) for axis in range(-layer.ndim, 0))
    usual = [f"axis {axis}" for axis in range(layer.ndim - 3)]
    usual += _SPATIAL_NAMES[-min(layer.ndim, 3) :]
    names = [
        name if label == none else label
        for label, none, name in zip(layer.axis_labels, unnamed, usual, strict=True)
    ]
    return tuple(
        name if names.count(name) == 1 else f"{name} {axis}" for axis, name in enumerate(names)
    )


def time_axes(layer: Points) -> Axes:
    """The axes that are time, by their label or by their unit."""
    return tuple(
        axis
        for axis, (label, unit) in enumerate(zip(layer.axis_labels, layer.units, strict=True))
        if label.lower() in _TIME_NAMES or unit.is_compatible_with("second")
    )


def possible_axes(n_dimensions: int, time: Axes = ()) -> list[Axes]:
    """All sets of three or two axes, those at the end first: (1, 2, 3), (0, 2, 3), ...

    Those with an axis of `time` come last.
    """
    all_axes = [
        axes for size in (3, 2) for axes in reversed(list(combinations(range(n_dimensions), size)))
    ]
    return sorted(all_axes, key=lambda axes: not set(axes).isdisjoint(time))


def default_axes(layer: Points) -> Axes | None:
    """The axes to model where that needs no question: two or three, all but time.

    None where more are left, or more than one seems to be time.
    """
    time = time_axes(layer)
    space = tuple(axis for axis in range(layer.ndim) if axis not in time)
    return space if len(time) <= 1 and len(space) in (2, 3) else None
