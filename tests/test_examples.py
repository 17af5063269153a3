"""The examples in docstrings are run, each module's in a folder of its own."""

import doctest
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from napari.layers import Points

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.density_model import DensityModel, part_of
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box
from napari_sparse_gmm.samples import smlm_clusters
from napari_sparse_gmm.shapes.grid import Grid, heatmap

SOURCE = Path(__file__).parents[1] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def names() -> dict[str, object]:
    """What the examples take for given: points and a fit of them, as those who read it have."""
    sample = smlm_clusters()
    points = sample.points
    estimator = SparseGaussianMixture(random_state=0, engine="torch").fit(points)
    model = DensityModel((part_of(estimator, estimator.open(points)),), ("y", "x"), "nm")
    grid = Grid.covering([0.0, 0.0], [2000.0, 2000.0], pixel_size=20.0)
    return {
        "Box": Box,
        "Observations": Observations,
        "Path": Path,
        "estimator": estimator,
        "grid": grid,
        "image": heatmap(model.mixture, grid),
        "layer": Points(points, features=sample.features, units="nm", name="localizations"),
        "mixture": model.mixture,
        "model": model,
        "np": np,
        "part_of": part_of,
        "points": points,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the same points in every format, and a region."""
    monkeypatch.chdir(tmp_path)
    sample = smlm_clusters()
    y, x = sample.points.T
    precision = sample.features["precision"]
    table = pd.DataFrame({"id": np.arange(len(x)), "frame": 1, "x [nm]": x, "y [nm]": y})
    table["uncertainty [nm]"] = precision
    table.to_csv("localizations.csv", index=False)
    table.to_parquet("localizations.parquet")
    with h5py.File("smappy.hdf5", "w") as file:
        for name, values in {"frame": table["frame"], "locprecnm": precision}.items():
            file[f"locs/{name}"] = values
        file["locs/xnm"], file["locs/ynm"] = x, y
    kind = [("vld", "?"), ("tid", "i4"), ("tim", "f8"), ("itr", "i4"), ("loc", "f8", 3)]
    events = np.ones(len(x), [*kind, ("efo", "f8"), ("cfr", "f8")])
    np.save("mfx.npy", events)
    pixels = pd.DataFrame({"frame": table["frame"], "x": x, "y": y, "lpx": precision})
    pixels["lpy"] = precision
    with h5py.File("locs.hdf5", "w") as file:
        file["locs"] = pixels.to_records(index=False)
    Path("locs.yaml").write_text("Pixelsize: 1\n")
    corners = [(0, 0, 0, 0), (0, 1, 0, 4), (0, 2, 3, 0)]
    columns = ["index", "vertex-index", "axis-0", "axis-1"]
    shapes = pd.DataFrame(corners, columns=columns)
    shapes.insert(1, "shape-type", "polygon")
    shapes.to_csv("cell.csv", index=False)


@pytest.mark.usefixtures("qapp", "folder")
@pytest.mark.parametrize("name", MODULES)
def test_example_is_true(name: str, names: dict[str, object]) -> None:
    module = import_module(name)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder().find(module, extraglobs=names):
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).attempted
    assert not report, "".join(report)
