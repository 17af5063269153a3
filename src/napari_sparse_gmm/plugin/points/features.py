"""Features of the points of a layer: which there are, and their values."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.names import known_frame, known_precision
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import usable_precision
from napari_sparse_gmm.plugin.points.coordinates import MOST_GROUPS
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.ranges import Range

# What a fit tells of each point.
ASSIGNMENT_FEATURES = ("component", "probability", "log_density", "is_background")

# In the metadata of a layer: which feature is the precision and which the frame, as somebody said.
TOLD_KEY = "napari-sparse-gmm columns"

# Points that are looked at before all of them are.
_FIRST = 10 * MOST_GROUPS


def feature_values(
    layer: Points, feature: str, shown: NDArray[np.bool_], purpose: str
) -> FloatArray:
    """A feature of some points of a layer, finite and not negative, (N,).

    Parameters
    ----------
    layer : Points
    feature : str
    shown : (all points of the layer,) array of bool
        Which N of them.
    purpose : str
        What the feature is to be, in a word or two.

    Raises
    ------
    InputError
        Where there is no such feature, or it has invalid values.
    """
    if feature not in layer.features:
        raise InputError(
            f"Layer {layer.name!r} has no feature {feature!r} any more: choose another "
            f"{purpose}, then run again."
        )
    values = np.asarray(layer.features[feature], dtype=np.float64)[shown]
    bad = int((~np.isfinite(values) | (values < 0)).sum())
    if bad:
        raise InputError(
            f"Feature {feature!r} is negative or not a number for {bad} of the {len(values)} "
            f"points of layer {layer.name!r}: mend it, or choose another {purpose}."
        )
    return values


def known_precisions(layer: Points, axes: Axes) -> tuple[str | None, str | None]:
    """The features with the precision of x and y, and of z, that are called as localization
    programs do, in the unit of the layer and all of them numbers; None where there is none.
    """
    names, unit = numeric_features(layer), f"{layer.units[axes[-1]]:~P}"

    def measured(name: str | None) -> str | None:
        values = np.asarray([] if name is None else layer.features[name], dtype=np.float64)
        # Points without one are left out; where that is most of them, it is something else.
        return name if np.count_nonzero(usable_precision(values)) > len(values) / 2 else None

    told = layer.metadata.get(TOLD_KEY, {}).get("precision")
    return (
        measured(told if told in names else known_precision(names, unit)),
        measured(known_precision(names, unit, axial=True)),
    )


def known_frames(layer: Points) -> str | None:
    """The feature with the frame that each point was seen in, as somebody said or as programs call
    it; None where there is none.
    """
    names = numeric_features(layer)
    told = layer.metadata.get(TOLD_KEY, {}).get("frame")
    by_time = next((name for name in names if name.casefold() == "t"), None)
    return told if told in names else known_frame(names) or by_time


def precise_points(layer: Points, shown: NDArray[np.bool_], *features: str) -> NDArray[np.bool_]:
    """Which points of a layer have a precision in each of these features, (all,).

    Raises
    ------
    InputError
        Where none of those that are `shown` has one.
    """
    precise = np.ones(len(layer.data), dtype=bool)
    for feature in features:
        if feature in layer.features:  # where it is not, that is told by whoever reads it
            values = np.asarray(layer.features[feature], dtype=np.float64)
            precise &= usable_precision(values)
            if shown.any() and not (precise & shown).any():
                raise InputError(
                    f"Feature {feature!r} of layer {layer.name!r} is no precision, as none of its "
                    "values is above 0: choose another precision."
                )
    return precise


def in_range(layer: Points, limits: Range) -> NDArray[np.bool_]:
    """Which points of a layer have a feature in a range, (all,).

    Raises
    ------
    InputError
        Where there is no such feature, or it has no numbers.
    """
    if limits.name not in numeric_features(layer):
        raise InputError(
            f"Layer {layer.name!r} has no feature {limits.name!r} of numbers any more: clear that "
            "range under Filter."
        )
    return limits.holds(layer.features[limits.name])


def numeric_features(layer: Points) -> list[str]:
    """The features of a layer that are real numbers, and not from an earlier fit, by name."""
    return _own(layer.features.select_dtypes("number").columns)


def weighing_features(layer: Points) -> list[str]:
    """The features that can be weights of all points: finite, not negative, and not all 0."""

    def weighs(name: str) -> bool:
        values = np.asarray(layer.features[name], dtype=np.float64)
        return bool((np.isfinite(values) & (values >= 0)).all() and (values > 0).any())

    return [name for name in numeric_features(layer) if weighs(name)]


def precision_features(layer: Points) -> list[str]:
    """The features that can be the precision of some points: above 0, or 0 of all."""
    return [
        name
        for name in numeric_features(layer)
        if usable_precision(np.asarray(layer.features[name], dtype=np.float64)).any()
    ]


def grouping_features(layer: Points) -> list[str]:
    """The features that can tell groups apart: of no more values than can be fitted each by itself,
    none of them missing, and no fractions.
    """
    fractions = layer.features.select_dtypes("floating")
    whole = fractions.columns[(fractions % 1 == 0).all(axis=0)]
    names = _own([name for name in layer.features if name not in fractions or name in whole])
    columns = {name: layer.features[name] for name in names}
    return [name for name in names if columns[name].notna().all() and few_enough(columns[name])]


def few_enough(values: Any) -> bool:
    """Whether a column, or an array, has so few different values that each can be a group."""
    # Not at the top: with pyarrow pandas takes longer to import than the widget to open.
    from pandas import unique

    # Most of those that have too many do so early.
    return all(len(unique(part)) <= MOST_GROUPS for part in (values[:_FIRST], values))


def _own(columns: Iterable[str]) -> list[str]:
    return [str(name) for name in columns if name not in ASSIGNMENT_FEATURES]
