"""The Image layer with the heatmap of a mixture, under its points."""

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.layers.channel import channel_colour, from_black
from napari_sparse_gmm.plugin.layers.covering import hide_where_they_cover
from napari_sparse_gmm.plugin.layers.levels import Levels, set_data
from napari_sparse_gmm.plugin.layers.owned import add, exchanged, index_of, made_from, set_placement
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.values import Heatmap

# The log density is shown down to this far below its peak: four decades.
_LOG_RANGE = 4.0 * np.log(10.0)

# In the metadata of an image: the limits that it was given, to know them from the user's own.
_LIMITS_KEY = "napari-sparse-gmm limits"

# Of the points above a background, this share may lie where an image is as bright as can be; and
# this share is to be seen, at a fifth of that brightness or more in half of its area.
_SATURATED, _CLUSTERED, _FROM_AFAR = 0.1, 0.9, 5.0

# Limits of an image stay where those of the next one differ by less than this factor.
_ALIKE = 3.0

# The range of the slider for them goes so many times as far, at most.
_WIDEST = 30.0


def show_heatmap(
    viewer: ViewerModel,
    points: Points,
    frame: Frame,
    heatmap: Heatmap,
) -> Image:
    """Show a heatmap as the Image layer of `points`, under them."""
    keywords = heatmap_keywords(points.name, frame, heatmap, channel_colour(points))
    data, limits = keywords["data"], keywords["contrast_limits"]
    layer = made_from(viewer, points, "density", Image, len(frame.scale))
    if layer is None:
        layer = Image(**keywords)
        add(viewer, points, "density", index_of(viewer, points), layer)
        hide_where_they_cover(points, frame)
    else:
        if keywords["multiscale"] and not layer.multiscale:
            layer = exchanged(viewer, layer, data)
        # An image of several levels may come down to one, for a while.
        set_data(layer, data if not layer.multiscale or keywords["multiscale"] else Levels([data]))
        set_placement(layer, image_placement(frame, heatmap))
    _limit(layer, heatmap, limits)
    return layer


def heatmap_keywords(
    name: str, frame: Frame, heatmap: Heatmap, channel: FloatArray | None = None
) -> dict[str, Any]:
    """Keywords of an Image layer with a heatmap of the points called `name`.

    In the colour (3,) of a channel, if there is one.
    """
    base, pyramid = frame.layout.image(heatmap.values, heatmap.choice.nothing), heatmap.pyramid
    return {
        "data": base if pyramid is None else Levels([*pyramid.levels, base]),
        "multiscale": pyramid is not None,
        "name": f"{name} density",
        "colormap": "inferno" if channel is None else from_black(channel),
        # A density is smooth, however few pixels there are of it.
        "interpolation2d": "linear",
        # Dark where there is nothing, so that an image below shines through.
        "blending": "additive",
        "contrast_limits": contrast_limits(heatmap),
        **image_placement(frame, heatmap),
    }


def image_placement(frame: Frame, heatmap: Heatmap) -> dict[str, Any]:
    """Keywords that place the image."""
    pyramid = heatmap.pyramid
    return frame.image_placement(heatmap.grid if pyramid is None else pyramid.grid)


def contrast_limits(heatmap: Heatmap) -> tuple[float, float]:
    """Limits that show its structure."""
    values, pyramid = heatmap.values, heatmap.pyramid
    highest = float(values.max())
    if heatmap.choice.quantity == "log_density":
        # Minus infinity where there is no density at all, beside the background's box.
        lowest = max(float(values.min()), highest - _LOG_RANGE)
        return (lowest, highest) if lowest < highest else (lowest - 1.0, highest)
    # Every few pixels of a large image show as much, and do not stop the window.
    some = values.reshape(-1)[:: max(1, values.size // 1_000_000)]
    if float(np.median(some)) > 0.999 * highest:  # a background alone, which is nothing bright
        return 0.0, 4.0 * highest or 1.0
    high = min(_bright(some), highest)
    if pyramid is not None:
        # Between what is bright from afar and from nearby, and still to be seen from afar.
        high = min(float(np.sqrt(high * max(pyramid.typical, high))), _FROM_AFAR * high)
    return 0.0, high or 1.0


def _bright(values: NDArray[Any]) -> float:
    """What is bright in an image (n,), however much brighter a few narrow components are.

    Most of the points lie where it is darker than that; and where most of them lie, it is not
    much darker in most pixels.
    """
    floor = float(np.quantile(values[values > 0], 0.1)) if (values > 0).any() else 0.0
    falling = np.sort(values[values > floor].astype(np.float64) - floor)[::-1]
    if not len(falling):
        return floor
    held = np.cumsum(falling)
    by_points = falling[np.searchsorted(held, _SATURATED * held[-1])]
    by_area = np.median(falling[: np.searchsorted(held, _CLUSTERED * held[-1]) + 1])
    return floor + float(min(by_points, _FROM_AFAR * by_area))


def _limit(layer: Image, heatmap: Heatmap, limits: tuple[float, float]) -> None:
    """Set the contrast limits, unless they are the user's or do for this image as well."""
    values, pyramid, quantity = heatmap.values, heatmap.pyramid, heatmap.choice.quantity
    present = tuple(layer.contrast_limits)
    before, given = layer.metadata.get(_LIMITS_KEY, (quantity, present))
    keeps = quantity == before and (present != given or _alike(present, limits, quantity))
    if keeps:
        limits = present
    reach = limits[1] - limits[0]  # below the limits, for the user to move them
    lowest = max(float(values.min()), limits[0] - reach)
    highest = float(values.max()) if pyramid is None else pyramid.highest
    # A slider up to the peak of a needle could not be moved as little as one needs.
    highest = min(highest, limits[0] + _WIDEST * reach)
    layer.contrast_limits_range = (min(lowest, limits[0]), max(highest, limits[1]))
    layer.contrast_limits = limits
    layer.metadata[_LIMITS_KEY] = (quantity, given if keeps else tuple(layer.contrast_limits))


def _alike(old: tuple[float, float], new: tuple[float, float], quantity: str) -> bool:
    """Whether old limits do for an image that has new ones, so that it need not flicker."""
    if quantity == "log_density":
        return bool(np.abs(np.subtract(old, new)).max() < np.log(_ALIKE))
    return 1 / _ALIKE < old[1] / new[1] < _ALIKE
