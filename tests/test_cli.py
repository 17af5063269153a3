import io
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.spatial import ConvexHull

from napari_sparse_gmm import batch, parameters
from napari_sparse_gmm.cli import main
from napari_sparse_gmm.density_model import DensityModel, Groups
from napari_sparse_gmm.engines import EngineUnavailable, ready
from napari_sparse_gmm.engines.ready import Waiting
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.shapes.grid import Grid

FILES = ["components.csv", "density.png", "density.tif", "model.json"]
# Fast, and the same on every machine.
QUICK = ["--engine", "torch", "--device", "cpu", "--random-state", "0"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two clusters, of 300 and 100 points, at (x, y) = (20, 80) and (70, 30), in nm."""
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.normal([20, 80], [4, 2], (300, 2)), rng.normal([70, 30], [1, 3], (100, 2))]
    )
    path = tmp_path / "points.csv"
    pd.DataFrame(points, columns=["x [nm]", "y [nm]"]).assign(n=2.0).to_csv(path, index=False)
    return path


def fit(table: Path, *options: str) -> Path:
    out = table.parent / "out"
    start = ["--components", "8", "--prior", "sqrt", "--sparsity", "1"]
    assert main(["fit", str(table), "--out", str(out), *start, *QUICK, *options]) == 0
    return out


class TestFit:
    @pytest.mark.filterwarnings("always::napari_sparse_gmm.engines.EngineFallbackWarning")
    def test_engine_that_cannot_run_is_told_once(self, table: Path, capsys, monkeypatch) -> None:
        def broken(*_: object) -> None:
            raise EngineUnavailable("KeOps needs a C++ compiler.")

        monkeypatch.setattr(ready, "_working_keops", broken)
        monkeypatch.setattr(ready, "_running", {})
        out = table.parent / "out"
        assert main(["fit", str(table), "--out", str(out), "--engine", "keops"]) == 0
        captured = capsys.readouterr()
        assert captured.err.count("PyTorch instead of KeOps") == 1
        assert "engine torch" in captured.out

    def test_writes_four_files_that_agree(self, table: Path, capsys) -> None:
        out = fit(table)
        assert sorted(path.name for path in out.iterdir()) == FILES
        model = load_model(out / "model.json")
        assert (model.axis_labels, model.unit, model.n_points) == (("y", "x"), "nm", 400)

        components = pd.read_csv(out / "components.csv")
        assert components["weight"].is_monotonic_decreasing
        np.testing.assert_allclose(
            components["mean_x"], model.mixture.means[components["component"], 1]
        )

        image = tifffile.imread(out / "density.tif")
        with tifffile.TiffFile(out / "density.tif") as file:
            numerator, denominator = file.pages[0].tags["XResolution"].value
        pixel = denominator / numerator * 1e7  # cm to nm
        assert max(image.shape) == parameters.LONGEST_SIDE.default
        assert image.sum() * pixel**2 == pytest.approx(1.0, abs=0.01)
        assert (out / "density.png").read_bytes().startswith(b"\x89PNG")
        printed = capsys.readouterr().out
        assert "400 points, axes y, x in nm" in printed
        assert f"{model.mixture.n_components} components" in printed

    def test_finds_the_clusters(self, table: Path) -> None:
        components = pd.read_csv(fit(table) / "components.csv").head(2)
        np.testing.assert_allclose(components["expected_points"], [300, 100], atol=10)
        np.testing.assert_allclose(components[["mean_x", "mean_y"]], [[20, 80], [70, 30]], atol=1)
        np.testing.assert_allclose(components["std_major"], [4, 3], rtol=0.2)

    def test_heatmap_lies_under_the_points(self, table: Path) -> None:
        out = fit(table, "--pixel-size", "0.5")
        image = tifffile.imread(out / "density.tif")
        points = pd.read_csv(table)[["y [nm]", "x [nm]"]].to_numpy()
        grid = Grid.covering(points.min(0), points.max(0), pixel_size=0.5)
        counts, *_ = np.histogram2d(
            *points.T, bins=grid.shape, range=list(zip(*grid.edges, strict=True))
        )
        assert image.shape == counts.shape
        assert np.corrcoef(image.ravel(), counts.ravel())[0, 1] > 0.5

    def test_options_reach_the_fit(self, table: Path) -> None:
        options = ["--sparsity", "3", "--prior", "none", "--solver", "adam", "--background"]
        options += ["--max-iter", "5", "--covariance-floor", "0.5", "--threads", "1"]
        out = fit(table, *options)
        model = load_model(out / "model.json")
        used = model.provenance["parameters"]
        expected = {
            "n_components": 8,
            "sparsity": 3.0,
            "prior": "none",
            "solver": "adam",
            "background": True,
            "max_iter": 5,
            "covariance_floor": 0.5,
            "random_state": 0,
            "engine": "torch",
            "device": "cpu",
            "n_threads": 1,
        }
        assert {name: used[name] for name in expected} == expected
        assert model.provenance["engine"] == "torch"
        assert model.provenance["source"] == str(table)
        assert model.mixture.background_weight > 0

    def test_a_background_can_be_held_even(self, table: Path) -> None:
        out = fit(table, "--prior", "bayes", "--background", "--no-smooth-background")
        model = load_model(out / "model.json")
        assert model.provenance["parameters"]["smooth_background"] is False
        assert model.mixture.background_region.is_even

    def test_defaults_are_those_of_the_estimator(self, table: Path) -> None:
        from napari_sparse_gmm.estimator import SparseGaussianMixture

        out = table.parent / "out"
        assert main(["fit", str(table), "--out", str(out)]) == 0
        used = load_model(out / "model.json").provenance["parameters"]
        assert used == SparseGaussianMixture(random_state=0).get_params()

    def test_start(self, table: Path) -> None:
        options = ["--init", "density", "--prior", "mml", "--background"]
        model = load_model(fit(table, *options) / "model.json")
        assert model.provenance["parameters"]["init"] == "density"
        assert model.mixture.n_components >= 1

    def test_weights_count_points(self, table: Path) -> None:
        model = load_model(fit(table, "--weight", "n") / "model.json")
        assert model.n_points == 800
        unweighted = load_model(fit(table) / "model.json")
        np.testing.assert_allclose(model.mixture.means, unweighted.mixture.means, rtol=1e-3)

    def test_precision_is_taken_off(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        precision = rng.uniform(10.0, 30.0, 500)
        points = 6.0 * rng.standard_normal((500, 2))
        points += precision[:, None] * rng.standard_normal((500, 2))
        table = pd.DataFrame(points, columns=["x [nm]", "y [nm]"])
        table["uncertainty [nm]"] = precision
        path = tmp_path / "points.csv"
        table.to_csv(path, index=False)
        sizes = []
        for options in (["--precision", "none"], ["--precision", "uncertainty"], []):
            model = load_model(
                fit(path, "--components", "1", "--no-background", *options) / "model.json"
            )
            sizes.append(np.trace(model.mixture.covariances[0]) ** 0.5 / 2**0.5)
        assert sizes[0] > 20.0
        assert sizes[1] == pytest.approx(6.0, abs=2.0)
        assert sizes[2] == sizes[1]  # by its name

    def test_volume(self, tmp_path: Path) -> None:
        points = np.random.default_rng(0).normal([5, 30, 50], [1, 4, 8], (300, 3))
        path = tmp_path / "points.csv"
        pd.DataFrame(points, columns=["z", "y", "x"]).to_csv(path, index=False)
        out = fit(path)
        assert tifffile.imread(out / "density.tif").ndim == 3
        assert "volume" in pd.read_csv(out / "components.csv")

    def test_localizations_of_picasso(self, tmp_path: Path, capsys) -> None:
        """In camera pixels of 100 nm; the results are in nm."""
        pixels = np.random.default_rng(0).normal([30, 50], [0.4, 0.8], (300, 2))
        locs = pd.DataFrame({"x": pixels[:, 1], "y": pixels[:, 0], "lpx": 0.01})
        with h5py.File(tmp_path / "locs.hdf5", "w") as file:
            file["locs"] = locs.to_records(index=False)
        (tmp_path / "locs.yaml").write_text("Pixelsize: 100\n")
        out = fit(tmp_path / "locs.hdf5", "--components", "1", "--precision", "lpx")
        model = load_model(out / "model.json")
        np.testing.assert_allclose(model.mixture.means[0], [3000, 5000], atol=20)
        assert model.unit == "nm"
        assert "axes y, x in nm" in capsys.readouterr().out

    def test_not_converged_is_a_result_with_a_remedy(self, table: Path, capsys) -> None:
        assert sorted(path.name for path in fit(table, "--max-iter", "1").iterdir()) == FILES
        assert "raise --max-iter" in capsys.readouterr().err


class TestProgress:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def test_bar_on_a_terminal_only(self, table: Path, monkeypatch, capsys) -> None:
        monkeypatch.setattr(sys, "stderr", terminal := self.Terminal())
        # Long enough for the bar, which is drawn ten times a second, to be drawn again.
        fit(table, "--solver", "adam", "--max-iter", "400")
        assert "cost" in terminal.getvalue()
        assert "components" in terminal.getvalue()
        monkeypatch.undo()
        fit(table)
        assert capsys.readouterr().err == ""

    def test_first_compile_is_told_once(self, table: Path, monkeypatch, capsys) -> None:
        told = "Compiling KeOps kernels for 2D points, first time only"

        def preparation(*_: object, **__: object):
            yield Waiting("", 0.0)
            yield from (Waiting(told, seconds) for seconds in (1.0, 2.0, 3.0))

        monkeypatch.setattr(batch, "preparation", preparation)
        fit(table)
        assert capsys.readouterr().err == f"{told}.\n"
        monkeypatch.setattr(sys, "stderr", terminal := self.Terminal())
        fit(table)
        assert terminal.getvalue().count(told) == 1


class TestMistakes:
    """One line on stderr, status 2, and nothing written."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--x", "col"], "no column 'col' for x"),
            (["--components", "0"], "n_components must be an integer of at least 1"),
            (["--threads", "0"], "n_threads must be an integer of at least 1"),
            (["--threads", "100000"], "n_threads must be an integer of at most 1024, not 100000"),
            (["--covariance-floor", "1e300"], "covariance_floor must be a number of at most 1e+30"),
            (["--sparsity", "-1"], "sparsity must be a number of at least 0"),
            (["--pixel-size", "1e-6"], "choose a larger pixel size"),
            (["--pixel-size", "-1"], "pixel size must be positive"),
        ],
    )
    def test_is_one_line(self, table: Path, capsys, options: list[str], message: str) -> None:
        out = table.parent / "out"
        assert main(["fit", str(table), "--out", str(out), *options]) == 2
        error = capsys.readouterr().err
        assert error.startswith("napari-sparse-gmm: error: ")
        assert message in error
        assert error.count("\n") == 1
        assert not (out / "model.json").exists()

    def test_missing_file(self, tmp_path: Path, capsys) -> None:
        assert main(["fit", str(tmp_path / "nowhere.csv"), "--out", str(tmp_path)]) == 2
        assert "There is no file" in capsys.readouterr().err

    def test_one_point(self, tmp_path: Path, capsys) -> None:
        path = tmp_path / "points.csv"
        path.write_text("x,y\n1,2\n")
        assert main(["fit", str(path), "--out", str(tmp_path / "out")]) == 2
        assert "A single point is too few" in capsys.readouterr().err

    def test_out_is_a_file(self, table: Path, capsys) -> None:
        assert main(["fit", str(table), "--out", str(table)]) == 2
        assert "File exists" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "options", [["--prior", "other"], ["--engine", "abacus"], ["--components", "many"]]
    )
    def test_argparse_knows_the_choices(self, table: Path, capsys, options: list[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["fit", str(table), "--out", str(table.parent), *options])
        assert options[0] in capsys.readouterr().err


class TestTexts:
    def test_version(self, capsys) -> None:
        with pytest.raises(SystemExit, match="0"):
            main(["--version"])
        assert capsys.readouterr().out.startswith("napari-sparse-gmm 0.")

    def test_help_says_what_the_parameters_say(self, capsys) -> None:
        with pytest.raises(SystemExit, match="0"):
            main(["fit", "--help"])
        words = " ".join(capsys.readouterr().out.split())
        assert parameters.N_COMPONENTS.help.split(".")[0] in words
        assert "(default: bayes)" in words
        assert "{bayes,mml,sqrt,none}" in words


class TestScore:
    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        """Other points of the same two clusters, in columns of other names."""
        points = np.random.default_rng(1).normal([[20, 80], [70, 30], [0, 0]], 2, (50, 3, 2))
        path = tmp_path / "others.csv"
        columns = ["a [nm]", "b [nm]"]
        pd.DataFrame(points.reshape(-1, 2), columns=columns).assign(s=3.0).to_csv(path, index=False)
        return path

    def score(self, table: Path, model: Path, *options: str) -> int:
        arguments = ["--x", "a", "--y", "b", "--out", str(table.parent / "scored.csv"), *options]
        return main(["score", str(model), str(table), "--engine", "torch", *arguments])

    @pytest.mark.parametrize("precision", [None, "s"])
    def test_points_get_what_the_model_says(
        self, table: Path, other: Path, capsys, precision: str | None
    ) -> None:
        out = fit(table, "--background")
        options = ["--precision", precision] if precision else []
        assert self.score(other, out / "model.json", *options) == 0
        scored = pd.read_csv(other.parent / "scored.csv")
        points = scored[["b [nm]", "a [nm]"]].to_numpy()
        np.testing.assert_allclose(points, pd.read_csv(other)[["b [nm]", "a [nm]"]])
        mixture, noise = load_model(out / "model.json").mixture, 3.0 if precision else None
        expected = mixture.log_density(points, noise_std=noise)
        far = (points < 10).any(axis=1)  # a third cluster, that the model does not know
        np.testing.assert_allclose(scored["log_density"][~far], expected[~far], atol=1e-4)
        likeliest = mixture.responsibilities(points, noise_std=noise).max(1)
        np.testing.assert_allclose(
            scored["probability"], np.where(far, np.nan, likeliest), atol=1e-4
        )
        component = mixture.predict(points, noise_std=noise)
        np.testing.assert_array_equal(scored["component"], np.where(far, -1, component))
        told = capsys.readouterr().out
        assert (
            f"Mean log density {expected[~far].mean():.2f} per nm² (the points that it was" in told
        )
        assert "50 points far from what the model was fitted to left out" in told

    def test_more_threads_than_any_machine_has(self, table: Path, other, capsys) -> None:
        model = fit(table) / "model.json"
        assert self.score(other, model, "--threads", "100000") == 2
        assert "n_threads must be an integer of at most 1024" in capsys.readouterr().err

    @pytest.mark.parametrize("unit", ["um", "\u00b5m", "\u03bcm"])
    def test_a_micrometre_in_every_spelling(self, table: Path, other: Path, unit: str) -> None:
        (part,) = load_model(fit(table) / "model.json").parts
        save_model(table.parent / "model.json", DensityModel((part,), ("y", "x"), "µm"))
        pd.DataFrame({f"a [{unit}]": [1.0], f"b [{unit}]": [2.0]}).to_csv(other, index=False)
        assert self.score(other, table.parent / "model.json") == 0

    def test_the_points_that_were_fitted_score_as_the_fit_did(self, table: Path, capsys) -> None:
        model = load_model(fit(table, "--weight", "n") / "model.json")
        mean = model.mixture.log_density(pd.read_csv(table)[["y [nm]", "x [nm]"]]).mean()
        assert model.parts[0].mean_log_density == pytest.approx(mean, abs=1e-4)

    def test_each_group_by_its_own_mixture(self, table: Path, other: Path, capsys) -> None:
        (part,) = load_model(fit(table) / "model.json").parts
        model = DensityModel((part, None), ("y", "x"), "nm", groups=Groups("s", np.array([3, 4])))
        save_model(table.parent / "groups.json", model)
        assert self.score(other, table.parent / "groups.json") == 2
        assert "a mixture for each s: name the column of it with --group" in capsys.readouterr().err
        assert self.score(other, table.parent / "groups.json", "--group", "s") == 0
        scored = pd.read_csv(other.parent / "scored.csv")
        assert (scored["group"] == 3).all()
        assert np.isfinite(scored["log_density"]).all()

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            (["a [um]", "b [um]"], "The points are in um and the model is in nm"),
            (["a [nm]", "b [nm]", "z [nm]"], "The points have 3 axes (z, y, x), and the model"),
        ],
    )
    def test_other_points_are_refused(
        self, table: Path, other: Path, capsys, columns: list[str], words: str
    ) -> None:
        out = fit(table)
        places = np.random.default_rng(0).uniform(size=(9, len(columns)))
        pd.DataFrame(places, columns=columns).to_csv(other, index=False)
        options = ["--z", "z"] if len(columns) == 3 else []
        assert self.score(other, out / "model.json", *options) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("which", ["points", "model", "yaml"])
def test_a_score_is_not_written_over_what_is_read(table: Path, capsys, which: str) -> None:
    beside = table.with_suffix(".yaml")
    beside.write_text("Pixelsize: 130")
    paths = {"points": table, "model": fit(table) / "model.json", "yaml": beside}
    before = paths[which].read_bytes()
    command = ["score", str(paths["model"]), str(table), "--out", str(paths[which])]
    assert main(command) == 2
    assert f"{paths[which]} is read, so it cannot be written" in capsys.readouterr().err
    assert paths[which].read_bytes() == before


@pytest.mark.parametrize("group", [False, True], ids=["all", "each group"])
def test_a_fit_is_not_written_over_what_is_read(
    table: Path, capsys, group: bool, monkeypatch
) -> None:
    out = table.parent / "out"
    given = out / ("1" if group else "") / "components.csv"
    given.parent.mkdir(parents=True)
    pd.read_csv(table).assign(cell=1).to_csv(given, index=False)
    before = given.read_bytes()
    # Before any work.
    monkeypatch.setattr(batch, "iter_groups", lambda *args, **keywords: pytest.fail("a fit"))
    command = ["fit", str(given), "--out", str(out), *(["--group", "cell"] if group else [])]
    assert main(command) == 2
    assert f"{given} is read, so it cannot be written" in capsys.readouterr().err
    assert given.read_bytes() == before


def test_a_region_is_not_written_over(table: Path, capsys) -> None:
    out = table.parent / "out"
    out.mkdir()
    around = np.array([[0.0, 0.0], [0.0, 99.0], [99.0, 99.0], [99.0, 0.0]])
    shapes = pd.DataFrame(around, columns=["axis-0", "axis-1"])
    shapes.insert(0, "vertex-index", np.arange(4))
    shapes.insert(0, "shape-type", "polygon")
    shapes.insert(0, "index", 0)
    shapes.to_csv(out / "components.csv", index=False)
    command = ["fit", str(table), "--out", str(out), "--region", str(out / "components.csv")]
    assert main(command) == 2
    assert "is read, so it cannot be written" in capsys.readouterr().err


def test_the_name_of_a_file_need_not_be_text(table: Path, capsys) -> None:
    odd = table.with_name(os.fsdecode(b"caf\xe9.csv"))
    table.rename(odd)
    out = fit(odd)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert "udce9" in load_model(out / "model.json").provenance["source"]
    assert main(["score", str(out / "model.json"), str(odd), "--out", str(odd) + "2"]) == 0
    assert capsys.readouterr().err == ""


def test_groups_have_a_folder_each_and_a_table_together(table: Path, capsys) -> None:
    cells = pd.read_csv(table)
    cells["cell"] = np.where(np.arange(400) < 300, "left one", "right")
    cells.to_csv(table, index=False)
    out = fit(table, "--group", "cell", "--precision", "n")
    assert sorted(path.name for path in out.iterdir()) == ["components.csv", "left_one", "right"]
    for name, n, place in (("left_one", 300, [80, 20]), ("right", 100, [30, 70])):
        assert sorted(path.name for path in (out / name).iterdir()) == FILES
        model = load_model(out / name / "model.json")
        assert model.n_points == n
        centre = np.average(model.mixture.means, axis=0, weights=model.mixture.weights)
        np.testing.assert_allclose(centre, place, atol=1.0)
    both = pd.read_csv(out / "components.csv")
    parts = [pd.read_csv(out / name / "components.csv") for name in ("left_one", "right")]
    assert list(both["group"]) == ["left one"] * len(parts[0]) + ["right"] * len(parts[1])
    pd.testing.assert_frame_equal(
        both.drop(columns="group"), pd.concat(parts).reset_index(drop=True)
    )
    # All on the same pixels.
    shapes = {tifffile.imread(out / name / "density.tif").shape for name in ("left_one", "right")}
    assert len(shapes) == 1
    told = capsys.readouterr().out
    assert "group left one: " in told
    assert "a folder for each of 2 groups" in told


@pytest.mark.parametrize(
    ("label", "name"),
    [("..", "_"), ("../up", "_up"), (1234567.0, "1234567"), (0.25, "0.25"), ("café 1", "café_1")],
)
def test_folders_of_groups_stay_within(label, name) -> None:
    assert batch._name(label) == name


def test_groups_by_number_and_one_that_is_too_small(table: Path, capsys) -> None:
    cells = pd.read_csv(table)
    cells["frame"] = np.repeat([0.0, 1.0], [399, 1])
    cells.to_csv(table, index=False)
    out = fit(table, "--group", "frame")
    assert sorted(path.name for path in out.iterdir()) == ["0", "components.csv"]
    assert "group 1.0: A single point is too few" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a b", "a_b"], "the same folder"),
        (["A", "a"], "the same folder"),
        (["a", None], "200 of 400 rows have an empty cell"),
        (["a", "b" * 300], "a name of 300 characters, bbbbbbbbbbbbbbbbbbbb…, too long"),
        (["a", "µ" * 127], "too long for a folder: shorten it"),
    ],
)
def test_groups_that_cannot_be_told_apart(table: Path, capsys, labels, words) -> None:
    cells = pd.read_csv(table)
    cells["cell"] = labels * 200
    cells.to_csv(table, index=False)
    assert main(["fit", str(table), "--out", str(table.parent / "out"), "--group", "cell"]) == 2
    assert words in capsys.readouterr().err


def test_a_region_leaves_points_out(table: Path, capsys) -> None:
    around = np.array([[70.0, 0.0], [70.0, 40.0], [90.0, 40.0], [90.0, 0.0]])  # y, x
    shapes = pd.DataFrame(around, columns=["axis-0", "axis-1"])
    shapes.insert(0, "vertex-index", np.arange(4))
    shapes.insert(0, "shape-type", "rectangle")
    shapes.insert(0, "index", 0)
    shapes.to_csv(table.parent / "cell.csv", index=False)
    out = fit(table, "--background", "--region", str(table.parent / "cell.csv"), "--weight", "n")
    model = load_model(out / "model.json")
    assert model.n_points == 600
    assert model.mixture.background_region.volume == pytest.approx(800.0)
    assert "100 of 400 points lie outside" in capsys.readouterr().out

    model = load_model(fit(table, "--background", "--region", "hull") / "model.json")
    assert model.mixture.background_region.kind == "hull"
    assert fit(table, "--no-background", "--region", "hull")
    assert load_model(out / "model.json").mixture.background_weight == 0


def test_a_region_without_points_is_told(table: Path, capsys) -> None:
    (table.parent / "cell.csv").write_text(
        "index,shape-type,vertex-index,axis-0,axis-1\n"
        "0,polygon,0,500,500\n0,polygon,1,500,600\n0,polygon,2,600,500\n"
    )
    region = str(table.parent / "cell.csv")
    out = str(table.parent / "out")
    assert main(["fit", str(table), "--out", out, "--region", region]) == 2
    assert "No point lies in the region" in capsys.readouterr().err


def test_help_is_fast_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, napari_sparse_gmm.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', {'torch', 'pykeops', 'sklearn', 'napari', 'pandas'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY set()" in run.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_cleanly(table: Path) -> None:
    rows = pd.concat([pd.read_csv(table)] * 100)
    rows.assign(id=range(len(rows))).to_csv(table, index=False)
    out = table.parent / "out"
    # Says on stderr when the fit has started, then goes on for long.
    code = (
        "import signal, sys, napari_sparse_gmm.estimator as e\n"
        # What runs in the background may have been started with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "steps = e.SparseGaussianMixture.iter_fit\n"
        "def loud(*a, **k):\n"
        "    for step in steps(*a, **k):\n"
        "        print('step', file=sys.stderr, flush=True)\n"
        "        yield step\n"
        "e.SparseGaussianMixture.iter_fit = loud\n"
        "from napari_sparse_gmm.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    adam = ["--prior", "sqrt", "--solver", "adam", "--max-iter", "100000"]
    options = ["--out", str(out), *adam, *QUICK]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", str(table), *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "step\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.replace("step\n", "") == "napari-sparse-gmm: interrupted\n"
    assert list(out.iterdir()) == []


class TestDemo:
    @pytest.fixture(autouse=True)
    def no_window(self, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
        """Notes how the viewer would have been opened."""
        opened: list[dict] = []
        module = types.ModuleType("napari_sparse_gmm.plugin.demo")
        module.show_demo = lambda **options: opened.append(options)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.delenv("NAPARI_SPARSE_GMM_UNATTENDED", raising=False)
        return opened

    def test_without_a_display_the_files_are_written(
        self, tmp_path: Path, monkeypatch, capsys, no_window: list[dict]
    ) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
        assert sorted(os.listdir(tmp_path / "demo")) == FILES
        printed = capsys.readouterr().out
        assert "600 points, axes y, x in nm" in printed
        assert "there is no display" in printed
        assert no_window == []

    def test_on_a_display_the_viewer_opens(
        self, tmp_path: Path, monkeypatch, no_window: list[dict]
    ) -> None:
        pytest.importorskip("PyQt6")
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
        assert main(["demo", "--out", str(tmp_path)]) == 0
        assert no_window == [{}]

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has displays by number")
    def test_on_a_display_that_is_gone_the_files_are_written(
        self, tmp_path: Path, monkeypatch, capsys, no_window: list[dict]
    ) -> None:
        pytest.importorskip("PyQt6")
        monkeypatch.setenv("DISPLAY", ":7777")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert main(["demo", "--out", str(tmp_path)]) == 0
        assert sorted(os.listdir(tmp_path)) == FILES
        assert "its display does not open (" in capsys.readouterr().out
        assert no_window == []

    def test_on_a_screen_that_nobody_sees_it_takes_a_picture(
        self, tmp_path: Path, monkeypatch, no_window: list[dict]
    ) -> None:
        pytest.importorskip("PyQt6")
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
        monkeypatch.setenv("NAPARI_SPARSE_GMM_UNATTENDED", "1")
        assert main(["demo", "--out", str(tmp_path)]) == 0
        assert no_window == [{"screenshot": tmp_path / "viewer.png"}]

    def test_default_folder_is_named_like_the_program(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("napari_sparse_gmm.cli.demo._viewer_obstacle", lambda: "it is a test.")
        monkeypatch.chdir(tmp_path)
        assert main(["demo"]) == 0
        assert (tmp_path / "napari-sparse-gmm-demo" / "density.png").exists()


def test_rows_that_are_left_out_are_told(tmp_path: Path, capsys) -> None:
    rows = [f"{x},{y},3" for x, y in np.random.default_rng(0).uniform(0, 9, (50, 2))]
    path = tmp_path / "points.csv"
    path.write_text("\n".join(["x,y,lp", *rows, "1,,3", "1,2,-1"]))
    fit(path, "--precision", "lp")
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [
        "napari-sparse-gmm: warning: 1 of 52 rows of points.csv have no position and are left out.",
        "napari-sparse-gmm: warning: 1 of 51 rows of points.csv have no precision in 'lp' and are "
        "left out.",
    ]


def test_a_closed_standard_error_loses_no_fit(table: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert sorted(path.name for path in fit(table).iterdir()) == FILES


def test_clusters_have_their_hull_and_their_frames(table: Path) -> None:
    rows = pd.read_csv(table)
    rows["frame"] = np.random.default_rng(0).integers(0, 1000, len(rows))
    rows.to_csv(table, index=False)
    out = table.parent / "out"
    assert main(["fit", str(table), "--out", str(out), *QUICK]) == 0
    found = pd.read_csv(out / "components.csv").set_index("component")
    points = rows[["y [nm]", "x [nm]"]].to_numpy()
    assigned = load_model(out / "model.json").mixture.predict(points)
    for k, own in found.iterrows():
        members = points[assigned == k]
        assert own["hull_area"] == pytest.approx(ConvexHull(members).volume, rel=0.05)
        frames = rows["frame"][assigned == k]
        assert (own["first_frame"], own["last_frame"]) == (frames.min(), frames.max())
    # A column of frames that are not all known costs no points.
    rows["frame"] = rows["frame"].where(rows.index > 3)
    rows.to_csv(table, index=False)
    assert main(["fit", str(table), "--out", str(out), *QUICK]) == 0
    assert "first_frame" not in pd.read_csv(out / "components.csv")
