"""Checkpoints: a long fit that was interrupted goes on where it was, to the same answer.

A fit learns of the points through the answers of its engine only, and does nothing at random
beside its seed. So the answers so far are all that there is to keep: a fit that is begun anew and
gets them from a file, not from the points, comes to where it was in a small part of the time, and
goes on to the last digit as it would have. They are found by the hash of what was asked: what is
not known, as a file is damaged or another machine came to other digits, is computed as ever.

    checkpoints/
        about.json      what is fitted, and how
        000000.npz      some answers; written whole or not at all
        000001.npz

Nothing but numbers is read from these files.
"""

import json
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines.engine import Cells, Engine, Summary
from napari_sparse_gmm.engines.information import Information
from napari_sparse_gmm.engines.overdensity import Overdensities, Search
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Assignment, Scores, Statistics
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Region
from napari_sparse_gmm.regions.pixels import Lattice
from napari_sparse_gmm.writing import whole_file

_Answer = TypeVar("_Answer")
_Arrays = dict[str, NDArray[Any]]

# Seconds between two files, and bytes in one, at most.
_EVERY, _LARGEST = 300.0, 1 << 26
_ABOUT, _FILES = "about.json", "[0-9]*.npz"
_DAMAGES = (ValueError, KeyError, IndexError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged; what it held is computed again."""


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of a fit are.

    Parameters
    ----------
    folder : path
        Of this fit alone. They stay there until `remove`.
    every : float
        Seconds between two of them, at most.
    resume : bool
        Whether a fit goes on from those that there are. Else they are removed when it begins.
    """

    folder: str | Path
    every: float = _EVERY
    resume: bool = False

    @property
    def exist(self) -> bool:
        """Whether there are any."""
        return any(Path(self.folder).glob(_FILES))

    def remove(self) -> None:
        """Remove them, as when the results of the fit are safe."""
        folder = Path(self.folder)
        # Those with a point before their name were not finished when a program was killed.
        for pattern in (_FILES, _ABOUT, ".*.npz", ".*.json"):
            for path in folder.glob(pattern):
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def fingerprint(*values: Any) -> str:
    """A hash of numbers, strings, arrays, dataclasses, and tuples of them."""
    found = blake2b(digest_size=16)
    _hash(found, values)
    return found.hexdigest()


class Recorded(Engine):
    """An engine whose answers are kept in checkpoints, or come from there.

    Parameters
    ----------
    engine : Engine
    journal : Journal
    """

    def __init__(self, engine: Engine, journal: "Journal", kind: str = "") -> None:
        self.engine, self.journal, self._kind = engine, journal, kind
        self.name, self.reason, self.repeats = engine.name, engine.reason, engine.repeats

    @property
    def summary(self) -> Summary:
        return self.engine.summary

    @property
    def typical_noise(self) -> FloatArray | None:
        return self.engine.typical_noise

    @property
    def cell_weights(self) -> FloatArray:
        return self.engine.cell_weights

    @property
    def digest(self) -> bytes:
        return self.engine.digest

    def sample(self, n: int, rng: np.random.Generator) -> Observations:
        def compute() -> tuple[Observations, str]:
            found = self.engine.sample(n, rng)
            return found, json.dumps(rng.bit_generator.state)

        state = json.dumps(rng.bit_generator.state)
        found = self._recorded("sample", (n, state), compute, _sample_to, _sample_from)
        rng.bit_generator.state = json.loads(found[1])
        return found[0]

    def n_outside(self, region: Region) -> int:
        return self.engine.n_outside(region)

    def expectation(
        self,
        mixture: GaussianMixture,
        *,
        removal: bool = False,
        cells: NDArray[np.intp] | None = None,
    ) -> Statistics:
        n_cells, n = len(self.cell_weights), mixture.n_components
        rows = np.arange(n_cells) if cells is None else cells

        def to_arrays(found: Statistics) -> _Arrays:
            # Most parts of a trial leave most components alone.
            own = np.flatnonzero(found.counts)
            few = replace(found.subset(own), cell_log_likelihoods=found.cell_log_likelihoods[rows])
            return {"own": own, **_to_arrays(few)}

        def from_arrays(arrays: _Arrays) -> Statistics:
            own = arrays.pop("own")
            few = _from_arrays(Statistics, arrays)
            log_likelihoods = np.zeros(n_cells)
            log_likelihoods[rows] = few.cell_log_likelihoods
            return replace(few.spread(own, n), cell_log_likelihoods=log_likelihoods)

        return self._recorded(
            "expectation",
            (mixture, removal, cells),
            lambda: self.engine.expectation(mixture, removal=removal, cells=cells),
            to_arrays,
            from_arrays,
        )

    def background_counts(self, mixture: GaussianMixture, lattice: Lattice) -> FloatArray:
        return self._recorded(
            "background_counts",
            (mixture, lattice),
            lambda: self.engine.background_counts(mixture, lattice),
            lambda found: {"counts": found},
            lambda arrays: arrays["counts"],
        )

    def region_weights(self, mixture: GaussianMixture, regions: Sequence[Region]) -> FloatArray:
        return self.engine.region_weights(mixture, regions)

    def touched(self, mixture: GaussianMixture) -> Pattern:
        return self.engine.touched(mixture)

    def near(self, positions: FloatArray, radii: FloatArray) -> Cells:
        return self.engine.near(positions, radii)

    def overdensities(
        self, mixture: GaussianMixture, search: Search, whole: Summary | None = None
    ) -> Overdensities:
        return self._recorded(
            "overdensities",
            (mixture, search, whole),
            lambda: self.engine.overdensities(mixture, search, whole),
            _to_arrays,
            lambda arrays: _from_arrays(Overdensities, arrays),
        )

    def information(self, mixture: GaussianMixture, pairs: NDArray[np.intp]) -> Information:
        return self.engine.information(mixture, pairs)

    def scores(self, mixture: GaussianMixture) -> Scores:
        return self.engine.scores(mixture)

    def log_density(self, mixture: GaussianMixture) -> FloatArray:
        return self.engine.log_density(mixture)

    def assign(self, mixture: GaussianMixture) -> Assignment:
        return self.engine.assign(mixture)

    def without_noise(self) -> "Recorded":
        return Recorded(self.engine.without_noise(), self.journal, "without noise: ")

    def _recorded(
        self,
        question: str,
        arguments: tuple[Any, ...],
        compute: Callable[[], _Answer],
        to_arrays: Callable[[_Answer], _Arrays],
        from_arrays: Callable[[_Arrays], _Answer],
    ) -> _Answer:
        key = fingerprint(self._kind, question, *arguments)
        known = self.journal.recall(key)
        if known is not None:
            return from_arrays(known)
        answer = compute()
        self.journal.keep(key, to_arrays(answer))
        return answer


class Journal:
    """Answers by the hash of what was asked, in files of a folder.

    Parameters
    ----------
    checkpoints : Checkpoints
    about : dict of str
        What is fitted and how, by what that is called in an error.

    Raises
    ------
    InputError
        Where a fit is to go on that was of something else.
    OSError
        Where the folder cannot be written to.
    """

    def __init__(self, checkpoints: Checkpoints, about: dict[str, str]) -> None:
        self.folder, self._every = Path(checkpoints.folder), checkpoints.every
        if checkpoints.resume:
            self._check(about)
        else:
            checkpoints.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / _ABOUT) as path:
            path.write_text(json.dumps(about, indent=1))
        self._pending: dict[str, _Arrays] = {}
        self._n_bytes, self._written, self._failed = 0, time.monotonic(), False
        # Which file each answer is in; and the answers of the last file that was read.
        self._where: dict[str, Path] = {}
        self._last: tuple[Path, dict[str, _Arrays]] | None = None
        paths = sorted(self.folder.glob(_FILES))
        self._next = 1 + max((int(path.stem) for path in paths), default=-1)
        for path in paths:
            with self._damage(path), np.load(path, allow_pickle=False) as file:
                self._where |= dict.fromkeys(file["keys"].tolist(), path)

    def recall(self, key: str) -> _Arrays | None:
        """What was answered; None where that is not known."""
        path = self._where.get(key)
        if path is None:
            return None
        if self._last is None or self._last[0] != path:
            self._last = None  # before the next one is read
            with self._damage(path):
                self._last = path, _read(path)
        own = None if self._last is None else self._last[1].get(key)
        return None if own is None else own.copy()

    def keep(self, key: str, arrays: _Arrays) -> None:
        """Keep an answer; now and then they are written."""
        self._pending[key] = arrays
        self._n_bytes += sum(array.nbytes for array in arrays.values())
        if self._n_bytes > _LARGEST or time.monotonic() - self._written > self._every:
            self.write()

    def write(self) -> None:
        """Write the answers that are not yet in a file; not again where that has failed."""
        if not self._pending or self._failed:
            return
        arrays: dict[str, Any] = {"keys": np.array(list(self._pending))}
        for k, own in enumerate(self._pending.values()):
            arrays |= {f"{k}/{name}": array for name, array in own.items()}
        self._failed = True
        with whole_file(self.folder / f"{self._next:06d}.npz") as path:
            np.savez(path, **arrays)
        self._failed = False
        self._next += 1
        self._pending, self._n_bytes, self._written = {}, 0, time.monotonic()

    def _check(self, about: dict[str, str]) -> None:
        path = self.folder / _ABOUT
        if not path.exists():
            return
        try:
            before = json.loads(path.read_text())
            others = [what for what, value in about.items() if before[what] != value]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is damaged: what these checkpoints are of is not known. Fit without them."
            ) from error
        if others:
            raise InputError(
                f"The checkpoints in {self.folder} are of other {' and '.join(others)}: a fit can "
                "only go on with the same."
            )

    @contextmanager
    def _damage(self, path: Path) -> Iterator[None]:
        """A warning where a file is damaged; nothing of it is known then."""
        try:
            yield
        except (
            ValueError,
            KeyError,
            IndexError,
            OSError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
        ):
            self._where = {key: other for key, other in self._where.items() if other != path}
            warnings.warn(
                f"The checkpoint {path} is damaged: what it holds is computed again.",
                CheckpointWarning,
                stacklevel=2,
            )


def _read(path: Path) -> dict[str, _Arrays]:
    """The answers in a file, by their keys."""
    found: dict[str, _Arrays] = {}
    with np.load(path, allow_pickle=False) as file:
        keys = file["keys"].tolist()
        for name in file.files:
            if name != "keys":
                row, field = name.split("/")
                found.setdefault(keys[int(row)], {})[field] = file[name]
    return found


def _to_arrays(answer: Any) -> _Arrays:
    values = ((field.name, getattr(answer, field.name)) for field in fields(answer))
    return {name: np.asarray(value) for name, value in values if value is not None}


def _from_arrays(kind: type[_Answer], arrays: _Arrays) -> _Answer:
    values = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    return kind(**{field.name: values.get(field.name) for field in fields(kind)})  # type: ignore[arg-type]


def _sample_to(found: tuple[Observations, str]) -> _Arrays:
    return {"state": np.array(found[1]), **_to_arrays(found[0])}


def _sample_from(arrays: _Arrays) -> tuple[Observations, str]:
    state = str(arrays.pop("state"))
    return _from_arrays(Observations, arrays), state


def _hash(found: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).data)
    elif is_dataclass(value) and not isinstance(value, type):
        found.update(type(value).__name__.encode())
        for field in fields(value):
            _hash(found, getattr(value, field.name))
    elif isinstance(value, tuple | list):
        found.update(f"{len(value)}:".encode())
        for one in value:
            _hash(found, one)
    elif hasattr(value, "__dict__"):
        _hash(found, (type(value).__name__, *sorted(vars(value).items())))
    else:
        found.update(f"{value!r};".encode())
