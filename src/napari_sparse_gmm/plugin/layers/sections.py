"""Where slices cut ellipsoids: the ellipses of a volume lie in the slice that is shown.

napari shows a flat shape in its own slice alone. So each ellipse moves with the slice as long as
that cuts its component; else it waits in the slice of the component's centre.
"""

from dataclasses import dataclass, replace

import numpy as np
from napari.components import Dims, LayerList
from napari.layers import Layer, Shapes
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.transforms import in_layer
from napari_sparse_gmm.shapes.ellipses import section_corners

# In the metadata of a layer.
_SECTIONS_KEY = "napari-sparse-gmm sections"


@dataclass(frozen=True, eq=False)
class Sections:
    """The ellipsoids of a Shapes layer, and which slice its ellipses are for.

    `mixture` has those k components, of the groups (k,), and `radius` says how large they are.
    Along one of the `axis` of the frame, 0 to 2, they are cut at `place`, a slice of the layer, or
    each at its centre.
    """

    mixture: GaussianMixture
    groups: NDArray[np.intp]
    radius: float
    frame: Frame
    axis: int = 0
    place: int | None = None

    @property
    def corners(self) -> FloatArray:
        """Of the ellipses (k, 4, n), in the coordinates of `Frame.shape_placement`."""
        kept = self.frame.axes[self.axis]
        step = self.frame.scale[kept]
        centres = self.frame.shape_data(self.mixture.means, self.groups)[:, kept]
        places = np.round(centres)
        if self.place is not None:
            reach = self.radius * np.sqrt(self.mixture.covariances[:, self.axis, self.axis])
            cut = np.abs(step * (self.place - centres)) < reach
            places = np.where(cut, self.place, places)
        offsets = step * (places - centres)
        corners = section_corners(self.mixture, self.radius, self.axis, offsets)
        data = self.frame.shape_data(corners, self.groups[:, None])
        data[..., kept] = places[:, None]
        return data

    def centre(self, index: int) -> FloatArray:
        """Centre (n,) of a component, in the same coordinates."""
        return self.frame.shape_data(self.mixture.means[index], self.groups[index])

    def ends(self, index: int) -> FloatArray:
        """Where an ellipsoid ends along each axis (6, n), in the same coordinates."""
        reach = np.diag(self.radius * np.sqrt(np.diag(self.mixture.covariances[index])))
        ends = self.mixture.means[index] + np.concatenate([reach, -reach])
        return self.frame.shape_data(ends, self.groups[index])


def sections_metadata(sections: Sections | None) -> dict[str, Sections]:
    """The metadata of a layer that has these; None where it is flat."""
    return {} if sections is None else {_SECTIONS_KEY: sections}


def sections_of(layer: Layer) -> Sections | None:
    """Those of a layer; None where it is flat, or the user has added or deleted ellipses."""
    sections: Sections | None = layer.metadata.get(_SECTIONS_KEY)
    if sections is None or not isinstance(layer, Shapes):
        return None
    return sections if layer.nshapes == len(sections.groups) else None


def cut(layer: Layer, layers: LayerList, dims: Dims) -> None:
    """Bring the ellipses of a layer to the slice that is shown, if they are not there."""
    sections = sections_of(layer)
    if sections is None or dims.ndisplay != 2 or len(dims.point) < layer.ndim:
        return
    first = dims.ndim - layer.ndim  # napari aligns the last axes of layers
    across = [a for a, kept in enumerate(sections.frame.axes) if kept + first not in dims.displayed]
    if len(across) != 1:
        return
    point = in_layer(layer, layers, np.array(dims.point)[first:])
    place = round(float(point[sections.frame.axes[across[0]]]))
    if (sections.axis, sections.place) == (across[0], place):
        return
    moved = replace(sections, axis=across[0], place=place)
    layer.metadata[_SECTIONS_KEY] = moved
    corners = moved.corners
    if np.array_equal(corners, np.array(layer.data)):
        return
    selected = set(layer.selected_data)
    with layer.events.features.blocker():
        layer.data = [(box, "ellipse") for box in corners]
    layer.selected_data = selected
