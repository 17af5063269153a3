"""The components as a Labels image, and the density, as TIFF and as OME-Zarr.

>>> from napari_sparse_gmm.export.content import Content
>>> labels = label_image(Content(model, pixel_size=10.0))
>>> bool(labels.max() == model.mixture.n_components)  # a component's number and one
True
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.export.content import Content, optional
from napari_sparse_gmm.io.images import write_density_tiff, write_image_tiff
from napari_sparse_gmm.io.units import length_in, unit_named
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.wording import count, figures, volume_unit
from napari_sparse_gmm.writing import whole_folder

# What tells a Zarr group of either version from another folder.
ZARR = (".zgroup", "zarr.json")

# Pixels along the longest side of the coarsest level of a pyramid, at most.
_COARSEST = 512

# Pixels along the side of what is read at once.
_TILE = 256


def label_image(content: Content) -> NDArray[np.int32]:
    """The number of a component and 1 at each pixel of `content.grid` whose centre lies within its
    outline; where several overlap, of the one that is densest there. 0 is background.
    """
    mixture, grid = content.only_mixture, content.grid
    labels = np.zeros(grid.shape, dtype=np.int32)
    highest = np.full(grid.shape, -np.inf)
    reach = content.radius * np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    first = np.ceil((mixture.means - reach - grid.origin) / grid.spacing)
    last = np.floor((mixture.means + reach - grid.origin) / grid.spacing)
    first = np.clip(first, 0, grid.shape).astype(int)
    end = np.clip(last + 1, 0, grid.shape).astype(int)
    for j in np.flatnonzero((end > first).all(axis=1)):
        window = tuple(slice(a, b) for a, b in zip(first[j], end[j], strict=True))
        own = np.stack(np.meshgrid(*map(np.arange, first[j], end[j]), indexing="ij"), axis=-1)
        away = grid.coordinates(own) - mixture.means[j]
        squares = np.einsum("...i,...i", away @ np.linalg.inv(mixture.covariances[j]), away)
        log_density = mixture.log_amplitudes[j] - 0.5 * squares
        inside = (squares <= content.radius**2) & (log_density > highest[window])
        labels[window][inside] = j + 1
        highest[window][inside] = log_density[inside]
    return labels


def write_labels_tiff(path: Path, content: Content) -> str:
    """Write the Labels image as OME-TIFF of whole numbers, with the size of a pixel."""
    labels = label_image(content)
    small = labels.max(initial=0) <= np.iinfo(np.uint16).max  # as ImageJ reads them
    kind = np.uint16 if small else np.uint32
    write_image_tiff(path, labels.astype(kind), content.grid, content.model.unit, "components")
    return f"labels of {_components_in(labels, content)}, {_pixels(content)}"


def write_density(path: Path, content: Content) -> str:
    """Write the expected points per area (volume) as OME-TIFF, with the size of a pixel."""
    write_density_tiff(path, content.density, content.grid, content.model.unit)
    return f"{_quantity(content)}, {_pixels(content)}"


def write_ome_zarr(path: Path, content: Content) -> str:
    """Write density and labels as one OME-Zarr of version 0.4, which most programs read, with
    scale, position and unit; levels are computed anew, not averaged.

    https://ngff.openmicroscopy.org/0.4/
    """
    writer = optional("ome_zarr.writer", "OME-Zarr", "export")
    form = optional("ome_zarr.format", "OME-Zarr", "export").FormatV04()
    zarr = optional("zarr", "OME-Zarr", "export")
    axes = _axes(content)
    levels = list(_levels(content.grid))
    placed = [_placement(grid) for grid in levels]
    labels = label_image(content)
    densities = [content.density, *(content.density_on(grid) for grid in levels[1:])]
    # Every second pixel keeps its place, so that the first of them stays where it was.
    labelled = [labels[(slice(None, None, 2**k),) * labels.ndim] for k in range(len(levels))]
    of_labels = [_placement(content.grid, 2**k) for k in range(len(levels))]
    with whole_folder(path, ZARR) as folder:
        root = zarr.open_group(str(folder), mode="w", zarr_format=2)
        label_group = root.create_group("labels").create_group("components")
        for group, name, images, places in (
            (root, _quantity(content), densities, placed),
            (label_group, "components", labelled, of_labels),
        ):
            datasets = []
            for level, (image, place) in enumerate(zip(images, places, strict=True)):
                tile = tuple(min(n, _TILE) for n in image.shape)
                made = group.create_array(
                    str(level),
                    shape=image.shape,
                    dtype=image.dtype,
                    chunks=tile,
                    chunk_key_encoding={"name": "v2", "separator": "/"},
                )
                made[...] = image
                datasets.append({"path": str(level), "coordinateTransformations": place})
            writer.write_multiscales_metadata(group, datasets, fmt=form, axes=axes, name=name)
        writer.write_label_metadata(root["labels"], "components", fmt=form)
    components = _components_in(labels, content)
    return f"{_quantity(content)} and labels of {components}, {_pixels(content)}"


def _levels(grid: Grid) -> Iterator[Grid]:
    """The grid, and ever coarser ones of the same outer corner, each of pixels twice as large."""
    yield grid
    while max(grid.shape) > _COARSEST:
        corner, spacing = grid.edges[0], 2.0 * grid.spacing
        shape = tuple(-(-n // 2) for n in grid.shape)
        grid = Grid(corner + 0.5 * spacing, spacing, shape)
        yield grid


def _placement(grid: Grid, times: int = 1) -> list[dict[str, Any]]:
    """Scale and position of the centre of the first pixel, in the unit of the axes."""
    return [
        {"type": "scale", "scale": (times * grid.spacing).tolist()},
        {"type": "translation", "translation": grid.origin.tolist()},
    ]


def _axes(content: Content) -> list[dict[str, str]]:
    """Axes by the names that OME-Zarr has; a unit that is no length is left out, as it asks."""
    is_length = length_in(content.model.unit, "nm") is not None
    unit = {"unit": unit_named(content.model.unit) or ""} if is_length else {}
    return [{"name": name, "type": "space", **unit} for name in "zyx"[-content.grid.n_dimensions :]]


def _quantity(content: Content) -> str:
    return f"points per {volume_unit(content.unit, content.grid.n_dimensions)}"


def _pixels(content: Content) -> str:
    grid = content.grid
    sides = " x ".join(map(str, grid.shape[::-1]))
    return f"{sides} pixels of {figures(float(grid.spacing[-1]))}{content.in_unit}"


def _components_in(labels: NDArray[np.int32], content: Content) -> str:
    n = content.only_mixture.n_components
    n_missing = n - len(np.unique(labels[labels > 0]))
    told = count(n, "component")
    if n_missing:
        told += (
            f", of which {n_missing:,} are hidden by others or smaller than a pixel (a smaller "
            "pixel size shows more)"
        )
    return told
