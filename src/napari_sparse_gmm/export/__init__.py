"""A fitted model, and points with their components, as other programs read them.

>>> from napari_sparse_gmm.export.content import Content
>>> from napari_sparse_gmm.export.formats import FORMATS, write
>>> write(Path("outlines.geojson"), FORMATS["geojson"], Content(model, pixel_size=10.0))
'... outlines of components, each around 95% of its points, in pixels of 10 nm of ...'

`formats` has the list of them. What they have in common is `content`; each family is a module.
"""
