"""The levels of a heatmap, as napari holds them, that can be saved as one picture."""

from typing import Any

import numpy as np
from napari.layers import Image
from napari.layers._multiscale_data import MultiScaleData
from numpy.typing import DTypeLike, NDArray

# A picture that is computed and written while a window waits, for seconds: 5800 x 5800.
_MOST_PIXELS = 2**25


class Levels(MultiScaleData):
    """Images of ever fewer pixels; as an array, the largest that does not take too long.

    napari's own cannot become an array as a writer of TIFF asks for one.
    """

    def to_save(self) -> Any:
        """The level that it is as an array."""
        return next((level for level in self if level.size <= _MOST_PIXELS), self[-1])

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.float32]:
        return np.asarray(self.to_save(), dtype)


def set_data(layer: Image, data: NDArray[np.float32] | Levels) -> None:
    """Give a layer other data; napari makes levels of its own kind of those that it is given."""
    layer.data = data
    if isinstance(data, Levels):
        layer._data = data
