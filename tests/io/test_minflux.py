"""MINFLUX: the last iteration of each valid event, however the file has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations

N, STEPS = 6, 3
VALID = np.array([True, True, False, True, True, True])


def places() -> np.ndarray:
    """Positions in metres of each iteration of each event, (N, STEPS, 3)."""
    return np.random.default_rng(0).uniform(-1e-6, 1e-6, (N, STEPS, 3))


def older() -> np.ndarray:
    steps = np.dtype([("itr", "i4"), ("loc", "f8", 3), ("efo", "f8"), ("cfr", "f8")])
    kind = [("itr", steps, STEPS), ("sqi", "u4"), ("tim", "f8"), ("tid", "i4"), ("vld", "?")]
    events = np.zeros(N, kind)
    events["vld"], events["tid"], events["tim"] = VALID, np.arange(N) // 2, np.arange(N) / 8
    events["itr"]["loc"] = places()
    events["itr"]["efo"] = np.arange(N * STEPS).reshape(N, STEPS)
    return events


def newer() -> np.ndarray:
    kind = [("vld", "?"), ("fnl", "?"), ("tim", "f8"), ("tid", "i4"), ("itr", "i4")]
    events = np.zeros(N * STEPS, [*kind, ("loc", "f8", 3), ("efo", "f8"), ("cfr", "f8")])
    events["vld"], events["tid"] = np.repeat(VALID, STEPS), np.repeat(np.arange(N) // 2, STEPS)
    events["tim"], events["itr"] = np.repeat(np.arange(N) / 8, STEPS), np.tile(range(STEPS), N)
    events["fnl"], events["loc"] = events["itr"] == STEPS - 1, places().reshape(-1, 3)
    events["efo"] = np.arange(N * STEPS)
    return events


def as_json(events: np.ndarray) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value]
        if isinstance(value, np.void):
            return {name: plain(value[name]) for name in value.dtype.names}
        return value.item() if isinstance(value, np.generic) else value

    return [plain(event) for event in events]


@pytest.mark.parametrize("events", [older(), newer()], ids=["older", "newer"])
@pytest.mark.parametrize("ending", [".npy", ".json"])
def test_the_last_iteration_of_valid_events(tmp_path: Path, events, ending: str) -> None:
    path = tmp_path / f"mfx{ending}"
    if ending == ".npy":
        np.save(path, events)
    else:
        path.write_text(json.dumps(as_json(events)))
    found = read_localizations(path)
    np.testing.assert_allclose(found.points, places()[VALID, -1, ::-1])
    assert (found.unit, found.axis_labels) == ("m", ("z", "y", "x"))
    assert list(found.features["tid"]) == [0, 0, 1, 2, 2]
    np.testing.assert_allclose(found.features["tim [s]"], np.arange(N)[VALID] / 8)
    np.testing.assert_array_equal(found.features["efo"], (3 * np.arange(N) + 2)[VALID])
    assert "vld" not in found.features


def test_a_plane(tmp_path: Path) -> None:
    events = older()
    events["itr"]["loc"][..., 2] = 0
    np.save(tmp_path / "mfx.npy", events)
    found = read_localizations(tmp_path / "mfx.npy")
    np.testing.assert_allclose(found.points, places()[VALID, -1, 1::-1])


def test_none_is_valid(tmp_path: Path) -> None:
    events = older()
    events["vld"] = False
    np.save(tmp_path / "mfx.npy", events)
    with pytest.raises(InputError, match=r"mfx.npy has no valid localization"):
        read_localizations(tmp_path / "mfx.npy")
    (tmp_path / "mfx.json").write_text(json.dumps(as_json(events)))
    with pytest.raises(InputError, match=r"mfx.json has no valid localization"):
        read_localizations(tmp_path / "mfx.json")


@pytest.mark.parametrize("size", [200, 0.5, 0.99])
@pytest.mark.parametrize("ending", [".npy", ".json"])
def test_damage_is_one_sentence(tmp_path: Path, ending: str, size: float) -> None:
    path = tmp_path / f"mfx{ending}"
    np.save(tmp_path / "mfx.npy", newer())
    (tmp_path / "mfx.json").write_text(json.dumps(as_json(older())))
    content = path.read_bytes()
    path.write_bytes(content[: size if size > 1 else int(size * len(content))])
    with pytest.raises(InputError) as raised:
        read_localizations(path)
    assert "\n" not in str(raised.value)


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    events = np.array([{"vld": True, "loc": [1, 2, 3]}], dtype=object)
    np.save(tmp_path / "mfx.npy", events, allow_pickle=True)
    with pytest.raises(InputError):
        read_localizations(tmp_path / "mfx.npy")
