"""The same localizations in every format."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

PIXEL = 130.0  # nm


@pytest.fixture
def cells() -> pd.DataFrame:
    """Localizations in nm, as ThunderSTORM writes them."""
    rng = np.random.default_rng(0)
    columns = {
        "id": np.arange(50.0),
        "frame": rng.integers(1, 9, 50),
        "x [nm]": rng.uniform(0, 9000, 50),
        "y [nm]": rng.uniform(0, 5000, 50),
        "uncertainty [nm]": rng.uniform(5, 25, 50),
        "dye": rng.choice(["red", "blue"], 50),
    }
    return pd.DataFrame(columns)


@pytest.fixture
def picasso(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns in camera pixels as Picasso does, and gives the path of the HDF5 file."""

    def write(columns: dict, yaml: str | None = f"Frames: 9\n---\nPixelsize: {PIXEL:g}\n") -> Path:
        path = tmp_path / "locs.hdf5"
        with h5py.File(path, "w") as file:
            file["locs"] = pd.DataFrame(columns).to_records(index=False)
        if yaml is not None:
            path.with_suffix(".yaml").write_text(yaml, encoding="utf-8")
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes a text file and gives its path."""

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "points.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write
