"""Coordinates, axes and slices: all of napari's geometry."""
