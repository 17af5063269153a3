"""Which format a table has.

>>> open_table("localizations.parquet").n_rows
600
"""

from pathlib import Path

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.decode import with_units
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.io.minflux import is_minflux, open_minflux
from napari_sparse_gmm.io.programs import with_meaning
from napari_sparse_gmm.io.table import Table

# What a file of these formats begins with, whatever its name.
HDF5, PARQUET = b"\x89HDF\r\n\x1a\n", b"PAR1"
# Of MATLAB 7.3, which is HDF5 behind a text.
MATLAB = b"MATLAB 7"

# Names that no text table has.
_ENDINGS = {".hdf5": "HDF5", ".h5": "HDF5", ".parquet": "Parquet"}


def is_folder_of_tables(path: str | Path) -> bool:
    """Whether it is a folder, but for those that are one file to their program, as of Zarr."""
    return Path(path).is_dir() and not is_minflux(Path(path))


def open_table(path: str | Path, part: tuple[int, ...] | None = None) -> Table:
    """A text table, HDF5 of a program that is known, a Parquet file or one of MINFLUX, which may be
    a folder; or one of its `Table.parts`.

    Raises
    ------
    InputError
        Where there is no such file, or it is none of these.
    """
    path = Path(path)
    if path.is_dir() and is_minflux(path):
        return open_minflux(path)
    return with_meaning(_opened(readable_file(path), part))


def _opened(path: Path, part: tuple[int, ...] | None) -> Table:
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    # h5py and pyarrow are imported for their own files only.
    if start in (HDF5, MATLAB):
        from napari_sparse_gmm.io.hdf5 import open_columns
        from napari_sparse_gmm.io.picasso import open_picasso

        return open_columns(path) or open_picasso(path)
    if start.startswith(PARQUET):
        from napari_sparse_gmm.io.parquet import open_parquet

        return open_parquet(path, part)
    if is_minflux(path):
        return open_minflux(path)
    if promised := _ENDINGS.get(path.suffix.lower()):
        raise InputError(
            f"{path.name} is no {promised} file, whatever its name, or its beginning is damaged: "
            "open another copy of it or, if it is a text table, let its name end in .csv."
        )
    from napari_sparse_gmm.io.text import open_text

    return with_units(path, open_text(path, part))
