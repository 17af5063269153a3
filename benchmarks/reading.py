"""How long a table of localizations takes to become a Points layer.

A million rows of ten columns, each format from a file that has just been written, once to warm up;
and a folder of twenty such files, of which a layer shows a sample. The reader's work is timed, and
what napari makes of it, without a viewer.

    python benchmarks/reading.py
"""

import gzip
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from napari.layers import Layer
from report import Entry, Options, Row, main
from timing import medians, readable

from napari_sparse_gmm.plugin.table_file import get_reader

ROWS, QUICK_ROWS = 1_000_000, 10_000
REPEATS, FILES = 5, 20
ASKED = 3.0  # seconds


def measure(options: Options) -> Iterator[Entry]:
    cells = localizations(QUICK_ROWS if options.quick else ROWS)
    with tempfile.TemporaryDirectory() as folder:
        paths = write(cells, Path(folder))
        for name, path in paths.items():
            layer_data = read(path)
            assert len(layer_data[0]) == len(cells)
            seconds = medians(
                {"read": partial(read, path), "layer": partial(Layer.create, *layer_data)}, REPEATS
            )
            total = sum(seconds.values())
            size = path.stat().st_size / 1e6
            yield Row(
                f"{name}, {len(cells):,} rows of {len(cells.columns)} columns, {size:.0f} MB",
                f"{readable(total)}; of it napari's layer {readable(seconds['layer'])}",
                f"less than {ASKED:g} s",
                total < ASKED,
            )
        atlas = Path(folder) / "atlas"
        atlas.mkdir()
        for k in range(FILES):
            (atlas / f"{k}.parquet").hardlink_to(paths["Parquet"])
        shown = len(read(atlas)[0])
        seconds = medians({"read": partial(read, atlas)}, 1)
        yield Row(
            f"a folder of {FILES} such Parquet files, {FILES * len(cells):,} rows",
            f"{readable(seconds['read'])}, of which {shown:,} are shown",
        )


def read(path: Path) -> tuple[np.ndarray, dict, str]:
    """The data of the layer that a file becomes."""
    reader = get_reader(str(path))
    assert reader is not None
    (layer_data,) = reader(str(path))
    return layer_data


def localizations(n: int) -> pd.DataFrame:
    """What ThunderSTORM tells of n localizations, in all digits."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(1.0, n + 1),
            "frame": np.sort(rng.integers(1, 20_000, n)).astype(float),
            "x [nm]": rng.uniform(0, 4e4, n),
            "y [nm]": rng.uniform(0, 4e4, n),
            "sigma [nm]": rng.normal(140, 10, n),
            "intensity [photon]": rng.gamma(2, 300, n),
            "offset [photon]": rng.normal(30, 2, n),
            "bkgstd [photon]": rng.normal(6, 1, n),
            "chi2": rng.gamma(2, 1e5, n),
            "uncertainty [nm]": rng.gamma(8, 2, n),
        }
    )


def write(cells: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """The table in all formats: name to path."""
    paths = {
        "CSV": folder / "locs.csv",
        "CSV, gzip": folder / "locs.csv.gz",
        "text with a decimal comma": folder / "locs.txt",
        "Parquet": folder / "locs.parquet",
        "Picasso's HDF5": folder / "locs.hdf5",
    }
    csv, packed, text, parquet, hdf5 = paths.values()
    cells.to_csv(csv, index=False)
    with gzip.open(packed, "wb") as file:
        file.write(csv.read_bytes())
    cells.to_csv(text, index=False, sep="\t", decimal=",")
    cells.to_parquet(parquet, index=False)
    names = ["id", "frame", "x", "y", "sx", "photons", "sy", "bg", "net_gradient", "lpx"]
    with h5py.File(hdf5, "w") as file:
        file["locs"] = cells.set_axis(names, axis=1).astype("float32").to_records(index=False)
    hdf5.with_suffix(".yaml").write_text("Pixelsize: 100\n")
    return paths


if __name__ == "__main__":
    main(measure)
