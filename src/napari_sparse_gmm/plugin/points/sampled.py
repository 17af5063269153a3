"""Layers that show some points of a table that has more than napari can show; a fit takes all.

Of a layer that `plugin.table_file` has opened::

    table = sampled_table(layer)
    table.n_points, len(layer.data)
"""

from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Points

from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.ranges import Range
from napari_sparse_gmm.regions import Region

# In the metadata of a layer: the table that its points are a random sample of.
TABLE_KEY = "napari-sparse-gmm table"


@dataclass(frozen=True, eq=False)
class SampledTable:
    """A table that a layer shows a random sample of.

    Parameters
    ----------
    path : str
        Of a file, or of a folder of tables.
    columns : dict of str to str
        Those of the coordinates, by axis, in the order of the layer's axes.
    n_points, n_shown : int
        How many there are, and how many the layer has.
    box : (2, D) array
        Lower and upper corner of all of them, in the unit of the file.
    """

    path: str
    columns: dict[str, str]
    n_points: int
    n_shown: int
    box: FloatArray


@dataclass(frozen=True)
class AllPoints:
    """All points of a table in model coordinates, to be read part by part.

    Parameters
    ----------
    table : SampledTable
    axes : tuple of int
        Which of its axes are modelled.
    scale : tuple of D float
        Of these axes: what a step in the unit of the file is in model coordinates.
    weights, precision, axial_precision : str, optional
        Columns; see `Source`.
    region : Region, optional
        What lies outside is left out.
    ranges : tuple of Range
        And what lies outside of one of these.
    """

    table: SampledTable
    axes: Axes
    scale: tuple[float, ...]
    weights: str | None = None
    precision: str | None = None
    axial_precision: str | None = None
    region: Region | None = None
    ranges: tuple[Range, ...] = ()

    def same_as(self, other: "AllPoints | None") -> bool:
        """Whether both read the same."""
        if other is None:
            return False
        one, two = (replace(points, region=None) for points in (self, other))
        return one == two and same_region(self.region, other.region)

    def open(self) -> Chunked:
        """The chunks that a fit reads. InputError where the table is gone or another one."""
        # Not at the top: with pyarrow pandas takes longer to import than the widget to open.
        from napari_sparse_gmm.io.chunked_tables import open_chunked
        from napari_sparse_gmm.io.tables import ColumnNames

        three = len(self.table.columns) == 3
        names = ColumnNames(
            **self.table.columns,
            weight=self.weights,
            precision=self.precision,
            precision_z=self.axial_precision if three else None,
            ranges=self.ranges,
        )
        chunked = open_chunked(self.table.path, names).chunked
        return chunked.mapped(InModel(self.axes, self.scale, self.region), len(self.axes))


@dataclass(frozen=True)
class InModel:
    """From the coordinates of a table to those of a model: some axes, scaled, in a region."""

    axes: Axes
    scale: tuple[float, ...]
    region: Region | None = None

    def __call__(self, points: Observations) -> Observations:
        axes = list(self.axes)
        noise = None if points.noise is None else points.noise[:, axes]
        found = Observations(points.points[:, axes] * np.array(self.scale), points.weights, noise)
        return found if self.region is None else found.subset(self.region.contains(found.points))


def same_region(one: Region | None, other: Region | None) -> bool:
    """Whether both are the same place."""
    if one is None or other is None or one is other:
        return one is other
    return one.to_dict() == other.to_dict()


def sampled_table(layer: Points) -> SampledTable | None:
    """The table that a layer shows a sample of; None of a layer of all of its points."""
    found = layer.metadata.get(TABLE_KEY)
    return found if isinstance(found, SampledTable) else None
