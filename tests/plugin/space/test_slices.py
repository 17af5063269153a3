"""Images of groups in one array, pixel by pixel."""

from itertools import permutations

import numpy as np
import pytest

from napari_sparse_gmm.plugin.space.slices import Layout

# Axes of an array, without slices and with them: in every order, with single pixels between.
ALONE = [(*order,) for n in (2, 3) for order in permutations(range(1, n + 1))]
ALONE += [(1, None, 2), (None, 2, 1, None), (None, 3, None, 1, 2)]
SLICED = [(*order,) for n in (2, 3) for order in permutations(range(n + 1))]
SLICED += [(0, None, 1, 2), (None, 2, 0, None, 1)]


def looped(layout: Layout, values: np.ndarray, nothing: float) -> np.ndarray:
    """The array, one pixel after the other."""
    lengths = {0: max(layout.slices) + 1, **dict(enumerate(values.shape[1:], start=1))}
    image = np.full([1 if axis is None else lengths[axis] for axis in layout.axes], nothing)
    for group, *pixel in np.ndindex(*values.shape):
        place = [layout.slices[group], *pixel]
        at = tuple(0 if axis is None else place[axis] for axis in layout.axes)
        image[at] = values[group, *pixel]
    return image


@pytest.mark.parametrize("axes", ALONE, ids=str)
def test_one_image_along_each_axis(axes: tuple[int | None, ...]) -> None:
    n_dimensions = max(axis for axis in axes if axis is not None)
    values = np.random.default_rng(0).normal(size=(1, *(4, 3, 2)[:n_dimensions]))
    layout = Layout(axes)
    np.testing.assert_array_equal(layout.image(values, 9.0), looped(layout, values, 9.0))


@pytest.mark.parametrize("slices", [(0,), (0, 1, 2), (0, 2, 5), (1,), (1, 2)], ids=str)
@pytest.mark.parametrize("axes", SLICED, ids=str)
def test_images_of_groups_along_each_axis(
    axes: tuple[int | None, ...], slices: tuple[int, ...]
) -> None:
    n_dimensions = max(axis for axis in axes if axis is not None)
    values = np.random.default_rng(0).normal(size=(len(slices), *(4, 3, 2)[:n_dimensions]))
    layout = Layout(axes, slices)
    image = layout.image(values, -np.inf)
    np.testing.assert_array_equal(image, looped(layout, values, -np.inf))
    assert layout.n_slices == image.shape[axes.index(0)]


def test_gaps_are_as_dark_as_they_are_told_in_the_same_type() -> None:
    values = np.ones((2, 3, 3), dtype=np.float32)
    image = Layout((0, 1, 2), (0, 2)).image(values)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image.max(axis=(1, 2)), [1, 0, 1])


def test_what_belongs_to_groups_belongs_to_their_slices() -> None:
    assert Layout((0, 1, 2), (0, 2, 3)).of_slices("abc") == ["a", None, "b", "c"]
    assert Layout().of_slices("a") == ["a"]
    with pytest.raises(ValueError, match="shorter"):
        Layout((0, 1, 2), (0, 2)).of_slices("a")
