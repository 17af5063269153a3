"""How long a table of localizations takes to become a Points layer.

A million rows, each format from a file that has just been written, once to warm up, in the columns
that its program writes, or ten; and a folder of twenty such files, of which a layer shows a sample.
The reader's work is timed, and what napari makes of it, without a viewer.

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
        paths = write(cells, Path(folder)) | write_others(len(cells), Path(folder))
        for name, path in paths.items():
            layer_data = read(path)
            assert len(layer_data[0]) == len(cells)
            n_columns = layer_data[0].shape[1] + len(layer_data[1]["features"].columns)
            seconds = medians(
                {"read": partial(read, path), "layer": partial(Layer.create, *layer_data)}, REPEATS
            )
            total = sum(seconds.values())
            size = path.stat().st_size / 1e6
            yield Row(
                f"{name}, {len(cells):,} rows of {n_columns} columns, {size:.0f} MB",
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


def write_others(n: int, folder: Path) -> dict[str, Path]:
    """Tables of other programs, in the columns that they write: name to path."""
    rng = np.random.default_rng(0)
    spots = pd.DataFrame({"LABEL": [f"ID{k}" for k in range(n)], "ID": np.arange(n)})
    for name in ("QUALITY", "POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "RADIUS"):
        spots[name] = rng.uniform(0, 100, n)
    for name in ("FRAME", "VISIBILITY"):
        spots[name] = rng.integers(0, 1000, n)
    units = ["(micron)" if name.startswith("POSITION") else "" for name in spots]
    trackmate = folder / "spots.csv"
    below = "".join(",".join(line) + "\n" for line in (spots, spots, units))
    rows = spots.to_csv(index=False).partition("\n")
    trackmate.write_text(rows[0] + "\n" + below + rows[2])

    storm = pd.DataFrame({"Channel Name": np.full(n, "647")})
    for name in NSTORM:
        storm[name] = rng.uniform(0, 4e4, n).round(5)
    nikon = folder / "molecules.txt"
    storm.to_csv(nikon, index=False, sep="\t")

    transcripts = pd.DataFrame({"transcript_id": np.arange(n) + 281474976710656})
    transcripts["cell_id"] = np.arange(n) // 40
    transcripts["overlaps_nucleus"] = rng.integers(0, 2, n)
    transcripts["feature_name"] = rng.choice([f"Gene{k}" for k in range(300)], n)
    for name in ("x_location", "y_location", "z_location", "qv", "nucleus_distance"):
        transcripts[name] = rng.uniform(0, 4e4, n).astype("f4")
    xenium = folder / "transcripts.csv.gz"
    transcripts.to_csv(xenium, index=False)

    emitters = folder / "emitters.h5"
    with h5py.File(emitters, "w") as file:
        data = file.create_group("data")
        for name in ("xyz", "xyz_sig"):
            data[name] = rng.uniform(1, 400, (n, 3)).astype("f4")
        for name in ("phot", "bg", "prob"):
            data[name] = rng.uniform(0, 1000, n).astype("f4")
        data["frame_ix"] = np.arange(n) // 40
        file.create_group("meta").attrs["xy_unit"] = "px"
        file["meta"].attrs["px_size"] = (100.0, 100.0)

    locs = folder / "locs_sml.mat"
    with h5py.File(locs, "w", userblock_size=512) as file:
        for name in SMAP:
            column = rng.uniform(1, 4e4, (1, n)).astype("f4")
            file.create_dataset(f"saveloc/loc/{name}", data=column, compression="gzip")
    with locs.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))

    events = np.zeros(n, MINFLUX)
    events["vld"], events["fnl"], events["tid"] = True, True, np.arange(n) // 10
    events["loc"], events["tim"] = rng.uniform(-1e-6, 1e-6, (n, 3)), np.arange(n) / 1000
    for name in ("efo", "cfr", "eco"):
        events[name] = rng.uniform(0, 1e5, n)
    minflux = folder / "events.npy"
    np.save(minflux, events)
    return {
        "TrackMate's CSV": trackmate,
        "N-STORM's text": nikon,
        "Xenium's CSV, gzip": xenium,
        "DECODE's HDF5": emitters,
        "SMAP's MATLAB 7.3": locs,
        "MINFLUX, NumPy": minflux,
    }


# Columns of N-STORM behind the name of the channel, and of SMAP; the record of a MINFLUX event.
NSTORM = [
    *("X", "Y", "Xc", "Yc", "Height", "Area", "Width", "Phi", "Ax", "BG", "I", "Frame", "Length"),
    *("Link", "Valid", "Z", "Zc", "Photons", "Lateral Localization Accuracy"),
    *("Xw", "Yw", "Xwc", "Ywc", "Zw", "Zwc"),
]
SMAP = [
    *("xnm", "ynm", "znm", "frame", "locprecnm", "locprecznm", "phot", "bg", "LLrel", "PSFxnm"),
    *("channel", "filenumber"),
]
MINFLUX = [
    *(("vld", "?"), ("fnl", "?"), ("tim", "f8"), ("tid", "i4"), ("itr", "i4"), ("loc", "f8", 3)),
    *(("efo", "f8"), ("cfr", "f8"), ("eco", "f8")),
]


if __name__ == "__main__":
    main(measure)
