import numpy as np
import pytest
from napari.layers import Points

from napari_sparse_gmm.plugin.space.axes import axis_names, default_axes, possible_axes, time_axes


def layer(ndim: int, labels: tuple[str, ...] | None = None, **keywords: object) -> Points:
    return Points(np.zeros((3, ndim)), axis_labels=labels, **keywords)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param(layer(2), (0, 1), id="2D"),
        pytest.param(layer(3), (0, 1, 2), id="3D"),
        pytest.param(layer(3, ("z", "y", "x")), (0, 1, 2), id="3D named"),
        pytest.param(layer(3, ("t", "y", "x")), (1, 2), id="t"),
        pytest.param(layer(3, ("Time", "y", "x")), (1, 2), id="Time"),
        pytest.param(layer(3, ("y", "frame", "x")), (0, 2), id="frame in between"),
        pytest.param(layer(3, units=("ms", "nm", "nm")), (1, 2), id="milliseconds"),
        pytest.param(layer(4, ("t", "z", "y", "x")), (1, 2, 3), id="4D with t"),
        pytest.param(layer(4), None, id="4D"),
        pytest.param(layer(4, ("c", "z", "y", "x")), None, id="4D with channels"),
        pytest.param(layer(5, ("t", "c", "z", "y", "x")), None, id="5D"),
        pytest.param(layer(4, ("t", "frame", "y", "x")), None, id="two that may be time"),
        pytest.param(layer(2, ("t", "x")), None, id="kymograph"),
    ],
)
def test_asks_which_axes_where_time_does_not_tell(points: Points, expected: object) -> None:
    assert default_axes(points) == expected


def test_time_is_found_by_label_or_unit() -> None:
    points = layer(4, ("q", "frames", "y", "x"), units=("s", "pixel", "nm", "nm"))
    assert time_axes(points) == (0, 1)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param(layer(2), ("y", "x"), id="2D"),
        pytest.param(layer(5), ("axis 0", "axis 1", "z", "y", "x"), id="5D"),
        pytest.param(layer(3, ("-3", "row", "column")), ("z", "row", "column"), id="own names"),
        pytest.param(layer(3, ("q", "x", "x")), ("q", "x 1", "x 2"), id="not unique"),
    ],
)
def test_names(points: Points, expected: tuple[str, ...]) -> None:
    assert axis_names(points) == expected


def test_possible_axes_are_all_pairs_and_triples_last_axes_first() -> None:
    assert possible_axes(2) == [(0, 1)]
    assert possible_axes(3) == [(0, 1, 2), (1, 2), (0, 2), (0, 1)]
    assert len(possible_axes(5)) == 10 + 10
    assert possible_axes(5)[0] == (2, 3, 4)


def test_axes_with_time_come_last() -> None:
    assert possible_axes(3, (0,)) == [(1, 2), (0, 1, 2), (0, 2), (0, 1)]
    assert possible_axes(4, (0,))[:4] == [(1, 2, 3), (2, 3), (1, 3), (1, 2)]
    assert possible_axes(4, (1,))[0] == (0, 2, 3)
