"""Which engine computes, where, and why, in one sentence for the user."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from napari_sparse_gmm.engines.engine import Engine, EngineUnavailable
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, ENGINE


class EngineFallbackWarning(UserWarning):
    """The engine that was asked for cannot run; another one does the same work."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine, a device, and the reason."""

    engine: type[Engine]
    device: str
    reason: str

    def open(
        self,
        points: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        n_components: int,
    ) -> Engine:
        """The engine, holding these points for mixtures of up to `n_components`.

        See `Engine` for the parameters. The kernels are single precision, but for problems so
        small that double precision takes no longer.
        """
        small = len(points) * n_components <= self.engine.small
        dtype = torch.float64 if small else torch.float32
        return self.engine(points, sample_weight, device=self.device, dtype=dtype)


def choose_engine(
    engine: str = ENGINE.default, device: str = DEVICE.default, *, n_dimensions: int
) -> EngineChoice:
    """Resolve "auto", check that what was asked for works, fall back where it does not.

    Parameters
    ----------
    engine : {"auto", "keops", "torch"}
    device : {"auto", "cpu", "cuda"}
    n_dimensions : int
        Dimensions of the points: a KeOps kernel is compiled for each.

    Raises
    ------
    ValueError
        Where a name is not known, or CUDA is asked for and there is none.

    Warns
    -----
    EngineFallbackWarning
        Where `engine="keops"` cannot run here; PyTorch then does the work.
    """
    for parameter, value in ((ENGINE, engine), (DEVICE, device)):
        if value not in (parameter.choices or ()):
            raise ValueError(f"{parameter.name} must be one of {parameter.choices}, not {value!r}.")
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ValueError(
            "device='cuda' was asked for, but PyTorch finds no CUDA graphics card; use 'auto'."
        )
    place = "cuda" if cuda and device != "cpu" else "cpu"
    if engine == "torch":
        return EngineChoice(TorchTiles, place, "PyTorch, as asked for.")
    if engine == "auto" and place == "cpu":
        # benchmarks/engines.py: 5 to 7 times faster than KeOps on every dense shape.
        return EngineChoice(
            TorchTiles, place, "PyTorch: on a processor it is faster than KeOps for dense sums."
        )
    try:
        keops = _working_keops(n_dimensions, place)
    except EngineUnavailable as error:
        reason = f"PyTorch instead of KeOps. {error}"
        if engine == "keops":
            warnings.warn(reason, EngineFallbackWarning, stacklevel=2)
        return EngineChoice(TorchTiles, place, reason)
    why = "as asked for" if engine == "keops" else "on a graphics card"
    return EngineChoice(keops, place, f"KeOps, {why}.")


def _working_keops(n_dimensions: int, device: str) -> type[Engine]:
    """The KeOps engine, after it computed one expectation and compiled all that a fit needs."""
    from napari_sparse_gmm.engines.keops import KeOps

    origin = np.zeros((1, n_dimensions))
    mixture = GaussianMixture(np.ones(1), origin, np.eye(n_dimensions)[None])
    KeOps(origin, device=device).expectation(mixture, removal=True)
    return KeOps
