"""Reads sources, anew only where one of their layers may have changed.

>>> reader = SourceReader(print)
>>> cloud = reader.read(Source(layer, axes=(0, 1)), layer.shown)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from numpy.typing import NDArray

from napari_sparse_gmm.plugin.points.source import Cloud, Source

# The events of a layer after which it may say something else. A Labels layer has some of its own
# for what is painted, and none but "set_data" where that is undone. Points have none for which of
# them are shown.
_CHANGES = {
    "data",
    "axis_labels",
    "labels_update",
    "paint",
    "features",
    "units",
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
}


class SourceReader:
    """Remembers the last cloud that was read, as long as its layers stay as they are.

    Parameters
    ----------
    changed : callable
        Called when one of them may have changed.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._layers: tuple[Layer, ...] = ()
        self._source: Source | None = None
        self._used: NDArray[np.bool_] | None = None
        self._shown: NDArray[np.bool_] | None = None
        self._cloud: Cloud | None = None

    def read(self, source: Source, used: NDArray[np.bool_]) -> Cloud:
        """The points of a source that are `used`; an InputError as in `Source.read`."""
        shown = np.asarray(source.layer.shown)
        fresh = (
            self._cloud is not None
            and source == self._source
            and used is self._used
            and self._shown is not None
            and np.array_equal(shown, self._shown)
        )
        if not fresh:
            self._cloud = None
            self.follow(source)
            self._cloud = source.read(used)
            self._source, self._used, self._shown = source, used, shown.copy()
        assert self._cloud is not None
        return self._cloud

    def forget(self) -> None:
        """Let go of the cloud and of its layers."""
        for layer in self._layers:
            layer.events.disconnect(self._hear)
        self._layers = ()
        self._source = self._used = self._shown = self._cloud = None

    def forget_layer(self, layer: Layer) -> None:
        """Let go of all, where it is of that layer."""
        if layer in self._layers:
            self.forget()

    def follow(self, source: Source) -> None:
        """Listen to the layers of a source from now on, and to no others."""
        region = [source.region] if isinstance(source.region, Layer) else []
        layers = (source.layer, *region)
        if layers != self._layers:
            self.forget()
            self._layers = layers
            for layer in layers:
                layer.events.connect(self._hear)

    def _hear(self, event: Any) -> None:
        undone = event.type == "set_data" and isinstance(event.source, Labels)
        if event.type in _CHANGES or undone:
            self._cloud = None
            self._changed()
