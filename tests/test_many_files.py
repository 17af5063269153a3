"""Many files: a folder each, one table of all, and a run that goes on where it was interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_cli_chunked import QUICK, field_of_clusters

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.many_files import Job, jobs_of, run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four files, of which one is broken."""
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(3):
        field_of_clusters(300, seed=k).to_csv(folder / f"cell {k}.csv", index=False)
    (folder / "broken.csv").write_text("x,y\n1,2\n3,four\n")
    return folder


def fit(data: Path, out: Path, *options: str) -> int:
    return main(["fit", f"{data}/*.csv", "--out", str(out), *QUICK, *options])


def told(out: Path) -> pd.DataFrame:
    table = pd.read_csv(out / "summary.csv")
    return table.assign(file=[Path(file).name for file in table["file"]])


def made(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("*/*")}


def test_a_folder_each_and_a_row_each(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert fit(data, out) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        f"napari-sparse-gmm: error: 1 of 4 files could not be fitted: {data / 'broken.csv'}."
    )
    assert f"1 of 4: {data / 'broken.csv'}: Column 'y' of broken.csv must hold" in said.out
    table = told(out)
    assert list(table["file"]) == ["broken.csv", *(f"cell {k}.csv" for k in range(3))]
    assert list(table["clusters"][1:]) == [9, 9, 9]
    assert table["problem"].notna().tolist() == [True, False, False, False]
    assert not (out / "broken").exists() or not list((out / "broken").iterdir())
    for k in range(3):
        names = {path.name for path in (out / f"cell {k}").iterdir()}
        assert names == {"input.json", "model.json", "components.csv", "density.tif", "density.png"}
    # The numbers are those of the file alone.
    alone = ["fit", str(data / "cell 1.csv"), "--out", str(tmp_path / "alone"), *QUICK]
    assert main(alone) == 0
    components = pd.read_csv(tmp_path / "alone" / "components.csv")
    pd.testing.assert_frame_equal(components, pd.read_csv(out / "cell 1" / "components.csv"))


def test_what_is_done_is_left_as_it_is(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    fit(data, out)
    before, table = made(out), told(out)
    field_of_clusters(500, seed=9).to_csv(data / "cell 1.csv", index=False)
    (data / "broken.csv").unlink()
    capsys.readouterr()
    assert fit(data, out) == 0
    assert "2 of 3 files are done already" in capsys.readouterr().out
    after = made(out)
    changed = {name for name in before if before[name] != after[name]}
    assert {Path(name).parent.name for name in changed} == {"cell 1"}
    assert told(out)["points"].tolist() == [375, 625, 375]
    assert table["points"].tolist()[1:] == [375, 375, 375]
    # Other options, other results; but not another number of processes or threads.
    assert fit(data, out, "--threads", "1") == 0
    assert "3 of 3 files are done already" in capsys.readouterr().out
    assert fit(data, out, "--components", "3") == 0
    assert told(out)["clusters"].tolist() == [3, 3, 3]


def test_killed_in_the_middle_it_ends_with_the_same_table(data: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    fit(data, whole)
    command = [sys.executable, "-m", "napari_sparse_gmm", "fit", f"{data}/*.csv", *QUICK]
    source = str(Path(__file__).parents[1] / "src")
    with subprocess.Popen(
        [*command, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        for _ in range(1200):
            if (out / "cell 0" / "input.json").exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not (out / "summary.csv").exists()
    fit(data, out)
    assert (out / "summary.csv").read_bytes() == (whole / "summary.csv").read_bytes()


@pytest.mark.long
def test_side_by_side(data: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert fit(data, one) == fit(data, two, "--jobs", "2") == 2
    pd.testing.assert_frame_equal(told(one), told(two), rtol=1e-6)


def test_groups_have_a_row_each(data: Path, tmp_path: Path) -> None:
    (data / "broken.csv").unlink()
    for file in data.iterdir():
        cells = pd.read_csv(file)
        cells.assign(dye=np.repeat(["red", "blue"], [len(cells) - 150, 150])).to_csv(file)
    assert fit(data, tmp_path / "out", "--group", "dye") == 0
    table = told(tmp_path / "out")
    assert table["group"].tolist() == ["blue", "red"] * 3
    assert table["points"].tolist() == [150, 225] * 3


def test_the_same_name_twice(tmp_path: Path) -> None:
    for name in ("a/1.csv", "b/1.csv", "b/1.txt", "b/2.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    jobs = jobs_of([f"{tmp_path}/**/*.*"], tmp_path / "out", {})
    assert [job.folder.name for job in jobs] == ["a_1.csv", "b_1.csv", "1.txt", "2"]
    (tmp_path / "c/a").mkdir(parents=True)
    (tmp_path / "c/a/1.csv").touch()
    with pytest.raises(InputError, match="would have the same folder of results"):
        jobs_of([f"{tmp_path}/**/*.*"], tmp_path / "out", {})
    with pytest.raises(InputError, match=r"There is no file '.*\.hdf5'"):
        jobs_of([f"{tmp_path}/*.hdf5"], tmp_path / "out", {})
    with pytest.raises(InputError, match="b is a folder, which is one table"):
        jobs_of([str(tmp_path / "a/1.csv"), str(tmp_path / "b")], tmp_path / "out", {})
    with pytest.raises(InputError, match="but folders only"):
        jobs_of([f"{tmp_path}/*"], tmp_path / "out", {})


def test_what_was_done_is_not_taken_for_what_came_after(tmp_path: Path) -> None:
    """A fit by other options that ends in the middle leaves no word of the earlier one."""
    (tmp_path / "a").touch()

    def writes(job: Job) -> None:
        job.folder.mkdir(exist_ok=True)
        (job.folder / "model.json").write_text(json.dumps(dict(job.options)))
        if job.options["prior"] == "mml":
            raise OSError("No space left on device")

    one, other = (Job(tmp_path / "a", tmp_path / "out", {"prior": p}) for p in ("bayes", "mml"))
    assert run([one], writes) == {}
    assert one.is_done
    assert not other.is_done
    assert list(run([other], writes)) == [tmp_path / "a"]
    assert not one.is_done
    assert not other.is_done
    # Nor is a model of all points one of groups.
    assert run([one], writes) == {}
    assert not Job(tmp_path / "a", tmp_path / "out", {"prior": "bayes", "group": "dye"}).models


def test_no_jobs(data: Path, tmp_path: Path, capsys) -> None:
    assert fit(data, tmp_path / "out", "--jobs", "0") == 2
    assert "--jobs must be at least 1, not 0." in capsys.readouterr().err


def _fits(folder: Path, job: Job) -> None:
    """A fit that ends its process for one of the files, and has a mistake in it for another."""
    if job.input.name == "1":
        os._exit(9)
    if job.input.name == "2":
        raise ZeroDivisionError("no such number")
    job.folder.mkdir(parents=True, exist_ok=True)  # it may be done again


def test_a_process_that_ends_costs_its_own_file(tmp_path: Path) -> None:
    for k in range(5):
        (tmp_path / str(k)).touch()
    jobs = [Job(tmp_path / str(k), tmp_path / "out" / str(k), {}) for k in range(5)]
    ended = []
    problems = run(
        jobs, partial(_fits, tmp_path), n_processes=2, on_done=lambda job, _: ended.append(job)
    )
    assert sorted(job.input.name for job in ended) == [str(k) for k in range(5)]
    assert problems == {
        tmp_path / "1": "Its process was ended, as happens for want of memory.",
        tmp_path / "2": "ZeroDivisionError: no such number",
    }


def _small(folder: Path, n: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(n):
        points = np.concatenate([rng.normal(20, 1, (40, 2)), rng.uniform(0, 50, (20, 2))])
        pd.DataFrame(points, columns=["x [nm]", "y [nm]"]).to_csv(folder / f"{k:03}.csv")
    for k in range(3):
        (folder / f"{n * k // 3:03}.csv").write_text("x,y\n1,2\n3,four\n")


@pytest.mark.long
def test_two_hundred_files_killed_in_the_middle(tmp_path: Path) -> None:
    """Three are broken; the table is that of one go."""
    data, whole, out = tmp_path / "data", tmp_path / "whole", tmp_path / "killed"
    _small(data, 200)
    options = ["--components", "3"]
    assert fit(data, whole, *options) == 2
    table = told(whole)
    assert table["problem"].notna().sum() == 3
    assert len(table) == 200
    command = [sys.executable, "-m", "napari_sparse_gmm", "fit", f"{data}/*.csv", *QUICK]
    source = str(Path(__file__).parents[1] / "src")
    with subprocess.Popen(
        [*command, *options, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and len(list(out.glob("*/input.json"))) < 100:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert 100 <= len(list(out.glob("*/input.json"))) < 197
    assert not (out / "summary.csv").exists()
    before = made(out)
    assert fit(data, out, *options) == 2
    assert (out / "summary.csv").read_bytes() == (whole / "summary.csv").read_bytes()
    done = {str(Path(name).parent) for name in before if name.endswith("input.json")}
    after = made(out)
    assert all(after[name] == before[name] for name in before if str(Path(name).parent) in done)
