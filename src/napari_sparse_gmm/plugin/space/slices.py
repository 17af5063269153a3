"""How the images of several groups lie in one array.

>>> images = np.ones((2, 5, 8))  # of two groups
>>> Layout((0, None, 1, 2), slices=(0, 2)).image(images).shape
(3, 1, 5, 8)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Layout:
    """The axes of the array, and where the groups are in it.

    Parameters
    ----------
    axes : tuple of (int or None)
        What each axis is: 0 that of the slices, 1 to D those of the model, None a single pixel.
        The slices are left out where there is one.
    slices : tuple of G int
        Which slice each group is, in rising order; there may be gaps.
    """

    axes: tuple[int | None, ...] = (1, 2)
    slices: tuple[int, ...] = (0,)

    @property
    def n_slices(self) -> int:
        """From the first group to the last."""
        return self.slices[-1] + 1

    def of_slices(self, groups: Sequence[_Item]) -> list[_Item | None]:
        """What belongs to each group as what belongs to each slice, None in the gaps."""
        of_slice = dict(zip(self.slices, groups, strict=True))
        return [of_slice.get(index) for index in range(self.n_slices)]

    def image(self, values: NDArray[Any], nothing: float = 0.0) -> NDArray[Any]:
        """Images (G, ...) over the axes of the model as one array; `nothing` in the gaps."""
        stacked = values
        if len(values) != self.n_slices:
            stacked = np.full((self.n_slices, *values.shape[1:]), nothing, dtype=values.dtype)
            stacked[list(self.slices)] = values
        order = [axis for axis in self.axes if axis is not None]
        stacked = (
            stacked.transpose(order)
            if 0 in order
            else stacked[0].transpose([axis - 1 for axis in order])
        )
        alone = [index for index, axis in enumerate(self.axes) if axis is None]
        return np.expand_dims(stacked, alone)
