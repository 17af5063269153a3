"""The commands and the lines of Python on the pages of docs, as they stand there."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.cli import main
from napari_sparse_gmm.io.models import load_model
from napari_sparse_gmm.regions import Box

DOCS = Path(__file__).parents[1] / "docs"
PIXEL = 130.0  # nm; the pages have 130
SIDE = 20 * PIXEL
CORNERS = np.array([[0.0, 0.0], [0.0, SIDE], [SIDE, SIDE], [SIDE, 0.0]])  # y, x in nm


def commands(page: str) -> list[list[str]]:
    """The arguments of each command of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^ *napari-sparse-gmm (.+)$", text, re.M)]


def python(page: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the lines of Python of a page leave behind."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for lines in re.findall(r"^```python\n(.+?)^```", text, re.M | re.S):
        exec(compile(lines, page, "exec"), given)
    return given


def field(seed: int, n_clusters: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.15 * SIDE, 0.85 * SIDE, (n_clusters, 2))
    clustered = means[rng.integers(n_clusters, size=240)] + rng.normal(0, 25, (240, 2))
    points = np.concatenate([clustered, rng.uniform(0, SIDE, (120, 2))])
    return pd.DataFrame(
        {
            "frame": np.arange(len(points)),
            "x [nm]": points[:, 1],
            "y [nm]": points[:, 0],
            "sigma [nm]": rng.uniform(90, 190, len(points)),
            "intensity [photon]": rng.gamma(2, 800, len(points)),
            "photons": rng.gamma(2, 800, len(points)),
            "uncertainty [nm]": np.full(len(points), 10.0),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a table of points."""
    monkeypatch.chdir(tmp_path)
    field(0).to_csv("localizations.csv", index=False)
    return tmp_path


def run(*arguments: str) -> None:
    assert main(list(arguments)) == 0


def test_cells(folder: Path) -> None:
    ring = (CORNERS[:, ::-1] / PIXEL).tolist()
    cell = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {"type": "Feature", "properties": {"name": "cell 1"}, "geometry": cell}
    content = {"type": "FeatureCollection", "features": [feature]}
    Path("cells.geojson").write_text(json.dumps(content))
    regions, filtered = commands("cells.md")
    run(*regions)
    assert pd.read_csv("results/regions.csv")["points"].tolist() == [360]
    run(*filtered)
    left = field(0).query("photons >= 500 and 100 <= `sigma [nm]` <= 180")
    assert load_model("results/model.json").fitted[0].n_points == len(left)
    points = field(0)[["y [nm]", "x [nm]"]].to_numpy()
    model = SparseGaussianMixture(background=True, random_state=0).fit(points)
    left_behind = python("cells.md", {"model": model, "points": points, "corners": CORNERS})
    np.testing.assert_allclose(left_behind["table"]["area [µm²]"], (SIDE / 1e3) ** 2)


def test_batch(folder: Path) -> None:
    for k, name in enumerate(("control", "drug")):
        for replicate in range(2):
            path = folder / "data" / name / f"{name} {replicate}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            field(2 * k + replicate).to_csv(path, index=False)
    fit, compare = commands("batch.md")
    # One after the other, as each process would import everything.
    fit[fit.index("--jobs") + 1] = "1"
    run(*fit)
    assert pd.read_csv("results/summary.csv")["problem"].isna().tolist() == [True] * 4
    run(*compare)
    given = {name: Path("compared", name).read_bytes() for name in ("effects.csv", "effects.png")}
    found = python("batch.md", {"Path": Path})["found"]
    assert found.conditions == ("control", "drug")
    assert {name: Path("compared", name).read_bytes() for name in given} == given


def test_channels(folder: Path) -> None:
    field(1).to_csv("second.csv", index=False)
    for table, out in (("localizations.csv", "results"), ("second.csv", "second")):
        run("fit", table, "--out", out)
    rows = [(0, "polygon", k, *corner) for k, corner in enumerate(CORNERS)]
    header = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
    pd.DataFrame(rows, columns=header).to_csv("cell.csv", index=False)
    alone, with_model = commands("channels.md")
    run(*alone)
    run(*with_model)
    written = pd.read_csv("channels/channels.csv", index_col=0)
    columns = ["y [nm]", "x [nm]"]
    one, other = field(0)[columns].to_numpy(), field(1)[columns].to_numpy()
    estimator = SparseGaussianMixture(background=True, random_state=0)
    first, second = clone(estimator).fit(one), clone(estimator).fit(other)
    given = {"first": first, "second": second, "points": other, "region": Box(CORNERS[[0, 2]])}
    found = python("channels.md", given)["comparison"].inside
    # The same numbers, as that is the same region; the random shifts are others.
    assert found.observed == pytest.approx(written.loc["inside", "observed"], abs=0.02)


def test_export(folder: Path) -> None:
    run("fit", "localizations.csv", "--out", "results")
    for command in commands("export.md"):
        run(*command)
    k = load_model("results/model.json").mixture.n_components
    assert k > 0
    assert sorted(path.suffix for path in Path("for-others").iterdir()) == [
        ".geojson",
        ".md",
        ".zip",
    ]
    assert {path.name for path in folder.glob("clusters.*")} == {"clusters.hdf5", "clusters.yaml"}
    python("export.md", {})
    assert len(json.loads(Path("outlines.geojson").read_text())["features"]) == k
