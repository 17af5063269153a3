"""The command line on points in chunks, and fits that go on where they were interrupted."""

import gc
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.spatial import ConvexHull

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import EngineLost
from napari_sparse_gmm.io.models import load_model

FILES = ["components.csv", "density.png", "density.tif", "model.json"]
# Fast, and the same on every machine.
QUICK = ["--engine", "torch", "--device", "cpu", "--random-state", "0"]
QUICK += ["--prior", "mml", "--init", "density"]
IN_MEMORY, ON_DISK = ["--memory", "8GB"], ["--memory", "1MB"]


def field_of_clusters(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Nine clusters on a lattice, and a background."""
    rng = np.random.default_rng(seed)
    means = np.stack(np.meshgrid(*2 * [[20, 50, 80]]), axis=2).reshape(-1, 2)
    clustered = means[rng.integers(9, size=n)] + 2.0 * rng.standard_normal((n, 2))
    points = np.concatenate([clustered, rng.uniform(0, 100, (n // 4, 2))])
    return pd.DataFrame(rng.permutation(points), columns=["x [nm]", "y [nm]"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    field_of_clusters().to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same points in three tables."""
    folder = tmp_path / "tables"
    folder.mkdir()
    points = field_of_clusters()
    points[:1000].to_csv(folder / "a.csv", index=False)
    points[1000:1500].to_parquet(folder / "b.parquet", index=False)
    points[1500:].to_csv(folder / "c.csv", index=False)
    return folder


def arguments(given: Path, out: Path, *options: str) -> list[str]:
    return ["fit", str(given), "--out", str(out), *QUICK, *options]


def fit(given: Path, *options: str, out: str = "out") -> Path:
    folder = given.parent / out
    assert main(arguments(given, folder, *options)) == 0
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return folder


def alike(one: Path, other: Path) -> None:
    """To what the order of the points changes."""
    found, expected = (load_model(out / "model.json") for out in (one, other))
    assert found.mixture.n_components == expected.mixture.n_components
    assert (found.axis_labels, found.unit) == (expected.axis_labels, expected.unit)
    assert found.n_points == pytest.approx(expected.n_points)
    costs = [model.parts[0].mean_log_density for model in (found, expected)]
    assert costs[0] == pytest.approx(costs[1], abs=1e-4)


def printed_cost(text: str) -> float:
    return float(text.partition("cost ")[2].split()[0])


class TestFit:
    @pytest.mark.parametrize("memory", [[], IN_MEMORY, ON_DISK], ids=" ".join)
    def test_a_folder_of_tables_is_one_table(self, table, folder, capsys, memory) -> None:
        whole = fit(table, out="whole")
        cost = printed_cost(capsys.readouterr().out)
        parts = fit(folder, *memory)
        told = capsys.readouterr()
        assert printed_cost(told.out) == pytest.approx(cost, abs=1e-4)
        assert f"{folder}: 3,750 points, axes y, x in nm" in told.out
        assert "9 components" in told.out
        assert load_model(parts / "model.json").provenance["source"] == str(folder)
        alike(parts, whole)

    def test_on_disk_a_fit_finds_what_one_in_memory_does(self, table, capsys, tmp_path) -> None:
        whole = fit(table, out="whole")
        cost = printed_cost(capsys.readouterr().out)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        out = fit(table, *ON_DISK, "--scratch", str(scratch))
        assert printed_cost(capsys.readouterr().out) == pytest.approx(cost, abs=1e-4)
        alike(out, whole)
        model = load_model(out / "model.json")
        assert model.provenance["parameters"]["storage"] is None
        assert model.n_points == pytest.approx(3750)
        components = pd.read_csv(out / "components.csv")
        np.testing.assert_allclose(
            components["mean_x"], model.mixture.means[components["component"], 1]
        )
        gc.collect()
        assert list(scratch.iterdir()) == []  # nothing is left there

    def test_clusters_have_their_hull_and_their_frames(self, folder) -> None:
        for k, path in enumerate(sorted(folder.iterdir())):
            csv = path.suffix == ".csv"
            own = pd.read_csv(path) if csv else pd.read_parquet(path)
            own["frame"] = 100 * k + np.arange(len(own)) // 20
            own.to_csv(path, index=False) if csv else own.to_parquet(path, index=False)
        out = fit(folder, *ON_DISK)
        readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
        rows = pd.concat(readers[path.suffix](path) for path in sorted(folder.iterdir()))
        points = rows[["y [nm]", "x [nm]"]].to_numpy()
        assigned = load_model(out / "model.json").mixture.predict(points)
        found = pd.read_csv(out / "components.csv").set_index("component")
        assert len(found) == 9
        for k, own in found.iterrows():
            hull = ConvexHull(points[assigned == k])
            assert own["hull_area"] == pytest.approx(hull.volume, rel=0.02)
            frames = rows["frame"][assigned == k]
            assert (own["first_frame"], own["last_frame"]) == (frames.min(), frames.max())

    def test_the_engine_by_default(self, table, capsys) -> None:
        options = ["--engine", "auto", "--device", "auto"]
        alike(fit(table, *ON_DISK, *options), fit(table, *options, out="whole"))

    def test_weights_and_precision(self, table) -> None:
        frame = pd.read_csv(table).assign(n=2.0, lp=np.linspace(0.5, 1.5, 3750))
        frame.to_csv(table, index=False)
        options = ["--weight", "n", "--precision", "lp"]
        alike(fit(table, *ON_DISK, *options), fit(table, *options, out="whole"))
        assert load_model(table.parent / "out" / "model.json").n_points == pytest.approx(7500)

    def test_volume(self, table) -> None:
        frame = pd.read_csv(table)
        frame["z [nm]"] = 3.0 * np.random.default_rng(1).standard_normal(len(frame))
        frame.to_csv(table, index=False)
        out = fit(table, *ON_DISK)
        assert load_model(out / "model.json").axis_labels == ("z", "y", "x")

    @pytest.mark.parametrize("size", ["8GB", "500MB", "1.5GiB", "100k", "2000000000", "7 gb"])
    def test_sizes_of_memory(self, table, monkeypatch, size: str) -> None:
        given = {}

        def fit_chunked(*_: object, storage, **__: object):
            given["limit"] = storage.memory_limit
            raise EngineLost("It is a test.")

        monkeypatch.setattr("napari_sparse_gmm.batch.fit_chunked_to_folder", fit_chunked)
        assert main(arguments(table, table.parent / "out", "--memory", size)) == 1
        expected = {
            "8GB": 8_000_000_000,
            "500MB": 500_000_000,
            "1.5GiB": 3 << 29,
            "100k": 100_000,
            "7 gb": 7_000_000_000,
        }
        assert given["limit"] == expected.get(size, 2_000_000_000)

    def test_workers_of_this_machine(self, table, capsys) -> None:
        pytest.importorskip("distributed")
        whole = fit(table, out="whole")
        capsys.readouterr()
        alike(fit(table, "--workers", "1"), whole)
        told = capsys.readouterr().err.splitlines()
        assert told[:2] == ["Reading the points.", "3,750 points are ready."]
        assert told[2:] == [
            "Reading the points once more, for the hulls and the frames of the components."
        ]


class TestMistakes:
    """One line on stderr, status 2, and nothing written."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([*ON_DISK, "--group", "n"], "--group needs all points in memory: leave it out"),
            ([*ON_DISK, "--merge-gap", "1"], "--merge-gap needs all points in memory"),
            ([*ON_DISK, "--region", "hull"], "--region needs all points in memory"),
            (["--resume", "--group", "n"], "--group needs all points in memory"),
            (
                ["--workers", "1", "--scheduler", "tcp://127.0.0.1:1"],
                "--workers starts some here, and --scheduler has its own: give one",
            ),
            (["--workers", "0"], "--workers must be at least 1, not 0"),
            ([*ON_DISK, "--scratch", "nowhere/at/all"], "No scratch folder can be made"),
            ([*ON_DISK, "--x", "col"], "no column 'col' for x"),
            ([*ON_DISK, "--weight", "count"], "no column 'count' for weight"),
            ([*ON_DISK, "--components", "0"], "n_components must be an integer of at least 1"),
            ([*ON_DISK, "--pixel-size", "1e-6"], "choose a larger pixel size"),
            ([*ON_DISK, "--pixel-size", "-1"], "pixel size must be positive"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_is_one_line(self, table, capsys, options: list[str], message: str) -> None:
        out = table.parent / "out"
        assert main(arguments(table, out, *options)) == 2
        error = capsys.readouterr().err
        last = error.splitlines()[-1]
        assert last.startswith("napari-sparse-gmm: error: ")
        assert message in last
        assert error.count("napari-sparse-gmm: ") == 1
        assert not out.exists() or list(out.iterdir()) == []

    def test_no_scheduler_answers(self, table, capsys, monkeypatch) -> None:
        distributed = pytest.importorskip("distributed")
        client = distributed.Client
        soon = {"timeout": 1}
        monkeypatch.setattr(distributed, "Client", lambda given, **how: client(given, **how | soon))
        address = "tcp://127.0.0.1:1"
        assert main(arguments(table, table.parent / "out", "--scheduler", address)) == 2
        error = capsys.readouterr().err
        assert error == f"napari-sparse-gmm: error: No Dask scheduler answers at {address}.\n"

    @pytest.mark.parametrize("size", ["nonsense", "8XB", "-1GB", "", "GB"])
    def test_what_is_no_size(self, table, capsys, size: str) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(arguments(table, table.parent / "out", f"--memory={size}"))
        assert f"--memory: {size!r} is no size; write it as 8GB or 500MB" in capsys.readouterr().err

    def test_a_folder_without_tables(self, tmp_path, capsys) -> None:
        given = tmp_path / "given"
        given.mkdir()
        assert main(arguments(given, tmp_path / "out")) == 2
        assert "There is no table in the folder" in capsys.readouterr().err

    def test_lost_workers_are_one_sentence(self, table, capsys, monkeypatch) -> None:
        def lost(*_: object, **__: object) -> None:
            raise EngineLost("The Dask scheduler is gone.")

        monkeypatch.setattr("napari_sparse_gmm.batch.fit_chunked_to_folder", lost)
        assert main(arguments(table, table.parent / "out", *ON_DISK)) == 1
        error = capsys.readouterr().err
        assert error == "napari-sparse-gmm: error: The Dask scheduler is gone.\n"

    @pytest.mark.parametrize("in_folder", [False, True], ids=["table", "folder"])
    def test_a_fit_is_not_written_over_what_is_read(self, tmp_path, capsys, in_folder) -> None:
        out = tmp_path / "out"
        out.mkdir()
        given = out / "components.csv"
        field_of_clusters().to_csv(given, index=False)
        before = given.read_bytes()
        assert main(arguments(out if in_folder else given, out, *IN_MEMORY)) == 2
        assert "is read, so it cannot be written" in capsys.readouterr().err
        assert given.read_bytes() == before


def interrupted(given: Path, out: Path, how: signal.Signals, *options: str) -> tuple[int, str]:
    """Exit status and stderr of a fit that is sent a signal when there is one more checkpoint."""
    before = set((out / "checkpoints").glob("0*.npz"))
    command = arguments(given, out, "--checkpoint-minutes", "0", *options)
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_sparse_gmm", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ends = time.monotonic() + 60
        while not set((out / "checkpoints").glob("0*.npz")) - before:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < ends, "no checkpoint was written"
            time.sleep(0.002)
        process.send_signal(how)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, error


needs_sigterm = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM that can be caught"
)


@needs_sigterm
def test_a_fit_on_disk_that_sigterm_ends_goes_on_to_the_last_digit(table, tmp_path) -> None:
    """As batch systems send it."""
    field_of_clusters(10_000).to_csv(table, index=False)  # takes a second
    undisturbed = fit(table, *ON_DISK, out="undisturbed") / "components.csv"
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    options = [*ON_DISK, "--scratch", str(scratch)]
    status, error = interrupted(table, out, signal.SIGTERM, *options)
    assert status == 143
    assert [line for line in error.splitlines() if line.startswith("napari-sparse-gmm: ")] == [
        f"napari-sparse-gmm: what is known is in {out / 'checkpoints'}: the same command with "
        "--resume goes on from there.",
        "napari-sparse-gmm: ended",
    ]
    assert list(scratch.iterdir()) == []
    assert [path.name for path in out.iterdir()] == ["checkpoints"]
    fit(table, *options, "--resume")
    assert (out / "components.csv").read_bytes() == undisturbed.read_bytes()


@needs_sigterm
def test_a_fit_that_is_ended_twice_goes_on_to_the_last_digit(table, tmp_path) -> None:
    """The second time by SIGKILL, as where there is no more memory."""
    field_of_clusters(10_000).to_csv(table, index=False)  # takes a second
    undisturbed = fit(table, *IN_MEMORY, out="undisturbed") / "components.csv"
    out = tmp_path / "out"
    status, error = interrupted(table, out, signal.SIGTERM, *IN_MEMORY)
    assert (status, "--resume goes on from there" in error) == (143, True)
    saved = {path: path.read_bytes() for path in (out / "checkpoints").glob("0*.npz")}
    status, _ = interrupted(table, out, signal.SIGKILL, *IN_MEMORY, "--resume")
    assert status == -signal.SIGKILL
    assert {path: path.read_bytes() for path in saved} == saved
    assert len(list((out / "checkpoints").glob("0*.npz"))) > len(saved)
    fit(table, *IN_MEMORY, "--resume")
    assert (out / "components.csv").read_bytes() == undisturbed.read_bytes()


class TestCheckpoints:
    @pytest.fixture
    def stopped(self, table, monkeypatch, capsys) -> Path:
        """Where a fit was interrupted in its fourth step."""
        from napari_sparse_gmm.cli.output import Progress

        def stop(self, step) -> None:
            if step.iteration >= 3:
                raise KeyboardInterrupt

        out = table.parent / "out"
        with monkeypatch.context() as context:
            context.setattr(Progress, "show", stop)
            assert main(arguments(table, out, *IN_MEMORY)) == 130
        assert (out / "checkpoints" / "000000.npz").exists()
        return out

    def refused(self, out: Path, capsys, given: Path, *options: str) -> str:
        """The sentence; the checkpoints stay."""
        before = {path: path.read_bytes() for path in (out / "checkpoints").iterdir()}
        capsys.readouterr()
        assert main(arguments(given, out, *IN_MEMORY, *options)) == 2
        assert {path: path.read_bytes() for path in (out / "checkpoints").iterdir()} == before
        error = capsys.readouterr().err
        assert error.count("napari-sparse-gmm: ") == 1
        return error.splitlines()[-1]

    def test_ctrl_c_says_how_to_go_on(self, stopped, table, capsys) -> None:
        error = capsys.readouterr().err
        assert "the same command with --resume goes on from there" in error
        assert error.endswith("napari-sparse-gmm: interrupted\n")
        assert [path.name for path in stopped.iterdir()] == ["checkpoints"]
        fit(table, *IN_MEMORY, "--resume")
        whole = fit(table, *IN_MEMORY, out="whole")
        assert (stopped / FILES[0]).read_bytes() == (whole / FILES[0]).read_bytes()
        pictures = [tifffile.imread(folder / "density.tif") for folder in (stopped, whole)]
        np.testing.assert_array_equal(*pictures)

    def test_without_resume_they_are_not_lost(self, stopped, table, capsys) -> None:
        error = self.refused(stopped, capsys, table)
        assert "has checkpoints of a fit that was interrupted: go on with it by --resume" in error

    def test_other_points_are_refused(self, stopped, tmp_path, capsys) -> None:
        other = tmp_path / "others.csv"
        field_of_clusters(seed=1).to_csv(other, index=False)
        error = self.refused(stopped, capsys, other, "--resume")
        assert "are of other points: a fit can only go on with the same" in error

    @pytest.mark.parametrize(
        "options",
        [["--random-state", "1"], ["--max-iter", "7"], ["--prior", "sqrt"], ["--no-background"]],
        ids=" ".join,
    )
    def test_other_parameters_are_refused(self, stopped, table, capsys, options) -> None:
        error = self.refused(stopped, capsys, table, "--resume", *options)
        assert "are of other parameters: a fit can only go on with the same" in error

    def test_a_mistake_does_not_cost_them(self, stopped, table, capsys) -> None:
        error = self.refused(stopped, capsys, table, "--resume", "--x", "col")
        assert "no column 'col' for x" in error

    def test_what_sigkill_left_half_written_is_removed_too(self, stopped, table) -> None:
        (stopped / "checkpoints" / ".0123456789abcdef.npz").write_bytes(b"PK")
        fit(table, *IN_MEMORY, "--resume")

    def test_resume_without_any_is_a_fit(self, table) -> None:
        alike(fit(table, "--resume"), fit(table, out="whole"))
