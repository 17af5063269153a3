"""Small files of every format that is read, made up: what the fuzz of the readers starts from.

>>> sorted(KINDS)[:3]
['columns', 'gzip', 'json']
"""

import gzip
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numcodecs import Blosc, Zlib, Zstd
from scipy.io import savemat

from napari_sparse_gmm.density_model import DensityModel, Groups, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.io.regions import read_regions
from napari_sparse_gmm.io.tables import read_points
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.regions import Box

N = 5


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it ends, what reads it, and examples of it, as bytes.

    `beside` are other files with the same stem that have to be there, by their endings. `opened` is
    how what is read ends, where it is another one of them, or a folder that they are in.
    """

    ending: str
    examples: Callable[[], list[bytes]]
    read: tuple[Callable[[Path], Any], ...]
    beside: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    opened: str | None = None


def _points(path: Path) -> Any:
    return read_points(path, precision="auto")


TABLE = (_points, read_localizations)

_TEXTS = (
    "id,frame,x [nm],y [nm],z [nm],uncertainty [nm]\n1,1,1.5,2,0,9\n2,3,3,4,5,8\n",
    "x;y;remark\n1,5;2,0;a\n3,0;4,0;\n",
    "sep=;\nx;y\n1.234,5;2,0\n7,25;1.000.000,5\n",
    "# made by\n# x y n\n1.5 2 1\n3 4 2\n",
    "x\ty\tn\n1.5\t2\t1\n3\t4\t1\n\nVoxelSizeX : 0.1\n\0\nSizeX : 512\n",
    'x,y,remark\n1.5,2,"a,b"\n3,4,"c\nd,e"\n3,4,\n',
    "LABEL,QUALITY,POSITION_X,POSITION_Y,POSITION_Z\nLabel,Quality,X,Y,Z\n"
    ",(quality),(micron),(micron),(micron)\nID1,2.5,1,2,3\nID2,2.5,4,5,7\n",
    "\nPosition\n======\nPosition X,Position Y,Position Z,Unit,Category,Time,ID,\n"
    "1,2,3,um,Spot,1,0,\n4,5,7,um,Spot,1,1,\n",
    '# <localizations insequence="true"><field identifier="Position-0-0" unit="nanometer" />'
    '<field identifier="Position-1-0" unit="nanometer" /></localizations>\n1 2\n3 4\n',
    "Channel Name\tX\tY\tXc\tYc\tLateral Localization Accuracy\n"
    "A\t1\t2\t1\t2\t9\nA\t3\t4\t3\t4\t9\n",
    "index,axis-0,axis-1,axis-2\n0,1,2,3\n1,1.5,2.5,NaN\n",
)


def _texts() -> list[bytes]:
    return [text.encode() for text in _TEXTS] + [
        "\ufeffx [µm],y [µm]\r\n1,2\r\n3,4\r\n".encode("utf-16-le"),
        "x [µm],y [µm]\n1,2\n3,4\n".encode("latin-1"),
    ]


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": np.arange(N),
            "x": np.linspace(1, 2, N, dtype="f4"),
            "y": np.linspace(3, 4, N, dtype="f4"),
            "lpx": np.full(N, 0.1, "f4"),
            "lpy": np.full(N, 0.2, "f4"),
        }
    )


def _parquet() -> list[bytes]:
    tables = [_frame(), _frame().assign(dye="red"), _frame().assign(x=[1.0, None, 2.0, 3.0, 4.0])]
    found = []
    for frame, compression in zip(tables, ("snappy", "none", "gzip"), strict=True):
        buffer = io.BytesIO()
        frame.to_parquet(buffer, compression=None if compression == "none" else compression)
        found.append(buffer.getvalue())
    return found


def _hdf5(fill: Callable[[h5py.File], None]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def _picasso() -> list[bytes]:
    def plain(file: h5py.File) -> None:
        file["locs"] = _frame().to_records(index=False)

    def packed(file: h5py.File) -> None:
        rows = _frame().to_records(index=False)
        file.create_dataset("locs", data=rows, chunks=(2,), compression="gzip")
        file["metadata"] = '[{"Pixelsize": 130}]'

    return [_hdf5(plain), _hdf5(packed)]


def _columns() -> list[bytes]:
    def decode(file: h5py.File) -> None:
        file["data/xyz"] = np.arange(3.0 * N, dtype="f4").reshape(N, 3)
        file["data/xyz_sig"] = np.ones((N, 3), "f4")
        file["data/frame_ix"] = np.arange(N)
        meta = file.create_group("meta").attrs
        meta["xy_unit"], meta["px_size"] = "px", (100.0, 130.0)

    def smap(file: h5py.File) -> None:
        for name in ("xnm", "ynm", "locprecnm"):
            file[f"saveloc/loc/{name}"] = np.arange(1.0, N + 1)[None]

    return [_hdf5(decode), _hdf5(smap)]


def minflux_events(*, newer: bool, n: int = N, steps: int = 2) -> np.ndarray:
    """What the microscope keeps, before 2024 or since then."""
    places = np.random.default_rng(0).uniform(-1e-6, 1e-6, (n, steps, 3))
    if newer:
        kind = [("vld", "?"), ("fnl", "?"), ("tim", "f8"), ("tid", "i4"), ("itr", "i4")]
        events = np.zeros(n * steps, [*kind, ("loc", "f8", 3), ("dcr", "f2", 2)])
        events["itr"], events["loc"] = np.tile(range(steps), n), places.reshape(-1, 3)
        events["fnl"], events["tid"] = events["itr"] == steps - 1, np.repeat(range(n), steps)
    else:
        step = np.dtype([("itr", "i4"), ("loc", "f8", 3), ("efo", "f8")])
        events = np.zeros(n, [("itr", step, steps), ("tim", "f8"), ("tid", "i4"), ("vld", "?")])
        events["itr"]["loc"], events["tid"] = places, range(n)
    events["vld"] = True
    return events


def records(events: np.ndarray) -> list[dict[str, Any]]:
    """The same as JSON has it."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value]
        if isinstance(value, np.void):
            return {name: plain(value[name]) for name in value.dtype.names}
        return value.item() if isinstance(value, np.generic) else value

    return [plain(event) for event in events]


def _npy() -> list[bytes]:
    found = []
    for newer in (False, True):
        buffer = io.BytesIO()
        np.save(buffer, minflux_events(newer=newer))
        found.append(buffer.getvalue())
    return found


def _json() -> list[bytes]:
    return [json.dumps(records(minflux_events(newer=newer))).encode() for newer in (False, True)]


def _matlab() -> list[bytes]:
    found = []
    for newer, packed in ((False, False), (True, False), (True, True)):
        events = minflux_events(newer=newer)
        columns = {name: events[name] for name in events.dtype.names}
        if not newer:
            steps = columns["itr"]
            columns["itr"] = {name: steps[name] for name in steps.dtype.names}
        buffer = io.BytesIO()
        savemat(buffer, columns, do_compression=packed)
        found.append(buffer.getvalue())
    return found


def _zarr_header(newer: bool = True, codec: Any = None) -> bytes:
    events = minflux_events(newer=newer)

    def told(kind: np.dtype) -> Any:
        if kind.names is None:
            return kind.str
        fields = {name: kind.fields[name][0] for name in kind.names}
        return [
            [name, told(one.base), *([one.shape] * bool(one.shape))] for name, one in fields.items()
        ]

    header = {"zarr_format": 2, "shape": [len(events)], "chunks": [len(events)], "order": "C"}
    header |= {"fill_value": 0, "filters": None, "dtype": told(events.dtype)}
    return json.dumps(header | {"compressor": codec and codec.get_config()}).encode()


def _zarr_chunk(newer: bool = True, codec: Any = None) -> bytes:
    events = minflux_events(newer=newer).tobytes()
    return events if codec is None else bytes(codec.encode(events))


def _regions() -> list[bytes]:
    header = "index,shape-type,vertex-index,axis-0,axis-1\n"
    corners = [(0, 0), (0, 2), (3, 2), (3, 0)]
    return [
        (header + "".join(f"0,{kind},{k},{y},{x}\n" for k, (y, x) in enumerate(corners))).encode()
        for kind in ("polygon", "ellipse")
    ]


def _models() -> list[bytes]:
    mixture = GaussianMixture(
        np.array([0.6, 0.3]),
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        np.array([np.eye(2), [[2.0, 0.5], [0.5, 1.0]]]),
        0.1,
        Box([[0.0, 0.0], [9.0, 9.0]]),
    )
    part = Part(mixture, None, n_points=50, total_weight=50.0, cost=1.5, n_iter=7)
    found = []
    for groups, parts in ((None, (part,)), (Groups("dye", np.array(["a", "b"])), (part, None))):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            save_model(path, DensityModel(parts, ("y", "x"), "nm", groups=groups))
            found.append(path.read_bytes())
    return found


_ARRAY = ".zarr/mfx"
_YAML = b"Frames: 9\n---\nPixelsize: 130\n"

KINDS = {
    "text": Kind(".csv", _texts, TABLE),
    "gzip": Kind(".csv.gz", lambda: [gzip.compress(text, mtime=0) for text in _texts()], TABLE),
    "parquet": Kind(".parquet", _parquet, TABLE),
    "picasso": Kind(".hdf5", lambda: _picasso()[:1], TABLE, {".yaml": lambda: _YAML}),
    "picasso embedded": Kind(".hdf5", lambda: _picasso()[1:], TABLE),
    "yaml": Kind(".yaml", lambda: [_YAML], TABLE, {".hdf5": lambda: _picasso()[0]}, ".hdf5"),
    "columns": Kind(".h5", _columns, TABLE),
    "npy": Kind(".npy", _npy, TABLE),
    "json": Kind(".json", _json, TABLE),
    "matlab": Kind(".mat", _matlab, TABLE),
    "zarr header": Kind(
        f"{_ARRAY}/.zarray",
        lambda: [_zarr_header()],
        TABLE,
        {f"{_ARRAY}/0": _zarr_chunk},
        ".zarr",
    ),
    **{
        f"zarr chunk, {codec.codec_id if codec else 'plain'}": Kind(
            f"{_ARRAY}/0",
            partial(lambda codec: [_zarr_chunk(codec=codec)], codec),
            TABLE,
            {f"{_ARRAY}/.zarray": partial(_zarr_header, codec=codec)},
            ".zarr",
        )
        for codec in (None, Blosc(), Zlib(), Zstd())
    },
    "region": Kind(".csv", _regions, (read_regions,)),
    "model": Kind(".gmm.json", _models, (load_model,)),
}


def check(kind: Kind, content: bytes, folder: Path) -> list[str]:
    """Reads the file, in this folder; what its readers say, "" where they read it.

    Any other error than an InputError or OSError goes through, and so does a warning.
    """
    path = folder / f"table{kind.ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for ending, other in kind.beside.items():
        path = folder / f"table{ending}"
        if not path.exists():
            path.write_bytes(other())
    opened = folder / f"table{kind.opened or kind.ending}"
    said = []
    for read in kind.read:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                read(opened)
                said.append("")
            except (InputError, OSError) as error:
                said.append(str(error))
    for sentence in said:
        assert len(sentence.splitlines()) <= 1, sentence
        assert len(sentence) < 2000, sentence
    return said
