"""The napari plugin: layers in and out, dock widget, worker, sample data."""
