"""The components as a table with units in its header.

>>> from napari_sparse_gmm.export.content import Content
>>> write_table_of(Path("components.csv"), Content(model))
'... components, in nm'
>>> Path("components.csv").read_text().split(",")[5]
'mean_y [nm]'
"""

from pathlib import Path

from napari_sparse_gmm.export.content import Content
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.wording import count


def write_table_of(path: Path, content: Content) -> str:
    """Write a row for each component, those of most points first; with groups, of all of them."""
    table = content.table.sort_values("expected_points", ascending=False, kind="stable")
    write_table(path, dict(table.items()))
    return f"{count(len(table), 'component')}, in {content.unit or 'the unit of the model'}"
