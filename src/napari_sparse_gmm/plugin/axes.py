"""Which axes of a Points layer a fit models.

>>> axis_names(points)
('t', 'y', 'x')
>>> default_axes(points) is None  # time is no direction in space: ask
True
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


def possible_axes(n_dimensions: int) -> list[Axes]:
    """All sets of three or two axes, those at the end first: (1, 2, 3), (0, 2, 3), ..."""
    return [
        axes for size in (3, 2) for axes in reversed(list(combinations(range(n_dimensions), size)))
    ]


def default_axes(layer: Points) -> Axes | None:
    """The axes to model where that needs no question: two or three, none of them time."""
    if layer.ndim in (2, 3) and not time_axes(layer):
        return tuple(range(layer.ndim))
    return None
