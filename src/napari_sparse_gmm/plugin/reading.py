"""Reads sources, anew only where one of their layers may have changed.

>>> reader = SourceReader(follow)
>>> cloud = reader.read(source, used)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from napari_sparse_gmm.plugin.source import Cloud, Source

# The events of a layer after which it may say something else. A Labels layer has one of its own
# for what is painted. Points have none for which of them are shown.
_CHANGES = {
    "data",
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
        """The points of a source that are `used`; a ValueError as in `Source.read`."""
        shown = np.asarray(source.layer.shown)
        fresh = (
            self._cloud is not None
            and source == self._source
            and used is self._used
            and self._shown is not None
            and np.array_equal(shown, self._shown)
        )
        if not fresh:
            self.forget()
            self._follow(source)
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

    def _follow(self, source: Source) -> None:
        region = [source.region] if isinstance(source.region, Layer) else []
        self._layers = (source.layer, *region)
        for layer in self._layers:
            layer.events.connect(self._hear)

    def _hear(self, event: Any) -> None:
        if event.type in _CHANGES:
            self._cloud = None
            self._changed()
