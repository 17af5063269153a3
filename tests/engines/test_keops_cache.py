"""Files of KeOps that were cut short are made anew, and whole ones are kept."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from napari_sparse_gmm.engines.keops_cache import LOCK, remove_damaged

LIBRARY = Path(np._core._multiarray_umath.__file__).read_bytes()
LIST = pickle.dumps({"formula": ("kernel", 3)})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("KEOPS_CACHE_FOLDER", str(tmp_path))
    folder = tmp_path / "machine"
    folder.mkdir()
    (folder / "kernel.so").write_bytes(LIBRARY)
    (folder / "kernels_cache.pkl").write_bytes(LIST)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_whole_files_are_kept(folder: Path) -> None:
    assert remove_damaged() == ()
    assert names(folder) == {"kernel.so", "kernels_cache.pkl"}


@pytest.mark.parametrize("cut", [lambda whole: b"", lambda whole: whole[:-1]], ids=["all", "last"])
def test_half_a_list(folder: Path, cut: Callable[[bytes], bytes]) -> None:
    (folder / "others_cache.pkl").write_bytes(cut(LIST))
    assert remove_damaged() == ("others_cache.pkl",)
    assert names(folder) == {"kernel.so", "kernels_cache.pkl"}


@pytest.mark.skipif(sys.platform != "linux", reason="Libraries of Linux.")
@pytest.mark.parametrize("size", [0, 40, len(LIBRARY) // 2])
def test_half_a_library_goes_with_the_lists_that_name_it(folder: Path, size: int) -> None:
    (folder / "other.so").write_bytes(LIBRARY[:size])
    assert set(remove_damaged()) == {"other.so", "kernels_cache.pkl"}
    assert names(folder) == {"kernel.so"}


def test_a_list_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    class Unpickled:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "touched",)

    (folder / "others_cache.pkl").write_bytes(pickle.dumps(Unpickled()))
    assert remove_damaged() == ()
    assert not (tmp_path / "touched").exists()


def test_no_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KEOPS_CACHE_FOLDER", str(tmp_path / "none"))
    assert remove_damaged() == ()


def test_while_another_process_compiles_nothing_is_removed(folder: Path) -> None:
    (folder / "others_cache.pkl").write_bytes(b"")
    with FileLock(folder / LOCK):
        assert remove_damaged() == ()
    assert remove_damaged() == ("others_cache.pkl",)
