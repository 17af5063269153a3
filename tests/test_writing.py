import errno
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
from oracles import random_mixture

from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.figures import write_density_png
from napari_sparse_gmm.io.images import write_density_tiff
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.writing import refuse_to_overwrite, whole_file, whole_folder

MIXTURE = random_mixture(2, 2)
MODEL = DensityModel((Part(MIXTURE, None, 10, 10.0),), ("y", "x"), "nm")
GRID = Grid.covering([0.0, 0.0], [30.0, 30.0], longest_side=64)
IMAGE = heatmap(MIXTURE, GRID, "density", engine="torch", device="cpu")
WRITERS = {
    "model.json": lambda path: save_model(path, MODEL),
    "components.csv": lambda path: write_table(path, {"mean": np.arange(99.0)}),
    "density.tif": lambda path: write_density_tiff(path, IMAGE, GRID, "nm"),
    "density.png": lambda path: write_density_png(path, IMAGE, GRID, MODEL, np.ones((3, 2))),
}
posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "good.txt"
    path.write_text("good")
    return path


def alone(path: Path) -> bool:
    return os.listdir(path.parent) == [path.name]


def write(path: Path, text: str = "new") -> None:
    with whole_file(path) as beside:
        beside.write_text(text)
        assert not path.exists() or path.read_text() == "good"


def test_it_takes_the_place_of_what_was_there(path: Path) -> None:
    write(path)
    assert path.read_text() == "new"
    assert alone(path)


def test_it_is_made_where_nothing_was(tmp_path: Path) -> None:
    write(tmp_path / "new.txt")
    assert (tmp_path / "new.txt").read_text() == "new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), KeyError()])
def test_where_it_fails_all_is_as_it_was(path: Path, error: BaseException) -> None:
    def half() -> None:
        with whole_file(path) as beside:
            beside.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        half()
    assert path.read_text() == "good"
    assert alone(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [(OSError(errno.ENOSPC, "full"), "full"), (OSError("9 requested, 3 written"), "9 requested")],
)
def test_the_error_names_the_file(path: Path, error: OSError, words: str) -> None:
    with pytest.raises(OSError, match=words) as raised, whole_file(path):
        raise error
    assert raised.value.filename == str(path)
    assert str(path) in str(raised.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write(tmp_path / "none" / "new.txt")
    assert raised.value.filename == str(tmp_path / "none" / "new.txt")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write(tmp_path)


@posix
def test_permissions_stay(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (tmp_path / "plain").touch()
    write(tmp_path / "new.txt")
    assert (tmp_path / "new.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_is_read_only_stays(path: Path) -> None:
    path.chmod(0o440)
    with pytest.raises(PermissionError):
        write(path)
    assert path.read_text() == "good"


@posix
def test_a_link_stays_and_what_it_points_to_is_replaced(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.txt"
    link.symlink_to(path)
    write(link)
    assert link.is_symlink()
    assert path.read_text() == "new"


@posix
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    with whole_file(pipe) as path:
        path.write_text("new")
    assert reader.communicate(timeout=60)[0] == "new"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_a_good_file_on_a_full_disk(name: str, tmp_path: Path) -> None:
    import resource

    path = tmp_path / name
    path.write_text("good")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # Python has the signal ignored
    try:
        with pytest.raises(OSError, match=str(path)) as raised:
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.filename == str(path)
    assert path.read_text() == "good"
    assert alone(path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("good")
    WRITERS[name](path)
    assert path.stat().st_size > 100
    assert alone(path)
    if name == "density.tif":
        np.testing.assert_array_equal(tifffile.imread(path), IMAGE)


def test_a_byte_that_is_no_text_is_saved_as_its_number(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    if name.isascii() or "\udce9" not in name:
        pytest.skip("names of files are text here")
    model = DensityModel(MODEL.parts, ("y", "x"), "nm", provenance={"source": name, name: 1})
    save_model(tmp_path / "model.json", model)
    found = load_model(tmp_path / "model.json").provenance
    assert found == {"source": r"caf\udce9.csv", r"caf\udce9.csv": 1}


def test_an_input_is_not_written_over(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    refuse_to_overwrite([other], [path])
    refuse_to_overwrite([path], [other])
    with pytest.raises(InputError, match=r"good\.txt is read, so it cannot be written"):
        refuse_to_overwrite([other, tmp_path / "." / "good.txt"], [path])
    os.link(path, other)
    with pytest.raises(InputError, match=r"other\.txt is read"):
        refuse_to_overwrite([other], [path])


@posix
def test_a_fit_on_a_full_disk_leaves_earlier_results(tmp_path: Path) -> None:
    script = """
        import resource, sys
        from napari_sparse_gmm.cli import main

        fit = ["fit", "points.csv", "--out", "out", "--engine", "torch", "--device", "cpu"]
        if sys.argv[1] == "full":
            # Enough for the model and the table, too little for the images.
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        sys.exit(main([*fit, "--random-state", sys.argv[2], "--components", "3"]))
    """
    points = np.random.default_rng(0).normal(size=(200, 2))
    np.savetxt(tmp_path / "points.csv", points, delimiter=",", header="x,y", comments="")

    def run(disk: str, seed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", textwrap.dedent(script), disk, seed]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert run("free", "0").returncode == 0
    files = sorted((tmp_path / "out").iterdir())
    before = [path.read_bytes() for path in files]
    assert len(files) == 4
    full = run("full", "1")
    assert full.returncode == 2
    assert full.stderr.startswith("napari-sparse-gmm: error: ")
    assert full.stderr.count("\n") == 1
    assert sorted((tmp_path / "out").iterdir()) == files
    assert [path.read_bytes() for path in files] == before


def fill(path: Path, text: str) -> None:
    with whole_folder(path, [".zgroup"]) as folder:
        folder.mkdir()
        (folder / ".zgroup").write_text(text)
        if text == "too much":
            raise OSError(errno.ENOSPC, "full")


def test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for text in ("first", "second"):
        fill(path, text)
        assert (path / ".zgroup").read_text() == text
    with pytest.raises(OSError, match="full") as raised:
        fill(path, "too much")
    assert raised.value.filename == str(path)
    assert (path / ".zgroup").read_text() == "second"
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.tif").touch()
    (tmp_path / "file").touch()
    for name in ("photos", "file"):
        with pytest.raises(InputError, match="something else"):
            fill(tmp_path / name, "new")
    assert (tmp_path / "photos" / "one.tif").exists()
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", "new")
    assert (tmp_path / "empty" / ".zgroup").exists()
